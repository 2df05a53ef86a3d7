"""The sign-in message of EIP-4361: written here, read back field by field when it comes signed."""

import re
from datetime import datetime
from typing import Annotated

import msgspec

from entrepot.kernel.refusal import Malformed
from entrepot.kernel.wallet import Wallet

STATEMENT = "Sign in to this market. This costs nothing and moves no money."
MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[^\n]+"
FORM = re.compile(
    r"(?P<domain>[^ \n/]+) wants you to sign in with your Ethereum account:\n"
    r"(?P<wallet>0x[0-9a-fA-F]{40})\n\n"
    r"(?:(?P<statement>[^\n]+)\n)?\n"
    r"URI: (?P<uri>[^\n]+)\n"
    r"Version: (?P<version>1)\n"
    r"Chain ID: (?P<chain_id>[0-9]{1,20})\n"
    r"Nonce: (?P<nonce>[a-zA-Z0-9]{8,64})\n"
    r"Issued At: (?P<issued_at>" + MOMENT + r")"
    r"(?:\nExpiration Time: (?P<expires_at>" + MOMENT + r"))?"
    r"(?:\nNot Before: (?P<not_before>" + MOMENT + r"))?"
    r"(?:\nRequest ID: (?P<request_id>[^\n]*))?"
    r"(?:\nResources:(?P<resources>(?:\n- [^\n]+)*))?"
)
Aware = Annotated[datetime, msgspec.Meta(tz=True)]


class SignInMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an EIP-4361 message that this server looks at."""

    domain: str
    wallet: Wallet
    uri: str
    chain_id: int
    nonce: str
    issued_at: Aware
    expires_at: Aware | None = None
    not_before: Aware | None = None

    def text(self) -> str:
        """The message as a wallet shows and signs it."""
        lines = [
            f"{self.domain} wants you to sign in with your Ethereum account:",
            self.wallet,
            "",
            STATEMENT,
            "",
            f"URI: {self.uri}",
            "Version: 1",
            f"Chain ID: {self.chain_id}",
            f"Nonce: {self.nonce}",
            f"Issued At: {stamp(self.issued_at)}",
        ]
        if self.expires_at is not None:
            lines.append(f"Expiration Time: {stamp(self.expires_at)}")
        return "\n".join(lines)


def stamp(moment: datetime) -> str:
    """RFC 3339, to the second, in UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_message(text: str) -> SignInMessage:
    """The fields of a signed message; raises `Malformed` where it is not of EIP-4361's form."""
    match = FORM.fullmatch(text)
    if match is None:
        raise Malformed(field="message", reason="is not an EIP-4361 sign-in message")
    fields = {name: value for name, value in match.groupdict().items() if value is not None}
    try:
        fields["wallet"] = Wallet.parse(fields["wallet"])
        return msgspec.convert(fields, SignInMessage, strict=False, dec_hook=lambda kind, given: kind(given))
    except (ValueError, msgspec.ValidationError) as error:
        raise Malformed(field="message", reason=str(error)) from None

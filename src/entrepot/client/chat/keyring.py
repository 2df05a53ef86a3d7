"""The keys of others: kept from the first time that they were seen, and never replaced without the caller's word."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from entrepot.apps.chat.attestations import of_public_key
from entrepot.apps.chat.calls.keys import KeyLogEntry, KeyLogPage, ListKeyLog
from entrepot.apps.chat.calls.users import GetUser, User
from entrepot.client.failures import Refused
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.http.route import Ask
from entrepot.kernel.identity.signature import recovered
from entrepot.kernel.values import Base64, PublicKey
from entrepot.kernel.wallet import Wallet

T = TypeVar("T")


@dataclass(frozen=True)
class KeyChanged:
    """Messages from somebody come, and to them are to be sealed, with another key than the one that is kept here.

    It may be a new device of theirs, or somebody who reads along: ask them by another way, then `chat.keys.accept` it.
    """

    wallet: Wallet
    was: PublicKey
    now: PublicKey
    is_signed: bool
    """Whether the wallet has signed for the new key. False too of a contract wallet, which is not asked here."""


class UnacceptedKey(Exception):
    """Somebody's key has changed, and nobody has accepted the new one. Nothing was sent."""

    def __init__(self, change: KeyChanged) -> None:
        super().__init__(f"{change.wallet} has another key than before")
        self.change = change


class Keyring:
    """`kept` are the keys that each wallet is trusted by, the present one last; a caller may keep it, and put it back.

    `domain` is what wallets sign their keys for.
    """

    def __init__(self, transport: Transport, wallet: Wallet, domain: str) -> None:
        self.kept: dict[Wallet, list[PublicKey]] = {}
        self._pasts: set[Wallet] = set()
        """Who was seen here first, and whose earlier keys nobody has needed yet."""
        self._transport, self._wallet, self._domain = transport, wallet, domain

    def accept(self, change: KeyChanged) -> None:
        """From now on they are written to with the new key; what came under the old one can still be read."""
        keys = self.kept.setdefault(change.wallet, [change.was])
        self.kept[change.wallet] = [*(key for key in keys if key != change.now), change.now]

    async def to_write(self, offered: Mapping[Wallet, PublicKey | None]) -> dict[Wallet, PublicKey]:
        """The keys that the server has, but those of nobody. Raises `UnacceptedKey` where one is not the one kept."""
        for wallet, key in offered.items():
            if key is not None and self._seen(wallet, key)[-1] != key:
                raise UnacceptedKey(await self._change(wallet, key))
        return {wallet: key for wallet, key in offered.items() if key is not None}

    async def to_read(self, wallet: Wallet) -> list[PublicKey]:
        """Those that this wallet is trusted by: the one that was seen first here, and all that it had before that."""
        if wallet not in self.kept and (present := await self._present(wallet)) is not None:
            self._seen(wallet, present)
        if wallet in self._pasts and (entries := await self._log(wallet)) is not None:
            self._pasts.discard(wallet)
            log = [PublicKey(entry.key) for entry in entries if entry.key]
            first = self.kept[wallet][0]
            before = log[log.index(first) + 1 :] if first in log else []
            self.kept[wallet] = [*(key for key in reversed(before) if key != first), *self.kept[wallet]]
        return self.kept.get(wallet, [])

    def _seen(self, wallet: Wallet, key: PublicKey) -> list[PublicKey]:
        """The keys that are kept; that one, where none was."""
        if wallet not in self.kept:
            self.kept[wallet] = [key]
            self._pasts.add(wallet)
        return self.kept[wallet]

    async def changed(self, wallet: Wallet) -> KeyChanged | None:
        """Whether the server has another key of somebody than the one that is kept."""
        kept = self.kept.get(wallet)
        present = await self._present(wallet) if kept and wallet != self._wallet else None
        return None if not kept or present in (None, kept[-1]) else await self._change(wallet, PublicKey(present))

    async def _change(self, wallet: Wallet, now: PublicKey) -> KeyChanged:
        entry = next((each for each in await self._log(wallet) or () if each.key == now), None)
        return KeyChanged(wallet, self.kept[wallet][-1], now, entry is not None and self._is_signed(wallet, entry))

    def _is_signed(self, wallet: Wallet, entry: KeyLogEntry) -> bool:
        if entry.key is None or entry.signature is None or entry.version is None or entry.chain_id is None:
            return False
        text = of_public_key(self._domain, wallet, entry.key, entry.version, entry.chain_id)
        return recovered(text, "0x" + Base64(entry.signature).raw.hex()) == wallet

    async def _present(self, wallet: Wallet) -> PublicKey | None:
        """None too of whom the server does not show to us."""
        user = await self._shown("/chat/users/{wallet}", asked(GetUser, by=self._wallet, wallet=wallet), User)
        return None if user is None else user.public_key

    async def _log(self, wallet: Wallet) -> list[KeyLogEntry] | None:
        """Their NaCl keys, the newest first, as far back as a page goes; None of whom the server does not show us."""
        ask = asked(ListKeyLog, by=self._wallet, wallet=wallet, limit=PAGE)
        page = await self._shown("/chat/users/{wallet}/key-log", ask, KeyLogPage)
        return None if page is None else [entry for entry in page.items if entry.event == "public_key"]

    async def _shown(self, path: str, ask: Ask, answer: type[T]) -> T | None:
        """What the server has of somebody; None where one of us has blocked the other, as of who is not there."""
        try:
            return await self._transport.get(path, ask, answer)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None

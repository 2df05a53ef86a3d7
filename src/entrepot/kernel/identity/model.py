"""Nouns of identity: a nonce, a session, who is signed in."""

from datetime import datetime
from typing import Annotated

import msgspec

from entrepot.kernel.http.route import Ask
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet


class AskNonce(Ask, frozen=True):
    """Who wants to sign in, and on which chain the wallet is (any chain for a plain account)."""

    wallet: Wallet
    chain_id: Annotated[int, msgspec.Meta(gt=0, le=2**53 - 1)] = 1


class Nonce(msgspec.Struct, frozen=True):
    """A nonce that can be used once, and a message with it that is ready to be signed."""

    nonce: str
    message: str
    expires_at: datetime


class SignIn(Ask, frozen=True):
    """A signed EIP-4361 message."""

    message: Annotated[
        str, msgspec.Meta(min_length=1, max_length=4096, examples=["what /auth/nonce gave to be signed"])
    ]
    signature: Annotated[
        str, msgspec.Meta(pattern="^0x([0-9a-fA-F]{2})+$", max_length=8194, examples=["0x" + "5e" * 64 + "1b"])
    ]
    """65 bytes by a plain account; whatever a contract wallet takes (ERC-1271)."""
    public_key: PublicKey | None = None
    """The NaCl public key that others encrypt to; needed the first time a wallet signs in."""


class Session(msgspec.Struct, frozen=True):
    """The token is shown once; only its hash is kept."""

    token: str
    wallet: Wallet
    expires_at: datetime


class WhoAmI(Ask, frozen=True):
    """Nothing but the session."""

    by: Wallet


class Me(msgspec.Struct, frozen=True):
    """Who is signed in."""

    wallet: Wallet
    is_operator: bool


class SessionEnded(msgspec.Struct, frozen=True, tag_field="kind", tag="session_ended"):
    """A session of the wallet that this is about has ended before its time."""


class SignOut(Ask, frozen=True):
    """The session that ends."""

    by: Wallet
    session: bytes

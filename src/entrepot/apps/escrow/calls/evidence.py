"""Evidence: what its calls take and answer, and the document that is kept of it."""

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import msgspec

from entrepot.apps.escrow.calls.orders import UnsignedTransaction
from entrepot.apps.escrow.model import EvidenceType
from entrepot.kernel.http.route import Ask
from entrepot.kernel.store.cid import Cid
from entrepot.kernel.values import Base64, write_value
from entrepot.kernel.wallet import Wallet


class Ciphertext(Base64):
    """Encrypted evidence, up to 2 MiB."""

    __slots__ = ()
    most = 2 * 1024 * 1024


MOST_BODY = Ciphertext.most * 4 // 3 + 4096
"""Octets of a request that hands in as much as can be."""


class InitialVector(Base64):
    """What the cipher began with: 12 bytes (AES-GCM) or 24 (NaCl secretbox)."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {
        **Base64.schema,
        "minLength": 16,
        "maxLength": 32,
        "examples": ["aWnpNr1izVX8tz+CczfZZ7YoqPUSmi7G"],
    }

    @classmethod
    def parse(cls, given: object) -> Self:
        vector = super().parse(given)
        if len(vector.raw) not in (12, 24):
            raise ValueError(f"must hold 12 or 24 bytes, not {len(vector.raw)}")
        return vector


class WrappedKey(Base64):
    """The key of the evidence, sealed to one reader's public key."""

    __slots__ = ()
    most = 512


READERS = {
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8": "c2VhbGVkIHRvIHRoZSBidXllcg==",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC": "c2VhbGVkIHRvIHRoZSBzZWxsZXI=",
    "0x90F79bf6EB2c4f870365E785982E1f101E93b906": "c2VhbGVkIHRvIHRoZSBhcmJpdHJhdG9y",
}
Keys = Annotated[dict[Wallet, WrappedKey], msgspec.Meta(min_length=3, max_length=3, examples=[READERS])]
"""By wallet: the buyer's, the seller's and the arbitrator's, and nobody else's."""


class SubmitEvidence(Ask, frozen=True):
    """What a party wants the arbitrator to see. The server cannot."""

    by: Wallet
    order_id: UUID
    encrypted_data: Ciphertext
    iv: InitialVector
    keys: Keys
    evidence_type: EvidenceType = EvidenceType.OTHER


class GetEvidence(Ask, frozen=True):
    """One piece of evidence of one trade."""

    by: Wallet
    order_id: UUID
    cid: Cid


class SealedEvidence(msgspec.Struct, frozen=True):
    """The document that is kept, which only the two parties and the arbitrator can open."""

    encrypted_data: Ciphertext
    iv: InitialVector
    keys: Keys


class SubmittedEvidence(msgspec.Struct, frozen=True):
    """The evidence is kept; it counts once the contract has this transaction."""

    cid: Cid
    size: int
    """Bytes of the document that the CID addresses."""
    transaction: UnsignedTransaction


def document(sealed: SealedEvidence) -> bytes:
    """The document as it is kept and addressed: the same members always make the same bytes."""
    return msgspec.json.encode(sealed, enc_hook=write_value, order="deterministic")

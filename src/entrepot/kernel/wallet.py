"""Wallet addresses: EIP-55 checksum text, wherever they stand."""

from functools import lru_cache
from typing import Any, ClassVar, Self

from eth_hash.auto import keccak

from entrepot.kernel.values import Value

ZERO = "0x" + "0" * 40


@lru_cache(maxsize=65_536)
def checksum(address: str) -> str:
    """EIP-55 form of 0x and 40 hexadecimal digits in any case; raises ValueError for anything else."""
    digits = address[2:].lower()
    if len(address) != 42 or address[:2] != "0x" or digits.strip("0123456789abcdef"):
        raise ValueError("must be 0x and 40 hexadecimal digits")
    digest = keccak(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(h, 16) > 7 else c for c, h in zip(digits, digest, strict=False))


class Wallet(Value, str):
    """A wallet address. Mixed case must carry the right EIP-55 checksum; one case throughout is accepted."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": "^0x[0-9a-fA-F]{40}$",
        "description": "EIP-55 checksum address",
        "examples": ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"],
    }

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str):
            raise ValueError("must be a string")
        right = checksum(given)
        digits = given[2:]
        if given != right and digits not in (digits.lower(), digits.upper()):
            raise ValueError(f"has a wrong EIP-55 checksum; did you mean {right}?")
        return cls(right)

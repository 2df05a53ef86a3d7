"""The bloom filter of a block (Ethereum yellow paper, 4.3.1): whether it may hold certain logs, or surely does not."""

from collections.abc import Iterable

from eth_hash.auto import keccak


def may_hold(bloom: str, address: str, topics: Iterable[str]) -> bool:
    """False: no log of this contract with one of these first topics is in the block. All are hexadecimal with 0x."""
    bits = int(bloom, 16)
    return _has(bits, address) and any(_has(bits, topic) for topic in topics)


def _has(bits: int, value: str) -> bool:
    digest = keccak(bytes.fromhex(value[2:]))
    places = (int.from_bytes(digest[at : at + 2], "big") & 2047 for at in (0, 2, 4))
    return all(bits >> place & 1 for place in places)

"""The chain that the contract tests run on: its clock, its blocks and their hashes."""

from functools import cache

import boa
from eth_utils import keccak

HASHES_KEPT = 256


@cache
def block_hash(number: int) -> bytes:
    return keccak(text=f"block {number}")


def now() -> int:
    return boa.env.evm.patch.timestamp


def height() -> int:
    return boa.env.evm.patch.block_number


def move(seconds: int = 0, blocks: int = 0) -> None:
    """Lets time pass and blocks be made; each on its own, so that tests can stand on the edge of either."""
    patch = boa.env.evm.patch
    patch.timestamp += seconds
    patch.block_number += blocks
    kept = range(patch.block_number - 1, max(patch.block_number - 1 - HASHES_KEPT, -1), -1)
    patch.prev_hashes = [block_hash(number) for number in kept]


def move_to(timestamp: int) -> None:
    assert timestamp >= now(), "time does not go back"
    move(seconds=timestamp - now())

"""The IPFS address of some bytes: the CIDv1 that `ipfs add --cid-version=1` gives them.

Chunks of 256 KiB are raw leaves; where there are several, a balanced tree of dag-pb nodes with at most 174 links each
holds them together. Sources: github.com/multiformats/cid, ipld.io/specs/codecs/dag-pb, specs.ipfs.tech/unixfs. The
Python packages that make CIDs stop at a single block, so the tree is built here.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from entrepot.kernel.values import Value

CHUNK = 262_144
LINKS = 174
RAW, DAG_PB = 0x55, 0x70  # multicodecs
SHA2_256 = b"\x12\x20"  # multihash: the function, and the length of its digest
FILE = 2  # UnixFS Data.Type


class Cid(Value, str):
    """A CIDv1 in base32 of a raw or a dag-pb block, by SHA-256."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": "^baf(krei|ybei)[a-z2-7]{52}$",
        "description": "IPFS CID, version 1, in base32",
        "examples": ["bafkreifhogrz5t5g7e3ftipaz2u72xhylzouc7i5xyhfgc5x6n6apobyje"],
    }

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str) or len(given) != 59 or given[:1] != "b" or given != given.lower():
            raise ValueError("must be an IPFS CID of version 1 in base32")
        try:
            raw = base64.b32decode(given[1:].upper() + "======")
        except ValueError:
            raise ValueError("must be an IPFS CID of version 1 in base32") from None
        if raw[:1] != b"\x01" or raw[1] not in (RAW, DAG_PB) or raw[2:4] != SHA2_256 or cls(text(raw)) != given:
            raise ValueError("must be the CID of a raw or dag-pb block by SHA-256")
        return cls(given)


@dataclass(frozen=True)
class Node:
    """A node of the tree: its binary CID, how much of the content is below it, and how large all its blocks are."""

    cid: bytes
    content: int
    total: int


def text(raw: bytes) -> str:
    """A binary CID in multibase base32."""
    return "b" + base64.b32encode(raw).decode().rstrip("=").lower()


def cid_of(content: bytes) -> Cid:
    """The address of these bytes."""
    view = memoryview(content)
    level = [leaf(view[start : start + CHUNK]) for start in range(0, len(content), CHUNK)] or [leaf(view)]
    while len(level) > 1:
        level = [parent(level[start : start + LINKS]) for start in range(0, len(level), LINKS)]
    return Cid(text(level[0].cid))


def leaf(chunk: memoryview) -> Node:
    """A chunk as a raw block."""
    return Node(block_cid(RAW, chunk), len(chunk), len(chunk))


def parent(children: Sequence[Node]) -> Node:
    """A dag-pb block that links to its children, with the UnixFS description of the file's part below it."""
    content = sum(child.content for child in children)
    sizes = b"".join(number(4, child.content) for child in children)
    links = b"".join(octets(2, octets(1, child.cid) + octets(2, b"") + number(3, child.total)) for child in children)
    block = links + octets(1, number(1, FILE) + number(3, content) + sizes)
    return Node(block_cid(DAG_PB, block), content, len(block) + sum(child.total for child in children))


def block_cid(codec: int, block: bytes | memoryview) -> bytes:
    """The binary CID of one block."""
    return bytes((1, codec)) + SHA2_256 + hashlib.sha256(block).digest()


def varint(value: int) -> bytes:
    """Protobuf's base-128 integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A protobuf field that holds an integer."""
    return varint(field << 3) + varint(value)


def octets(field: int, value: bytes) -> bytes:
    """A protobuf field that holds bytes, a text or a message."""
    return varint(field << 3 | 2) + varint(len(value)) + value

"""Values that check themselves: the types by which input is refused before an operation sees it.

A value type is a subclass of `str` or `Decimal` with `parse`, which msgspec calls for every field of that type, and
`schema`, which the OpenAPI document shows.
"""

import base64
import re
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self
from uuid import UUID

import msgspec
import uuid_utils


class Value:
    """Mixed into a builtin type: how its text is checked and described."""

    schema: ClassVar[dict[str, Any]] = {"type": "string"}

    @classmethod
    def parse(cls, given: object) -> Self:
        """The checked value; raises ValueError with a reason that a caller can act on."""
        raise ValueError(f"{cls.__name__} cannot be read from {type(given).__name__}")


CANONICAL = re.compile("[A-Za-z0-9+/]*(?:[AEIMQUYcgkosw048]=|[AQgw]==)?")
"""Base64 of whole groups of four, whose unused bits are zero: the text is checked as it stands, and decoded only where
its bytes are needed."""


class Base64(Value, str):
    """Canonical base64 text (RFC 4648, padded). `octets` fixes the decoded length; None leaves it free."""

    __slots__ = ()
    octets: ClassVar[int | None] = None
    most: ClassVar[int] = 65_536
    schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "contentEncoding": "base64",
        "minLength": 4,
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        "examples": ["c2VhbGVkIHRvIHlvdXIga2V5"],
    }

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str):
            raise ValueError("must be a base64 string")
        if len(given) > cls.most * 4 // 3 + 4:
            raise ValueError(f"must hold at most {cls.most} bytes")
        if not given or len(given) % 4 or not CANONICAL.fullmatch(given):
            raise ValueError("must be base64 with padding")
        octets = len(given) // 4 * 3 - given.count("=")
        if cls.octets is not None and octets != cls.octets:
            raise ValueError(f"must hold {cls.octets} bytes, not {octets}")
        if octets > cls.most:
            raise ValueError(f"must hold at most {cls.most} bytes")
        return cls(given)

    @property
    def raw(self) -> bytes:
        """The bytes behind the text."""
        return base64.b64decode(self)


UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, and those that hide text or override its direction."""
SHOWN = r"^[^\u0000-\u0008{}\u000b-\u001f\u007f-\u009f\u200b\u2028-\u202e\u2066-\u2069\ufeff]+$"
"""The same for the OpenAPI document, which cannot name surrogates; the braces take tab and line feed."""


class Text(Value, str):
    """Words for people: something to be seen, and nothing that cannot be. `lines` allows line breaks and tabs."""

    __slots__ = ()
    most: ClassVar[int] = 100
    lines: ClassVar[bool] = False
    example: ClassVar[str] = "a few words"

    def __init_subclass__(cls) -> None:
        pattern = SHOWN.format("" if cls.lines else r"\u0009\u000a")
        shown = {"maxLength": cls.most, "pattern": pattern, "examples": [cls.example]}
        cls.schema = {"type": "string", "minLength": 1, **shown}

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str):
            raise ValueError("must be a string")
        if len(given) > cls.most:
            raise ValueError(f"must have at most {cls.most} characters")
        if not any(character.isprintable() and character != " " for character in given):
            raise ValueError("must not be empty")
        if UNPRINTABLE.search(given) or (not cls.lines and ("\n" in given or "\t" in given)):
            raise ValueError("must hold no control characters")
        return cls(given)


SMALL_ORDER = frozenset(
    number.to_bytes(32, "little")
    for number in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        2**255 - 20,
        2**255 - 19,
        2**255 - 18,
    )
)
"""Points with which X25519 makes zeros of every private key (cr.yp.to/ecdh.html); it reads all bits but the highest."""


class PublicKey(Base64):
    """An X25519 (NaCl box) public key: 32 bytes, and none with which libsodium refuses to seal."""

    __slots__ = ()
    octets = 32
    schema: ClassVar[dict[str, Any]] = {
        **Base64.schema,
        "minLength": 44,
        "maxLength": 44,
        "pattern": "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$",
        "examples": ["hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="],
    }

    @classmethod
    def parse(cls, given: object) -> Self:
        key = super().parse(given)
        if key.raw[:-1] + bytes([key.raw[-1] & 0x7F]) in SMALL_ORDER:
            raise ValueError("must be a key that something can be sealed to")
        return key


class BoxNonce(Base64):
    """The nonce of a NaCl box: 24 bytes."""

    __slots__ = ()
    octets = 24
    schema: ClassVar[dict[str, Any]] = {
        **Base64.schema,
        "minLength": 32,
        "maxLength": 32,
        "pattern": "^[A-Za-z0-9+/]{32}$",
        "examples": ["aWnpNr1izVX8tz+CczfZZ7YoqPUSmi7G"],
    }


class Hash32(Value, str):
    """32 bytes as 0x and 64 lower-case hexadecimal digits."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": "^0x[0-9a-fA-F]{64}$",
        "examples": ["0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    }

    @classmethod
    def parse(cls, given: object) -> Self:
        text = given.lower() if isinstance(given, str) else ""
        if len(text) != 66 or not text.startswith("0x") or text.strip("0123456789abcdefx") or "x" in text[2:]:
            raise ValueError("must be 0x and 64 hexadecimal digits")
        return cls(text)


def read_value(kind: type, given: object) -> Any:
    """The msgspec hook for input: value types check what they are given."""
    if issubclass(kind, Value):
        return kind.parse(given)
    raise NotImplementedError(f"{kind.__name__} is not a value type")


def trust_value(kind: type, given: Any) -> Any:
    """The msgspec hook for our own rows: they were checked when they were written."""
    return kind(given)


def write_value(given: object) -> object:
    """The msgspec hook for answers."""
    if isinstance(given, str):
        return str(given)
    if isinstance(given, Decimal):
        return format(given, "f")
    raise NotImplementedError(f"{type(given).__name__} cannot be written as JSON")


def describe_value(kind: type) -> dict[str, Any]:
    """The msgspec hook for JSON Schema."""
    if issubclass(kind, Value):
        return kind.schema
    raise NotImplementedError(f"{kind.__name__} has no schema")


ENCODER = msgspec.json.Encoder(enc_hook=write_value)


def new_id() -> UUID:
    """A UUID of version 7, made here because PostgreSQL 15 has no uuidv7()."""
    return UUID(int=uuid_utils.uuid7().int)


def least_id(moment: datetime) -> UUID:
    """The least id of version 7 that could be made at a moment, as `core.least_id` reckons it; precise to the ms."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)

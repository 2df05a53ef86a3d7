"""Contracts by their ABI: calls and answers by eth-abi, events by decoders that are generated once per event."""

import keyword
import re
from binascii import unhexlify
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec
from eth_abi.abi import encode
from eth_abi.codec import ABIDecoder
from eth_abi.decoding import StringDecoder
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.grammar import parse
from eth_abi.registry import BaseEquals, registry
from eth_hash.auto import keccak

from entrepot.kernel.chain.rpc import Log
from entrepot.kernel.wallet import checksum

ZEROS = [bytes(n) for n in range(33)]
WORD = re.compile(r"(address|bool|uint|int|bytes)(\d*)")
HEX = re.compile(r"0x[0-9a-fA-F]*")
ARRAY = re.compile(r"(.*)\[\d*\]")
SEAM = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
UNREADABLE = (DecodingError, ValueError, OverflowError)
INSTEAD = "\ufffd"
"""Stands for what is no text. Whoever calls a contract chooses the text in its event, and a contract takes any bytes:
neither bytes that are not UTF-8 nor NUL, which PostgreSQL cannot keep, may stop a mirror."""


def _forgiving() -> ABIDecoder:
    """eth-abi's decoder, but for texts, which are strict in it."""
    known = registry.copy()  # type: ignore[no-untyped-call]
    known.unregister_decoder("string")
    text = StringDecoder(handle_string_errors="replace")  # type: ignore[no-untyped-call]
    known.register_decoder(BaseEquals("string"), text, label="string")  # type: ignore[no-untyped-call]
    return ABIDecoder(known)


decode = _forgiving().decode


class DecodeError(ValueError):
    """A log or an answer that the contract's ABI does not allow."""

    def __init__(self, noun: str, field: str, why: str) -> None:
        self.noun, self.field = noun, field
        super().__init__(f"{noun}.{field} {why}")


class EncodeError(ValueError):
    """Arguments that a function does not take."""

    def __init__(self, function: str, why: str) -> None:
        self.function = function
        super().__init__(f"{function}: {why}")


class Event(msgspec.Struct, frozen=True):
    """A decoded event. Fields are the ABI's in its order, spelled in snake case (`orderId` is `order_id`, `from` is
    `from_`); integers are int, bytes are bytes, addresses are text, indexed strings and arrays are their 32-byte hash.
    """


class Parameter(msgspec.Struct, frozen=True):
    """One input, output or field: its name in the ABI and in Python, and its canonical type."""

    name: str
    field: str
    type: str
    indexed: bool
    parts: tuple["Parameter", ...] = ()

    @property
    def bits(self) -> int | None:
        """The width of a type that fits one word; None for anything longer."""
        found = WORD.fullmatch(self.type)
        if found is None:
            return None
        if found[1] in {"address", "bool"}:
            return 160 if found[1] == "address" else 1
        return int(found[2]) * (8 if found[1] == "bytes" else 1) if found[2] else None


class Function(msgspec.Struct, frozen=True):
    """A callable of a contract; `selector` is the first four bytes of its call data."""

    name: str
    selector: bytes
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]


Decoder = Callable[[Log], Event]
Spelling = Callable[[str], str]


class Contract:
    """What a contract says and understands.

    `nouns` are Event classes that take the place of the generated ones of the same name; their fields must be the
    event's. `addresses` spells every decoded address; `str.lower` is the fastest. Raises ValueError for an ABI with
    two events of one topic and for a noun that differs from its event.
    """

    def __init__(
        self,
        abi: Sequence[Mapping[str, Any]],
        nouns: Sequence[type[Event]] = (),
        *,
        addresses: Spelling = checksum,
    ) -> None:
        self._spell = addresses
        self._decoders: dict[str, Decoder] = {}
        self.events: dict[str, type[Event]] = {}
        self.topics: dict[str, str] = {}
        declared = {noun.__name__: noun for noun in nouns}
        for entry in abi:
            if entry["type"] == "event" and not entry.get("anonymous", False):
                self._add_event(entry, declared)
        functions = [entry for entry in abi if entry["type"] == "function"]
        self._functions = [_function(entry) for entry in functions]
        built = [entry for entry in abi if entry["type"] == "constructor"]
        self._constructor = _parameters(built[0]["inputs"]) if built else ()
        if unknown := declared.keys() - self.events.keys():
            raise ValueError(f"the ABI has no event {', '.join(sorted(unknown))}")

    def decode(self, log: Log) -> Event | None:
        """The event, or None when it is none of this contract's. Raises DecodeError for a malformed one."""
        topics = log.topics
        decoder = self._decoders.get(topics[0]) if topics else None
        return None if decoder is None else decoder(log)

    def encode_call(self, function: str, *arguments: object) -> bytes:
        """Call data. An overloaded function is named by its signature or told apart by the number of arguments."""
        chosen = self._find(function, len(arguments))
        return chosen.selector + _encode(chosen.name, chosen.inputs, arguments)

    def encode_constructor(self, *arguments: object) -> bytes:
        """What follows the bytecode of a deployment."""
        return _encode("constructor", self._constructor, arguments)

    def decode_result(self, function: str, data: bytes) -> Any:
        """What a call returned: the value itself, or a struct of several. Raises DecodeError."""
        chosen = self._find(function, None)
        if not data and chosen.outputs:
            raise DecodeError(chosen.name, "result", "is empty: is there such a contract at this address?")
        values = _decode(chosen.name, chosen.outputs, data, self._spell)
        if len(values) == 1:
            return values[0]
        return _record(chosen.name, tuple(field.field for field in chosen.outputs))(*values) if values else None

    def _find(self, function: str, arity: int | None) -> Function:
        named = [each for each in self._functions if function in {each.name, _signature(each.name, each.inputs)}]
        fitting = named if len(named) == 1 or arity is None else [each for each in named if len(each.inputs) == arity]
        if not fitting:
            raise EncodeError(function, "the contract has no such function")
        if len({(each.outputs if arity is None else each.inputs) for each in fitting}) > 1:
            raise EncodeError(function, "is overloaded: name it by its signature")
        return fitting[0]

    def _add_event(self, entry: Mapping[str, Any], declared: Mapping[str, type[Event]]) -> None:
        name, fields = entry["name"], _parameters(entry["inputs"])
        signature = _signature(name, fields)
        topic = "0x" + keccak(signature.encode()).hex()
        if topic in self._decoders:
            raise ValueError(f"the ABI has two events {signature}")
        wanted = tuple(field.field for field in fields)
        noun = declared.get(name) or _generated(name, wanted)
        if noun.__struct_fields__ != wanted:
            raise ValueError(f"{name} must have the fields {', '.join(wanted)} in this order")
        known = signature if name in self.topics else name
        self.topics[known], self.events[known] = topic, noun
        self._decoders[topic] = _event_decoder(name, fields, noun, self._spell)


def _event_decoder(name: str, fields: Sequence[Parameter], noun: type[Event], spell: Spelling) -> Decoder:
    """Compiles the source of one event's decoder: what is fixed by the ABI becomes constants and straight code.

    The words of a log, topics before data, are read as one string of bytes; a field of a static type is a word of it.
    Data that holds a dynamic type is left to eth-abi.
    """
    indexed = [field for field in fields if field.indexed]
    plain = [field for field in fields if not field.indexed]
    static = all(field.bits is not None for field in plain)
    scope: dict[str, Any] = {
        "noun": noun,
        "spell": spell,
        "unhexlify": unhexlify,
        "number": int.from_bytes,
        "zeros": ZEROS,
        "misshapen": lambda log: _misshapen(name, fields, static, log),
        "tail": lambda log: _tail(name, plain, log, spell),
        "refused": lambda at, why: DecodeError(name, fields[at].name, why),
    }
    source = "\n".join(_source(fields, indexed, plain, static=static))
    exec(compile(source, f"<decoder of {name}>", "exec"), scope)  # noqa: S102
    decoder: Decoder = scope["decode"]
    return decoder


def _source(
    fields: Sequence[Parameter], indexed: Sequence[Parameter], plain: Sequence[Parameter], *, static: bool
) -> list[str]:
    """The lines of one decoder; every name in them is made here, so that no ABI can smuggle code in."""
    topics = [f"t{n}" for n in range(1, len(indexed) + 1)]
    shapes = [f"len({topic}) != 66 or {topic}[:2] != '0x'" for topic in topics]
    shapes.append(f"len(data) != {2 + 64 * len(plain)} or data[:2] != '0x'" if static else "data[:2] != '0x'")
    words = [f"{topic}[2:]" for topic in topics] + ["data[2:]"] * static
    lines = [
        "def decode(log):",
        "    topics, data = log.topics, log.data",
        f"    if len(topics) != {len(topics) + 1}: raise misshapen(log)",
        f"    {', '.join(['_', *topics])}, = topics",
        f"    if {' or '.join(shapes)}: raise misshapen(log)",
        f"    try: raw = unhexlify({' + '.join(words) or repr('')})",
        "    except ValueError: raise misshapen(log) from None",
        *([] if static else ["    rest = tail(log)"]),
    ]
    place = {field: number for number, field in enumerate([*indexed, *plain])}
    for number, field in enumerate(fields):
        if static or field.indexed:
            lines += _word(number, field, place[field] * 32)
        else:
            lines.append(f"    v{number} = rest[{place[field] - len(indexed)}]")
    return [*lines, f"    return noun({', '.join(f'v{number}' for number in range(len(fields)))})"]


def _word(number: int, field: Parameter, at: int) -> list[str]:
    """The lines that read and check field `number`, which is the word at byte `at`."""
    kind, value, bits = field.type, f"v{number}", field.bits
    raw = f"raw[{at}:{at + 32}]"
    if bits is None:  # an indexed dynamic value: the chain holds its hash
        return [f"    {value} = {raw}"]
    if kind == "bool":
        return [
            f"    {value} = number({raw}, 'big')",
            f"    if {value} > 1: raise refused({number}, 'is neither 0 nor 1')",
            f"    {value} = {value} == 1",
        ]
    if kind.startswith("int"):
        reason = f"'does not fit {kind}'"
        return [
            f"    {value} = number({raw}, 'big', signed=True)",
            f"    if not {-(2 ** (bits - 1))} <= {value} < {2 ** (bits - 1)}: raise refused({number}, {reason})",
        ]
    octets, pad = bits // 8, 32 - bits // 8
    first, last = (at, at + octets) if kind.startswith("bytes") else (at + pad, at + 32)
    padding = f"raw[{last}:{at + 32}]" if kind.startswith("bytes") else f"raw[{at}:{first}]"
    check = [f"    if {padding} != zeros[{pad}]: raise refused({number}, 'does not fit {kind}')"] if pad else []
    held = f"raw[{first}:{last}]"
    read = {"address": f"spell('0x' + {held}.hex())", "bytes": held, "uint": f"number({held}, 'big')"}
    return [*check, f"    {value} = {read[kind.rstrip('0123456789')]}"]


def _misshapen(name: str, fields: Sequence[Parameter], static: bool, log: Log) -> DecodeError:  # noqa: FBT001
    """Which part of a log has not the form that its event asks for."""
    indexed = [field for field in fields if field.indexed]
    if len(log.topics) != len(indexed) + 1:
        return DecodeError(name, "topics", f"are {len(log.topics)} in number, not {len(indexed) + 1}")
    parts = [(field.name, topic, 32) for field, topic in zip(indexed, log.topics[1:], strict=True)]
    parts.append(("data", log.data, 32 * (len(fields) - len(indexed)) if static else -1))
    for part, text, octets in parts:
        if not HEX.fullmatch(text):
            return DecodeError(name, part, "is not hexadecimal")
        if octets >= 0 and len(text) != 2 + 2 * octets:
            return DecodeError(name, part, f"has {len(text) / 2 - 1:g} bytes, not {octets}")
    return DecodeError(name, "data", "is not hexadecimal")  # an odd number of digits


def _tail(name: str, plain: Sequence[Parameter], log: Log, spell: Spelling) -> tuple[Any, ...]:
    try:
        data = unhexlify(log.data[2:])
    except ValueError:
        raise DecodeError(name, "data", "is not hexadecimal") from None
    return _decode(name, plain, data, spell)


def _decode(name: str, wanted: Sequence[Parameter], data: bytes, spell: Spelling) -> tuple[Any, ...]:
    """By eth-abi, strictly; the error names the first value that cannot be read."""
    types = [each.type for each in wanted]
    try:
        values = decode(types, data)
    except UNREADABLE as wrong:
        known = [n for n in range(len(types)) if _readable(types[: n + 1], data)]
        raise DecodeError(name, wanted[min(len(known), len(types) - 1)].name, f"cannot be read: {wrong}") from None
    return tuple(_polish(each, value, spell) for each, value in zip(wanted, values, strict=True))


def _readable(types: Sequence[str], data: bytes) -> bool:
    try:
        decode(types, data)
    except UNREADABLE:
        return False
    return True


def _polish(kind: Parameter, value: Any, spell: Spelling) -> Any:
    """Addresses spelled, tuples as structs, arrays as tuples, at any depth."""
    if found := ARRAY.fullmatch(kind.type):
        element = msgspec.structs.replace(kind, type=found[1])
        return tuple(_polish(element, each, spell) for each in value)
    if kind.parts:
        held = [_polish(part, each, spell) for part, each in zip(kind.parts, value, strict=True)]
        return _record(kind.name, tuple(part.field for part in kind.parts))(*held)
    if kind.type == "string":
        return value.replace("\0", INSTEAD)
    return spell(value) if kind.type == "address" else value


def _encode(name: str, inputs: Sequence[Parameter], arguments: Sequence[object]) -> bytes:
    if len(arguments) != len(inputs):
        raise EncodeError(name, f"takes {len(inputs)} arguments, not {len(arguments)}")
    try:
        return encode([each.type for each in inputs], arguments)
    except (EncodingError, TypeError, ValueError, OverflowError) as wrong:
        raise EncodeError(name, str(wrong)) from None


def _function(entry: Mapping[str, Any]) -> Function:
    inputs, outputs = _parameters(entry["inputs"]), _parameters(entry.get("outputs", ()))
    selector = keccak(_signature(entry["name"], inputs).encode())[:4]
    return Function(entry["name"], selector, inputs, outputs)


def _parameters(entries: Sequence[Mapping[str, Any]]) -> tuple[Parameter, ...]:
    return tuple(_parameter(number, entry) for number, entry in enumerate(entries))


def _parameter(number: int, entry: Mapping[str, Any]) -> Parameter:
    name = entry.get("name") or f"arg{number}"
    parts = _parameters(entry.get("components", ()))
    kind = entry["type"].replace("tuple", f"({','.join(part.type for part in parts)})", 1)
    parse(kind).validate()
    field = SEAM.sub("_", name.lstrip("_")).lower() or f"arg{number}"
    field += "_" * keyword.iskeyword(field)
    return Parameter(name, field, kind, bool(entry.get("indexed", False)), parts)


def _signature(name: str, fields: Sequence[Parameter]) -> str:
    return f"{name}({','.join(field.type for field in fields)})"


def _generated(name: str, fields: tuple[str, ...]) -> type[Event]:
    noun = msgspec.defstruct(name, fields, bases=(Event,), frozen=True, gc=False)
    return cast("type[Event]", noun)


@lru_cache(maxsize=1_024)
def _record(name: str, fields: tuple[str, ...]) -> type[msgspec.Struct]:
    return msgspec.defstruct(name, fields, frozen=True)

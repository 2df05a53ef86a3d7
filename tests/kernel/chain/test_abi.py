"""Contracts by their ABI: generated event decoders against eth-abi, on honest, random and corrupted logs."""

import json
import time
from binascii import unhexlify
from pathlib import Path

import eth_abi
import msgspec
import pytest
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from entrepot.kernel.chain.abi import Contract, DecodeError, EncodeError, Event
from entrepot.kernel.chain.artifacts import SOURCE_TREE, Artifact, NoSuchArtifact
from entrepot.kernel.chain.rpc import Log
from entrepot.kernel.wallet import checksum

MAINNET = Path(__file__).parents[4] / "shared" / "data" / "evm" / "mainnet_logs_17173049_17173050.jsonl"
STATIC = ["address", "bool", "uint8", "uint96", "uint256", "int8", "int168", "int256", "bytes1", "bytes20", "bytes32"]
DYNAMIC = ["string", "bytes", "uint8[]", "address[2]", "(bool,string)", "(uint8,address)[]"]
CALMLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine is shared
ALICE, BOB = "0x" + "aB" * 20, "0x" + "0c" * 20


def parameter(name, kind, *, indexed=False):
    if kind.startswith("("):
        inner, _, suffix = kind[1:].rpartition(")")
        parts = [parameter(f"p{n}", part) for n, part in enumerate(inner.split(","))]
        return {"name": name, "type": "tuple" + suffix, "components": parts, "indexed": indexed}
    return {"name": name, "type": kind, "indexed": indexed}


def event(name, *fields):
    """An ABI entry; a field is (name, type) or (name, type, True) for an indexed one."""
    inputs = [parameter(field[0], field[1], indexed=len(field) > 2) for field in fields]
    return {"type": "event", "name": name, "anonymous": False, "inputs": inputs}


def function(name, inputs=(), outputs=()):
    return {
        "type": "function",
        "name": name,
        "inputs": [parameter(f"in{n}", kind) for n, kind in enumerate(inputs)],
        "outputs": [parameter(*each) for each in outputs],
    }


def log(topics, data):
    return Log(ALICE.lower(), tuple(topics), data, 1, "0x" + "1" * 64, "0x" + "2" * 64, 0)


def word(kind, value):
    return "0x" + eth_abi.encode([kind], [value]).hex()


TRANSFER = event("Transfer", ("from", "address", True), ("to", "address", True), ("value", "uint256"))
ERC20 = Contract([TRANSFER])


def transfer(*, sender=ALICE, to=BOB, value=7):
    return log([ERC20.topics["Transfer"], word("address", sender), word("address", to)], word("uint256", value))


def value_of(kind):
    """Any value of a type, as eth-abi takes it."""
    if kind.endswith("[]"):
        return st.lists(value_of(kind[:-2]), max_size=3).map(tuple)
    if kind.endswith("[2]"):
        return st.tuples(value_of(kind[:-3]), value_of(kind[:-3]))
    if kind.startswith("("):
        return st.tuples(*[value_of(part) for part in kind[1:-1].split(",")])
    if kind.startswith("uint"):
        return st.integers(0, 2 ** int(kind[4:]) - 1)
    if kind.startswith("int"):
        return st.integers(-(2 ** (int(kind[3:]) - 1)), 2 ** (int(kind[3:]) - 1) - 1)
    if kind == "bytes":
        return st.binary(max_size=70)
    if kind.startswith("bytes"):
        return st.binary(min_size=int(kind[5:]), max_size=int(kind[5:]))
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
    return st.booleans() if kind == "bool" else st.text("aZ0 \0é漢🦊", max_size=40)


@st.composite
def described(draw, kinds):
    """A random event with values: (ABI entry, types, values, which are indexed)."""
    types = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=6))
    indexed = [draw(st.booleans()) and kind in STATIC and n < 3 for n, kind in enumerate(types)]
    entry = event(
        "Seen", *[(f"f{n}", kind, True)[: 2 + mark] for n, (kind, mark) in enumerate(zip(types, indexed, strict=True))]
    )
    return entry, types, [draw(value_of(kind)) for kind in types], indexed


def emitted(contract, types, values, indexed):
    told = list(zip(types, values, indexed, strict=True))
    plain = [(kind, value) for kind, value, mark in told if not mark]
    data = eth_abi.encode([kind for kind, _ in plain], [value for _, value in plain])
    topics = [word(kind, value) for kind, value, mark in told if mark]
    return log([contract.topics["Seen"], *topics], "0x" + data.hex())


def by_eth_abi(types, indexed, seen):
    """What eth-abi reads in a log; raises what it raises. Its one laxity, data after the end, is made good."""
    plain = [kind for kind, mark in zip(types, indexed, strict=True) if not mark]
    data = unhexlify(seen.data[2:])
    if all(kind in STATIC for kind in plain) and len(data) != 32 * len(plain):
        raise ValueError("length")
    rest, topics = iter(eth_abi.decode(plain, data)), iter(seen.topics[1:])
    found = []
    for kind, mark in zip(types, indexed, strict=True):
        found.append(eth_abi.decode([kind], unhexlify(next(topics)[2:]))[0] if mark else next(rest))
    return found


def plainly(value):
    """Structs as tuples and texts without NUL, so that they compare with what eth-abi gives."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, msgspec.Struct):
        return tuple(plainly(each) for each in msgspec.structs.astuple(value))
    return tuple(plainly(each) for each in value) if isinstance(value, tuple) else value


def agree(contract, types, indexed, seen):
    """Both read the same, or both refuse."""
    try:
        right = by_eth_abi(types, indexed, seen)
    except UnicodeDecodeError:
        contract.decode(seen)
        return
    except (eth_abi.exceptions.DecodingError, ValueError, OverflowError):
        with pytest.raises(DecodeError, match="Seen"):
            contract.decode(seen)
        return
    assert [plainly(value) for value in msgspec.structs.astuple(contract.decode(seen))] == list(map(plainly, right))


@CALMLY
@given(described(STATIC))
def test_static_events_are_read_as_eth_abi_reads_them(told):
    entry, types, values, indexed = told
    contract = Contract([entry], addresses=str.lower)
    found = contract.decode(emitted(contract, types, values, indexed))
    assert list(msgspec.structs.astuple(found)) == values


@CALMLY
@given(described(STATIC + DYNAMIC))
def test_dynamic_events_are_read_as_eth_abi_reads_them(told):
    entry, types, values, indexed = told
    contract = Contract([entry], addresses=str.lower)
    agree(contract, types, indexed, emitted(contract, types, values, indexed))


@CALMLY
@given(described(STATIC + DYNAMIC), st.data())
def test_corrupted_logs_are_refused_exactly_where_eth_abi_refuses_them(told, data):
    entry, types, values, indexed = told
    contract = Contract([entry], addresses=str.lower)
    honest = emitted(contract, types, values, indexed)
    parts = [*honest.topics[1:], honest.data]
    assume(any(len(part) > 2 for part in parts))
    which = data.draw(st.sampled_from([n for n, part in enumerate(parts) if len(part) > 2]))
    at = 2 + data.draw(st.integers(0, len(parts[which]) - 3))
    digit = data.draw(st.sampled_from("01f8cF") | st.sampled_from("g _-x٣"))
    parts[which] = parts[which][:at] + digit + parts[which][at + 1 :]
    agree(contract, types, indexed, log([honest.topics[0], *parts[:-1]], parts[-1]))


@CALMLY
@given(st.sampled_from(STATIC), st.binary(min_size=32, max_size=32), st.booleans())
def test_a_random_word_is_read_or_refused_as_by_eth_abi(kind, raw, mark):
    contract = Contract([event("Seen", ("f", kind, True)[: 2 + mark])], addresses=str.lower)
    text = "0x" + raw.hex()
    seen = log([contract.topics["Seen"], text], "0x") if mark else log([contract.topics["Seen"]], text)
    agree(contract, [kind], [mark], seen)


@pytest.mark.parametrize("kind", STATIC)
def test_the_edges_of_a_type_are_where_eth_abi_has_them(kind):
    contract = Contract([event("Seen", ("f", kind))], addresses=str.lower)
    for edge in {sign * 2**bits + near for sign in (1, -1) for bits in range(256) for near in (-2, -1, 0, 1, 2)}:
        agree(contract, [kind], [False], log([contract.topics["Seen"]], f"0x{edge % 2**256:064x}"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda t, d: (t[:2], d), "topics"),
        (lambda t, d: ([*t, t[1]], d), "topics"),
        (lambda t, d: ([t[0], t[1][:-2], t[2] + "00"], d), "from"),
        (lambda t, d: ([t[0], t[1][2:] + "00", t[2]], d), "from"),
        (lambda t, d: ([t[0], t[1], "0x01" + t[2][4:]], d), "to"),
        (lambda t, d: ([t[0], t[1], t[2][:-1] + "g"], d), "to"),
        (lambda t, d: (t, d + "00"), "data"),
        (lambda t, d: (t, d[:-2]), "data"),
        (lambda t, d: (t, d[:-1]), "data"),
        (lambda t, d: (t, "0x"), "data"),
        (lambda t, d: (t, "0X" + d[2:]), "data"),
        (lambda t, d: (t, d[:-1] + "_"), "data"),
    ],
)
def test_a_malformed_log_is_refused_with_the_event_and_field_named(change, field):
    honest = transfer()
    topics, data = change(list(honest.topics), honest.data)
    with pytest.raises(DecodeError, match=rf"Transfer\.{field} ") as refused:
        ERC20.decode(log(topics, data))
    assert (refused.value.noun, refused.value.field) == ("Transfer", field)


def test_the_field_that_a_dynamic_event_lacks_is_named():
    contract = Contract([event("Said", ("who", "address"), ("text", "string"), ("times", "uint8"))])
    data = eth_abi.encode(["address", "bytes", "uint8"], [ALICE, b"text", 3]).hex()
    with pytest.raises(DecodeError, match=r"Said\.text "):
        contract.decode(log([contract.topics["Said"]], "0x" + data[:-64]))
    with pytest.raises(DecodeError, match=r"Said\.who "):
        contract.decode(log([contract.topics["Said"]], "0x"))


def test_bytes_that_are_no_text_are_read_all_the_same():
    contract = Contract([event("Said", ("text", "string"))])
    for raw, kept in ((b"\xff\xfeok", "\ufffd\ufffdok"), (b"a\0b", "a\ufffdb"), ("é".encode(), "é")):
        data = eth_abi.encode(["bytes"], [raw]).hex()
        assert contract.decode(log([contract.topics["Said"]], "0x" + data)).text == kept


def test_addresses_are_spelled_with_their_checksum():
    found = ERC20.decode(transfer())
    assert (found.from_, found.to, found.value) == (checksum(ALICE), checksum(BOB), 7)


def test_the_log_of_another_contract_is_none_of_ours():
    assert ERC20.decode(log(["0x" + "9" * 64], "0x")) is None
    assert ERC20.decode(log([], "0x")) is None


def test_fields_are_spelled_as_python_spells_them():
    contract = Contract(
        [event("Odd", ("orderId", "uint8"), ("_to", "uint8"), ("from", "uint8"), ("", "uint8"), ("newURL", "uint8"))]
    )
    assert contract.events["Odd"].__struct_fields__ == ("order_id", "to", "from_", "arg3", "new_url")


def test_an_indexed_string_is_its_hash():
    contract = Contract([event("Named", ("name", "string", True))])
    digest = keccak(text="entrepot")
    assert contract.decode(log([contract.topics["Named"], "0x" + digest.hex()], "0x")).name == digest


class Transfer(Event, frozen=True):
    from_: str
    to: str
    value: int


class Wrong(Event, frozen=True):
    to: str
    value: int


def test_a_declared_noun_takes_the_place_of_the_generated_one():
    found = Contract([TRANSFER], [Transfer]).decode(transfer(value=5))
    assert found == Transfer(checksum(ALICE), checksum(BOB), 5)


def test_a_noun_that_differs_from_its_event_is_refused():
    with pytest.raises(ValueError, match="from_, to, value"):
        Contract([TRANSFER], [msgspec.defstruct("Transfer", ["to", "value"], bases=(Event,), frozen=True)])
    with pytest.raises(ValueError, match="no event Wrong"):
        Contract([TRANSFER], [Wrong])


def test_two_events_of_one_topic_are_refused():
    with pytest.raises(ValueError, match="two events Transfer"):
        Contract([TRANSFER, event("Transfer", ("a", "address"), ("b", "address"), ("c", "uint256"))])


def test_events_of_one_name_and_different_fields_are_told_apart():
    contract = Contract([event("Set", ("a", "uint8")), event("Set", ("a", "bool"))])
    assert set(contract.topics) == {"Set", "Set(bool)"}
    assert contract.decode(log([contract.topics["Set(bool)"]], word("bool", True))).a is True


def test_calls_are_encoded_as_the_chain_expects_them():
    contract = Contract([function("transfer", ["address", "uint256"], [("", "bool")])])
    given_by_everyone = "a9059cbb" + "00" * 12 + "ab" * 20 + f"{5:064x}"
    assert contract.encode_call("transfer", ALICE.lower(), 5).hex() == given_by_everyone
    assert contract.decode_result("transfer", bytes(31) + b"\x01") is True


@pytest.mark.parametrize(
    "arguments", [(), (ALICE,), (ALICE, -1), (ALICE, 2**256), ("0x12", 1), (1, 1), (ALICE, "1"), (ALICE, 1, 2)]
)
def test_arguments_that_do_not_fit_are_refused(arguments):
    contract = Contract([function("transfer", ["address", "uint256"])])
    with pytest.raises(EncodeError, match="transfer"):
        contract.encode_call("transfer", *arguments)


def test_overloaded_functions_are_told_apart():
    contract = Contract([function("get"), function("get", ["uint8"]), function("get", ["bool"])])
    assert contract.encode_call("get") == keccak(text="get()")[:4]
    assert contract.encode_call("get(uint8)", 1)[:4] == keccak(text="get(uint8)")[:4]
    with pytest.raises(EncodeError, match="signature"):
        contract.encode_call("get", 1)
    with pytest.raises(EncodeError, match="no such function"):
        contract.encode_call("put")


def test_results_of_several_values_are_structs():
    order = ("", "(address,uint8[],string)")
    contract = Contract(
        [function("getOrder", ["uint256"], [order]), function("pair", [], [("left", "uint8"), ("right", "bool")])]
    )
    data = eth_abi.encode(["(address,uint8[],string)"], [(ALICE, [1, 2], "é")])
    found = contract.decode_result("getOrder", data)
    assert (found.p0, found.p1, found.p2) == (checksum(ALICE), (1, 2), "é")
    pair = contract.decode_result("pair", eth_abi.encode(["uint8", "bool"], [4, True]))
    assert (pair.left, pair.right) == (4, True)


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "is there such a contract"), (bytes(31), "cannot be read"), (b"\x02" * 32, "cannot be read")],
)
def test_an_answer_that_is_not_one_is_refused(data, why):
    contract = Contract([function("ok", [], [("", "bool")])])
    with pytest.raises(DecodeError, match=why):
        contract.decode_result("ok", data)


async def test_a_real_node_is_read(chain, rpc, emitter):
    contract = Contract([TRANSFER])
    await emitter.emit(0, topic=contract.topics["Transfer"], data=f"{123:064x}")
    (seen,) = await rpc.logs({"address": emitter.address, "fromBlock": "0x0"})
    assert contract.decode(seen).value == 123


def mainnet_transfers():
    if not MAINNET.exists():
        pytest.skip(f"the recorded mainnet logs are not at {MAINNET}")
    rows = [json.loads(line) for line in MAINNET.read_text().splitlines()]
    rows = [row for row in rows if row["topics"][:1] == [ERC20.topics["Transfer"]]]
    return [log(row["topics"], row["data"]) for row in rows]


def test_mainnet_transfers_are_read_as_eth_abi_reads_them():
    seen = mainnet_transfers()
    tokens = [each for each in seen if len(each.topics) == 3]
    assert (len(seen), len(tokens)) == (291, 282)
    for each in tokens:
        sender, to, value = by_eth_abi(["address", "address", "uint256"], [True, True, False], each)
        assert ERC20.decode(each) == ERC20.events["Transfer"](checksum(sender), checksum(to), value)


def test_transfers_of_single_items_are_not_taken_for_sums_of_tokens():
    for each in mainnet_transfers():
        if len(each.topics) == 4:
            with pytest.raises(DecodeError, match="topics are 4"):
                ERC20.decode(each)


def test_a_generated_decoder_is_several_times_as_fast_as_eth_abi():
    seen, fast = [transfer(value=n) for n in range(500)], Contract([TRANSFER], addresses=str.lower)

    def seconds(read):
        started = time.process_time()
        for each in seen:
            read(each)
        return time.process_time() - started

    ours = min(seconds(fast.decode) for _ in range(5))
    theirs = min(
        seconds(lambda each: by_eth_abi(["address", "address", "uint256"], [True, True, False], each)) for _ in range(5)
    )
    assert ours * 5 < theirs


@pytest.mark.parametrize("name", sorted(file.stem for file in SOURCE_TREE.glob("*.json")))
def test_the_built_contracts_are_read_and_understood(name):
    artifact = Artifact.load(name)
    assert artifact.name == name
    assert artifact.bytecode
    assert Contract(artifact.abi).topics


def test_an_artifact_is_read_from_its_file(tmp_path):
    built = {"contract": "Token", "compiler": "vyper", "source_sha256": "00", "abi": [TRANSFER], "bytecode": "0x6001"}
    (tmp_path / "Token.json").write_text(json.dumps(built))
    (tmp_path / "Other.json").write_text(json.dumps(built))
    assert Artifact.load("Token", tmp_path) == Artifact("Token", [TRANSFER], b"\x60\x01")
    with pytest.raises(ValueError, match="holds Token"):
        Artifact.load("Other", tmp_path)
    with pytest.raises(NoSuchArtifact, match="Nothing"):
        Artifact.load("Nothing", tmp_path)

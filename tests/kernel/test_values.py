"""Values that check themselves, on the way in and on the way out."""

import base64
import re
from decimal import Decimal
from time import time_ns

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey
from nacl.public import PublicKey as Point

from entrepot.kernel.money import Amount
from entrepot.kernel.values import (
    ENCODER,
    SMALL_ORDER,
    Base64,
    BoxNonce,
    Hash32,
    PublicKey,
    describe_value,
    new_id,
    read_value,
    trust_value,
)
from entrepot.kernel.wallet import Wallet


class Parcel(msgspec.Struct):
    to: Wallet
    price: Amount
    key: PublicKey | None = None


def read(given_: object) -> Parcel:
    return msgspec.convert(given_, Parcel, dec_hook=read_value)


@given(st.binary(min_size=1, max_size=300))
def test_canonical_base64_is_taken_and_gives_its_bytes_back(raw: bytes) -> None:
    assert Base64.parse(base64.b64encode(raw).decode()).raw == raw


@given(st.text("ABCabc019+/=-_ \n", max_size=12))
def test_base64_is_taken_only_in_the_one_form_that_its_bytes_have(text: str) -> None:
    try:
        value = Base64.parse(text)
    except ValueError:
        return
    assert base64.b64encode(value.raw).decode() == text


@pytest.mark.parametrize("text", ["", "A", "AA", "AAA", "QQ=", "QR==", "QQ==\n", " QQ==", "QQ==QQ==", "Q-==", "é==="])
def test_other_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64 with padding"):
        Base64.parse(text)


def test_base64_that_is_too_long_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ValueError, match="at most 65536 bytes"):
        Base64.parse("!" * 1_000_000)


@pytest.mark.parametrize(("kind", "octets"), [(PublicKey, 32), (BoxNonce, 24)])
def test_keys_and_nonces_have_their_length(kind: type[Base64], octets: int) -> None:
    assert len(kind.parse(base64.b64encode(b"k" * octets).decode()).raw) == octets
    for wrong in (octets - 1, octets + 1):
        with pytest.raises(ValueError, match=f"must hold {octets} bytes, not {wrong}"):
            kind.parse(base64.b64encode(bytes(wrong)).decode())


@pytest.mark.parametrize("highest", [0, 0x80])
def test_a_key_that_nothing_can_be_sealed_to_is_refused(highest: int) -> None:
    assert len(SMALL_ORDER) == 7
    for point in SMALL_ORDER:
        raw = point[:-1] + bytes([point[-1] | highest])
        with pytest.raises(CryptoError):
            Box(PrivateKey.generate(), Point(raw))
        with pytest.raises(ValueError, match="can be sealed to"):
            PublicKey.parse(base64.b64encode(raw).decode())


def test_a_hash_is_kept_in_lower_case() -> None:
    assert Hash32.parse("0x" + "AB" * 32) == "0x" + "ab" * 32


@pytest.mark.parametrize(
    "text", ["", "0x", "0x" + "a" * 63, "0x" + "a" * 65, "a" * 66, "0x" + "x" * 64, "0x" + "g" * 64]
)
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal"):
        Hash32.parse(text)
    assert not re.fullmatch(Hash32.schema["pattern"], text)


def test_a_struct_refuses_a_bad_value_and_names_its_field() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"must be at least 0|decimal string.*\$\.price"):
        read({"to": "0x" + "0" * 40, "price": "-1"})
    with pytest.raises(msgspec.ValidationError, match=r"32 bytes, not 3 - at `\$.key`"):
        read({"to": "0x" + "0" * 40, "price": "1", "key": "AAAA"})


def test_values_are_written_as_plain_text() -> None:
    parcel = read({"to": "0x" + "0" * 40, "price": "0.000001"})
    assert ENCODER.encode(parcel) == b'{"to":"0x' + b"0" * 40 + b'","price":"0.000001","key":null}'


@given(st.decimals(0, 10**11, places=6))
def test_amounts_are_written_without_an_exponent(amount: Decimal) -> None:
    assert Decimal(msgspec.json.decode(ENCODER.encode(Amount(amount)))) == amount
    assert b"E" not in ENCODER.encode(Amount(amount))


def test_what_is_no_value_type_is_a_fault_of_the_program() -> None:
    for hook in (lambda: read_value(complex, "1"), lambda: describe_value(complex), lambda: ENCODER.encode(1j)):
        with pytest.raises(NotImplementedError):
            hook()


def test_rows_are_trusted() -> None:
    assert trust_value(Wallet, "anything") == "anything"


def test_ids_are_of_version_seven_and_in_the_order_of_their_making() -> None:
    ids = [new_id() for _ in range(1000)]
    assert {made.version for made in ids} == {7}
    assert ids == sorted(set(ids))
    assert abs((ids[0].int >> 80) - time_ns() // 1_000_000) < 5_000

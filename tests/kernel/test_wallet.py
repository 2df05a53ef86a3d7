"""Wallet addresses carry their EIP-55 checksum."""

import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.wallet import ZERO, Wallet, checksum

# From the text of EIP-55: all caps, all lower, normal.
VECTORS = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("address", VECTORS)
def test_the_vectors_of_the_standard_are_right(address: str) -> None:
    assert checksum(address.lower()) == address
    assert Wallet.parse(address) == address


@given(st.binary(min_size=20, max_size=20))
def test_it_agrees_with_eth_utils(raw: bytes) -> None:
    assert checksum("0x" + raw.hex()) == to_checksum_address(raw)


@pytest.mark.parametrize("address", VECTORS)
def test_one_case_throughout_is_taken_and_put_right(address: str) -> None:
    assert Wallet.parse(address.lower()) == address
    assert Wallet.parse("0x" + address[2:].upper()) == address


@given(st.binary(min_size=20, max_size=20), st.integers(0, 39))
def test_one_letter_of_the_wrong_case_is_refused_with_the_right_address(raw: bytes, place: int) -> None:
    right = checksum("0x" + raw.hex())
    digits = right[2:]
    wrong = "0x" + digits[:place] + digits[place].swapcase() + digits[place + 1 :]
    if wrong[2:] in (digits, digits.lower(), digits.upper()):
        assert Wallet.parse(wrong) == right
    else:
        with pytest.raises(ValueError, match=f"did you mean {right}"):
            Wallet.parse(wrong)


@pytest.mark.parametrize(
    "text",
    ["", "0x", "0x" + "0" * 39, "0x" + "0" * 41, "0X" + "0" * 40, "0" * 42, "0x" + "g" * 40, "0x" + "0" * 39 + "\n"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        Wallet.parse(text)


@pytest.mark.parametrize("given_", [None, 1, b"0x", ["0x"]])
def test_what_is_no_text_is_refused(given_: object) -> None:
    with pytest.raises(ValueError, match="string"):
        Wallet.parse(given_)


def test_the_zero_address_has_no_case() -> None:
    assert Wallet.parse(ZERO) == ZERO

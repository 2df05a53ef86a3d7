"""Who signed a text: the same answer as eth-account's, which a server does not load."""

import random

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from entrepot.kernel.identity.signature import recovered

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = Account.from_key(bytes([7] * 32))
TEXT = "localhost wants you to sign in — «здравствуй»\n\0"
SIGNED = bytes(KEY.sign_message(encode_defunct(text=TEXT)).signature)
R, S, V = SIGNED[:32], SIGNED[32:64], SIGNED[64]


def by_eth_account(text: str, signature: str) -> str | None:
    try:
        found: str = Account.recover_message(encode_defunct(text=text), signature=signature)
    except (BadSignature, ValidationError, ValueError):
        return None
    return found


def test_a_wallets_signature_is_recognised() -> None:
    assert recovered(TEXT, "0x" + SIGNED.hex()) == KEY.address
    assert recovered(TEXT + " ", "0x" + SIGNED.hex()) != KEY.address


def test_every_way_to_write_the_recovery_id_is_read_as_eth_account_reads_it() -> None:
    for v in range(256):
        signature = "0x" + (R + S + bytes([v])).hex()
        assert recovered(TEXT, signature) == by_eth_account(TEXT, signature), v


ODD = {
    "r is 0": bytes(32) + S + bytes([V]),
    "s is 0": R + bytes(32) + bytes([V]),
    "r is the order": ORDER.to_bytes(32, "big") + S + bytes([V]),
    "s is the order": R + ORDER.to_bytes(32, "big") + bytes([V]),
    "the other s": R + (ORDER - int.from_bytes(S, "big")).to_bytes(32, "big") + bytes([55 - V]),
    "r is no point": (5).to_bytes(32, "big") + S + bytes([V]),
    "nothing": bytes(65),
    "everything": b"\xff" * 65,
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_at_the_edge_is_read_as_eth_account_reads_it(name: str) -> None:
    signature = "0x" + ODD[name].hex()
    assert recovered(TEXT, signature) == by_eth_account(TEXT, signature)


@pytest.mark.parametrize(
    "signature",
    ["", "0x", "0x" + "zz" * 65, "0x" + " 1" * 65, "00" * 66, "0X" + SIGNED.hex(), "0x" + "é" * 130, SIGNED.hex()],
)
def test_what_is_no_signature_is_nobodys(signature: str) -> None:
    expected = by_eth_account(TEXT, signature) if len(signature) == 132 else None
    assert recovered(TEXT, signature) == expected


def test_a_text_that_is_no_unicode_is_nobodys() -> None:
    assert recovered("\ud800", "0x" + SIGNED.hex()) is None


def test_random_signatures_are_read_as_eth_account_reads_them() -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(200):
        signature = "0x" + (chance.randbytes(64) + bytes([chance.choice((0, 1, 27, 28, 37))])).hex()
        assert recovered(TEXT, signature) == by_eth_account(TEXT, signature), f"seed {seed}: {signature}"

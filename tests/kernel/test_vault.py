"""The vault: sealed for a purpose, opened by any key it holds, never when altered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.vault import CannotUnseal, Vault

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
VAULT = Vault({"old": OLD, "new": NEW})


@given(st.binary(max_size=500), st.text(max_size=20))
def test_a_secret_comes_back_as_it_was(secret: bytes, purpose: str) -> None:
    assert VAULT.unseal(VAULT.seal(secret, purpose), purpose) == secret


def test_a_sealed_secret_does_not_show_and_is_never_the_same_twice() -> None:
    sealed = VAULT.seal(b"the keeper's key", "keeper")
    assert b"keeper" not in sealed
    assert sealed != VAULT.seal(b"the keeper's key", "keeper")


def test_a_secret_is_opened_for_its_purpose_only() -> None:
    with pytest.raises(CannotUnseal, match="not sealed for 'webhook'"):
        VAULT.unseal(VAULT.seal(b"secret", "keeper"), "webhook")


@given(st.data())
def test_a_secret_with_one_bit_altered_is_not_opened(data: st.DataObject) -> None:
    sealed = bytearray(VAULT.seal(b"secret", "keeper"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CannotUnseal):
        VAULT.unseal(bytes(sealed), "keeper")


@given(st.binary(max_size=60))
def test_anything_else_is_not_opened(text: bytes) -> None:
    with pytest.raises(CannotUnseal):
        VAULT.unseal(text, "keeper")


def test_a_truncated_secret_is_not_opened() -> None:
    sealed = VAULT.seal(b"secret", "keeper")
    for length in range(len(sealed)):
        with pytest.raises(CannotUnseal):
            VAULT.unseal(sealed[:length], "keeper")


def test_keys_rotate() -> None:
    before = Vault({"old": OLD})
    sealed = before.seal(b"secret", "keeper")
    assert not before.is_stale(sealed)
    assert VAULT.is_stale(sealed)
    again = VAULT.seal(VAULT.unseal(sealed, "keeper"), "keeper")
    assert not VAULT.is_stale(again)
    assert Vault({"new": NEW}).unseal(again, "keeper") == b"secret"
    with pytest.raises(CannotUnseal, match="does not hold"):
        before.unseal(again, "keeper")


def test_a_key_of_the_same_name_and_other_bytes_opens_nothing() -> None:
    with pytest.raises(CannotUnseal):
        Vault({"new": OLD}).unseal(VAULT.seal(b"secret", "keeper"), "keeper")


@pytest.mark.parametrize("keys", [{}, {"short": bytes(31)}, {"": bytes(32)}, {"n" * 256: bytes(32)}])
def test_a_vault_without_good_keys_is_not_made(keys: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        Vault(keys)

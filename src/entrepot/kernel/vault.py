"""Sealed secrets: AES-256-GCM with the id of its key in front, so that keys can be rotated."""

import hmac
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_BYTES = 32


class CannotUnseal(Exception):
    """The sealed secret was not made with a key of this vault, for this purpose, or it was altered."""


def key_file(folder: Path) -> dict[str, bytes]:
    """The key of a house that was given none: made once, readable by its owner only. Keep it with the backups' keys."""
    path = folder / "vault.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        # Written whole under another name first: a reader never sees half a key, and the first of two writers wins.
        fresh = folder / f".vault.key.{os.getpid()}"
        fresh.touch(mode=0o600)
        fresh.write_bytes(os.urandom(KEY_BYTES))
        try:
            os.link(fresh, path)
        finally:
            fresh.unlink()
    return {"home": path.read_bytes()}


class Vault:
    """Seals with the newest key and opens with any that it still holds.

    `keys` maps an id of 1-255 bytes to 32 bytes; the last one seals.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ValueError("a vault needs at least one key")
        for name, key in keys.items():
            if len(key) != KEY_BYTES or not 0 < len(name.encode()) < 256:
                raise ValueError(f"vault key {name!r} must be {KEY_BYTES} bytes under an id of 1-255 bytes")
        self._keys = {name: AESGCM(key) for name, key in keys.items()}
        self.newest = list(keys)[-1]
        """The id of the key that seals."""
        self._raw = tuple(keys.values())

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """Key id, nonce and ciphertext; `purpose` is bound to it and must be given again to open."""
        name = self.newest.encode()
        nonce = os.urandom(NONCE_BYTES)
        return bytes([len(name)]) + name + nonce + self._keys[self.newest].encrypt(nonce, secret, purpose.encode())

    def unseal(self, sealed: bytes, purpose: str) -> bytes:
        """The secret; raises `CannotUnseal`."""
        name = key_of(sealed)
        if name not in self._keys:
            raise CannotUnseal(f"sealed with key {name!r}, which this vault does not hold")
        body = sealed[1 + sealed[0] :]
        try:
            return self._keys[name].decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):
            raise CannotUnseal(f"altered, or not sealed for {purpose!r}") from None

    def derive(self, purpose: str) -> list[bytes]:
        """Keys for that purpose alone, one of each key of the vault, the newest last."""
        return [hmac.digest(key, purpose.encode(), "sha256") for key in self._raw]

    def is_stale(self, sealed: bytes) -> bool:
        """Whether the secret should be sealed again because a newer key is there."""
        return key_of(sealed) != self.newest


def key_of(sealed: bytes) -> str:
    """The id of the key that it was sealed with, as it says itself."""
    return sealed[1 : 1 + sealed[0]].decode(errors="replace") if sealed else ""

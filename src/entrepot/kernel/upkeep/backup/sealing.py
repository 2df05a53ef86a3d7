"""Streams as they lie in the store: compressed by gzip, then sealed by AES-256-GCM in chunks where a key is given.

Each stream has a key of its own, derived by HKDF from the given one and a random salt, so that the chunks can be
counted (the STREAM construction, Hoang et al. 2015): chunks that are swapped, left out or cut off do not open, nor does
a stream under another's name.
"""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from entrepot.kernel.upkeep.backup.model import BackupDamaged, BackupFailed, BackupUnsealed

MAGIC = b"ENTREPOT-SEALED-1"
CHUNK = 1 << 20
TAG = 16
SALT = 32
LEVEL = 1  # a third of the time of the usual 6, for a tenth more bytes
GZIP = 31

Write = Callable[[bytes], object]
Key = tuple[str, bytes]
"""A key and its id."""


def _cipher(key: bytes, salt: bytes, name: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, b"entrepot backup " + name.encode()).derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])


class Sealer:
    """Takes a stream in pieces and writes it as it will lie in the store; `close` writes the rest."""

    def __init__(self, write: Write, name: str, key: Key | None) -> None:
        self._write = write
        self._squeeze = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        self._cipher: AESGCM | None = None
        self._waiting = bytearray()
        self._chunks = 0
        self.stored = 0
        if key is not None:
            salt = os.urandom(SALT)
            self._cipher = _cipher(key[1], salt, name)
            identity = key[0].encode()
            self._out(MAGIC + bytes([len(identity)]) + identity + salt)

    def _out(self, piece: bytes) -> None:
        if piece:
            self._write(piece)
            self.stored += len(piece)

    def write(self, piece: bytes) -> None:
        """Some more of it."""
        self._take(self._squeeze.compress(piece))

    def _take(self, squeezed: bytes) -> None:
        if self._cipher is None:
            self._out(squeezed)
            return
        self._waiting += squeezed
        while len(self._waiting) > CHUNK:
            self._seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        assert self._cipher is not None
        self._out(self._cipher.encrypt(_nonce(self._chunks, last=last), chunk, None))
        self._chunks += 1

    def close(self) -> None:
        """The end of the stream."""
        self._take(self._squeeze.flush())
        if self._cipher is not None:
            self._seal(bytes(self._waiting), last=True)


def opened(pieces: Iterable[bytes], name: str, keys: Mapping[str, bytes], *, unsealed: bool = False) -> Iterator[bytes]:
    """The stream that was written under that name, in pieces. Raises `BackupDamaged`, or `BackupFailed` without a key.

    Where there are keys, what is not sealed raises `BackupUnsealed`, unless `unsealed` allows it. What came before
    damage has been given out by then: it must not be used before the stream has ended well.
    """
    source = _Source(pieces)
    if source.starts_with(MAGIC):
        return _inflated(_unsealed(source, name, keys), name)
    if keys and not unsealed:
        raise BackupUnsealed(name)
    return _inflated(source.rest(), name)


def _unsealed(source: "_Source", name: str, keys: Mapping[str, bytes]) -> Iterator[bytes]:
    source.take(len(MAGIC))
    identity = source.take(source.take(1)[0]).decode(errors="replace")
    if identity not in keys:
        raise BackupFailed(f"{name} is sealed with key {identity!r}, which is not given", "set ENTREPOT_BACKUP_KEYS")
    cipher = _cipher(keys[identity], source.take(SALT), name)
    number, last = 0, False
    while not last:
        chunk = source.take(CHUNK + TAG, or_less=True)
        last = source.is_empty()
        try:
            yield cipher.decrypt(_nonce(number, last=last), chunk, None)
        except (InvalidTag, ValueError):
            raise BackupDamaged(f"{name} was altered or cut off: chunk {number} does not open") from None
        number += 1


def _inflated(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    swell = zlib.decompressobj(GZIP)
    try:
        for piece in pieces:
            if found := swell.decompress(piece):
                yield found
    except zlib.error as error:
        raise BackupDamaged(f"{name} was altered: {error}") from None
    if not swell.eof or swell.unused_data:
        raise BackupDamaged(f"{name} was cut off, or something was added to it")


class _Source:
    """Pieces as a stream that can be read by length."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = bytearray()

    def _fill(self, length: int) -> None:
        while len(self._held) < length:
            piece = next(self._pieces, None)
            if piece is None:
                return
            self._held += piece

    def starts_with(self, text: bytes) -> bool:
        self._fill(len(text))
        return self._held.startswith(text)

    def take(self, length: int, *, or_less: bool = False) -> bytes:
        self._fill(length)
        if len(self._held) < length and not or_less:
            raise BackupDamaged("a sealed stream ends in its first bytes")
        taken = bytes(self._held[:length])
        del self._held[:length]
        return taken

    def is_empty(self) -> bool:
        self._fill(1)
        return not self._held

    def rest(self) -> Iterator[bytes]:
        yield bytes(self._held)
        yield from self._pieces

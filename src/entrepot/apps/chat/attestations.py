"""The texts by which a wallet vouches for its keys, and a device's identity key for the device's other keys.

A wallet signs as EIP-191 says, so that its owner reads what it is about; an identity key signs the text's UTF-8 by
Ed25519 (RFC 8032). Each text names all that it is good for. The version makes it good once: it is one more than the
wallet's `keys_version` at that time, which never goes back.
"""

from enum import StrEnum
from uuid import UUID

from entrepot.kernel.wallet import Wallet


class Use(StrEnum):
    """What a device's key is for."""

    SIGNED_PREKEY = "signed prekey"
    ONE_TIME = "one-time key"
    LAST_RESORT = "last-resort key"


def of_public_key(domain: str, wallet: Wallet, public_key: str, version: int, chain_id: int) -> str:
    """What a wallet signs for its NaCl public key, which is in base64."""
    lines = (
        f"{domain}: messages for me are to be sealed with this key.",
        "",
        f"Wallet: {wallet}",
        f"Public key: {public_key}",
        f"Version: {version}",
        f"Chain ID: {chain_id}",
    )
    return "\n".join(lines)


def of_device(domain: str, wallet: Wallet, device: UUID, identity_key: str, version: int, chain_id: int) -> str:
    """What a wallet signs for a device and its identity key, which is in base64."""
    lines = (
        f"{domain}: this device may read and write messages for me.",
        "",
        f"Wallet: {wallet}",
        f"Device: {device}",
        f"Identity key: {identity_key}",
        f"Version: {version}",
        f"Chain ID: {chain_id}",
    )
    return "\n".join(lines)


def of_key(domain: str, use: Use, device: UUID, key_id: int, public_key: str) -> str:
    """What a device's identity key signs for another key of the device, which is in base64."""
    return f"{domain}: {use}\nDevice: {device}\nKey ID: {key_id}\nKey: {public_key}"

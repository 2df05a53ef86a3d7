"""Who signed a text: plain accounts by recovery (EIP-191), contract wallets by asking them (ERC-1271)."""

from eth_hash.auto import keccak
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from eth_utils.hexadecimal import decode_hex

from entrepot.kernel.chain.rpc import Rpc, RpcError
from entrepot.kernel.wallet import Wallet, checksum

MAGIC = bytes.fromhex("1626ba7e")


def digest_of(text: str) -> bytes:
    """What a wallet signs of a text (EIP-191, version 0x45)."""
    given = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(given)).encode() + given)


def parity_of(v: int) -> int:
    """0 or 1, which is written as it is, from 27 on, or from 35 on (EIP-155); raises ValueError for anything else."""
    if v in (0, 1):
        return v
    if v in (27, 28):
        return v - 27
    if v >= 35:
        return (v - 35) % 2
    raise ValueError("is no recovery id")


def recovered(text: str, signature: str) -> Wallet | None:
    """The plain account that made a 65-byte signature of the text, or None."""
    if len(signature) != 132:
        return None
    try:
        *rs, v = decode_hex(signature)
        signed = Signature(signature_bytes=bytes((*rs, parity_of(v))))
        return Wallet(checksum(signed.recover_public_key_from_msg_hash(digest_of(text)).to_address()))
    except (BadSignature, ValidationError, ValueError):
        return None


async def approved_by_contract(rpc: Rpc, wallet: Wallet, text: str, signature: str) -> bool:
    """Whether the contract at `wallet` says that the signature is its own (ERC-1271, `isValidSignature`)."""
    raw = bytes.fromhex(signature[2:])
    padded = raw + bytes(-len(raw) % 32)
    head = digest_of(text) + (64).to_bytes(32, "big") + len(raw).to_bytes(32, "big")
    try:
        answer = await rpc.call_contract(wallet, MAGIC + head + padded)
    except RpcError:
        return False
    return len(answer) >= 32 and answer[:4] == MAGIC

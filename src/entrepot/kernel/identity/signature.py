"""Who signed a text: plain accounts by recovery (EIP-191), contract wallets by asking them (ERC-1271)."""

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from entrepot.kernel.chain.rpc import Rpc, RpcError
from entrepot.kernel.wallet import Wallet, checksum

MAGIC = bytes.fromhex("1626ba7e")


def recovered(text: str, signature: str) -> Wallet | None:
    """The plain account that made a 65-byte signature of the text, or None."""
    if len(signature) != 132:
        return None
    try:
        return Wallet(checksum(Account.recover_message(encode_defunct(text=text), signature=signature)))
    except (BadSignature, ValidationError, ValueError):
        return None


async def approved_by_contract(rpc: Rpc, wallet: Wallet, text: str, signature: str) -> bool:
    """Whether the contract at `wallet` says that the signature is its own (ERC-1271, `isValidSignature`)."""
    given = text.encode()
    digest = keccak(b"\x19Ethereum Signed Message:\n" + str(len(given)).encode() + given)
    raw = bytes.fromhex(signature[2:])
    padded = raw + bytes(-len(raw) % 32)
    head = digest + (64).to_bytes(32, "big") + len(raw).to_bytes(32, "big")
    try:
        answer = await rpc.call_contract(wallet, MAGIC + head + padded)
    except RpcError:
        return False
    return len(answer) >= 32 and answer[:4] == MAGIC

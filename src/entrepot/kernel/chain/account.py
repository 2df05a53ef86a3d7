"""An account whose key is here: signs a transaction, sends it and waits for the block that holds it."""

import asyncio
from time import monotonic
from typing import Any, Self

from eth_account import Account
from eth_account.signers.local import LocalAccount

from entrepot.kernel.chain.rpc import Receipt, Rpc, RpcError
from entrepot.kernel.wallet import Wallet

SPARE_GAS = 1.25  # a block later the same call may cost a little more
LOOK = 0.1  # seconds between two questions for a receipt


class TransactionFailed(Exception):
    """A transaction would revert, did revert, or is in no block after all that waiting; the message says which."""


class SigningAccount:
    """A plain account on one chain. One transaction at a time: nonces come from the node."""

    def __init__(self, key: LocalAccount, rpc: Rpc, chain_id: int) -> None:
        self.key, self.rpc, self.chain_id = key, rpc, chain_id
        self.address = Wallet(key.address)

    @classmethod
    def from_key(cls, key: str, rpc: Rpc, chain_id: int) -> Self:
        """From 32 bytes in hexadecimal; raises ValueError, which does not repeat them."""
        try:
            return cls(Account.from_key(key.strip()), rpc, chain_id)
        except Exception:  # noqa: BLE001 - what eth-keys says may hold the key
            raise ValueError("a private key is 64 hexadecimal digits") from None

    async def send(self, to: str | None, data: bytes, value: int = 0, *, patience: float = 180.0) -> Receipt:
        """The receipt of a call, or of a deployment where `to` is None. Raises `TransactionFailed`."""
        call = {"from": self.address, "data": "0x" + data.hex(), "value": hex(value)} | ({"to": to} if to else {})
        try:
            gas = int(await self.rpc.estimate_gas(call) * SPARE_GAS)
        except RpcError as refused:
            raise TransactionFailed(f"the chain refuses this: {refused}") from None
        fees = await self.rpc.fees()
        deal: dict[str, Any] = {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": await self.rpc.nonce(self.address),
            "gas": gas,
            "maxFeePerGas": fees.most,
            "maxPriorityFeePerGas": fees.priority,
            "to": to or b"",
            "value": value,
            "data": data,
        }
        signed = self.key.sign_transaction(deal)
        tx_hash = await self.rpc.send_raw(bytes(signed.raw_transaction))
        return await self._settled(tx_hash, patience)

    async def _settled(self, tx_hash: str, patience: float) -> Receipt:
        ends = monotonic() + patience
        while monotonic() < ends:
            receipt = await self.rpc.receipt(tx_hash)
            if receipt is not None and receipt.succeeded:
                return receipt
            if receipt is not None:
                raise TransactionFailed(f"{tx_hash} reverted in block {receipt.block_number}")
            await asyncio.sleep(LOOK)
        raise TransactionFailed(f"{tx_hash} is in no block after {patience:.0f} s")

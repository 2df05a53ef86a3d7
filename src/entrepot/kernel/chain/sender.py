"""The transaction sender: nonces are held in the database, and what is signed is written before it is sent.

A transaction that is stuck is replaced at a higher fee under the same nonce; one that a node forgot is sent again, so
that no gap stays in front of the next. Two processes may send for one account: a nonce is given out once.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from eth_hash.auto import keccak

from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.rpc import Fees, Node, RpcError
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet

if TYPE_CHECKING:  # see kernel/chain/keys.py
    from eth_account.signers.local import LocalAccount

LOG = logging.getLogger("entrepot.chain")
SPARE_GAS = 1.3
BUMP = 1.25  # nodes take a replacement from 10 % more on; 12.5 % on some
MOST_TIMES = 8
"""How many times what the chain takes at present is offered at most. While no block is made, or a node does not tell of
it, every transaction looks stuck: without this the fee of each would grow a millionfold in an hour."""
STUCK_AFTER = timedelta(seconds=60)

LOCK_ACCOUNT = Query("""
    INSERT INTO core.chain_accounts AS a (chain, address, next_nonce) VALUES (:chain, :address, 0)
    ON CONFLICT (chain, address) DO UPDATE SET next_nonce = a.next_nonce
""")
TAKE_NONCE = Query("""
    UPDATE core.chain_accounts SET next_nonce = greatest(next_nonce, :floor) + 1
    WHERE chain = :chain AND address = :address RETURNING next_nonce - 1
""")
# What was taken back has its nonce behind its purpose: of one purpose there may be two, each taken back many times.
IS_OPEN = Query("""
    SELECT 1 FROM core.chain_transactions
    WHERE chain = :chain AND state = 'open' AND split_part(purpose, ' (again', 1) = :purpose
""")
ADD = Query("""
    INSERT INTO core.chain_transactions
        (id, chain, sender, nonce, purpose, recipient, data, gas, max_fee, max_tip, hashes, state)
    VALUES (:id, :chain, :sender, :nonce, :purpose, :recipient, :data, :gas, :max_fee, :max_tip, ARRAY[:hash::text],
        'open')
""")
OPEN = Query("""
    SELECT id, nonce, recipient, data, gas, max_fee::text, max_tip::text, hashes,
        coalesce(sent_at, created_at) < now() - :stuck_after::interval AS is_stuck
    FROM core.chain_transactions WHERE chain = :chain AND sender = :sender AND state = 'open' ORDER BY nonce
""")
REPRICE = Query("""
    UPDATE core.chain_transactions
    SET max_fee = :max_fee, max_tip = :max_tip, hashes = hashes || :hash::text, sent_at = now()
    WHERE id = :id AND state = 'open' AND cardinality(hashes) = :attempts
""")
END = Query("""
    UPDATE core.chain_transactions SET state = :state, ended_at = now() WHERE id = :id AND state = 'open'
""")
REOPEN = Query("""
    UPDATE core.chain_transactions SET state = 'open', ended_at = NULL,
        purpose = split_part(purpose, ' (again', 1) || ' (again, nonce ' || nonce || ')'
    WHERE chain = :chain AND sender = :sender AND nonce >= :latest AND state <> 'open'
""")


class Open(msgspec.Struct, frozen=True):
    """A transaction whose end is not known yet. Fees are wei per gas."""

    id: UUID
    nonce: int
    recipient: str
    data: bytes
    gas: int
    max_fee: int
    max_tip: int
    hashes: list[str]
    is_stuck: bool


@dataclass(frozen=True)
class Sender:
    """Sends for one account on one chain."""

    database: Database
    chain: Chain
    key: "LocalAccount"
    stuck_after: timedelta = STUCK_AFTER

    @property
    def address(self) -> Wallet:
        """The account that pays the gas."""
        return Wallet(self.key.address)

    async def send(self, purpose: str, to: str, data: bytes) -> str | None:
        """The hash of a transaction that is on its way; None where one of the same purpose still is.

        Raises `RpcError` where the call would revert, before any nonce is spent.
        """
        call = {"from": self.address, "to": to, "data": "0x" + data.hex()}
        gas = int(await self.chain.rpc.estimate_gas(call) * SPARE_GAS)
        fees = await self.chain.rpc.fees()
        floor = await self.chain.rpc.nonce(self.address, "latest")
        async with self.database.write() as db:
            # Two senders of one purpose come one after the other.
            await db.run(LOCK_ACCOUNT, chain=self.chain.name, address=self.address)
            if await db.value(IS_OPEN, chain=self.chain.name, purpose=purpose):
                return None
            nonce = await db.value(TAKE_NONCE, chain=self.chain.name, address=self.address, floor=floor)
            made = Open(new_id(), nonce, to, data, gas, fees.most, fees.priority, [], is_stuck=False)
            raw, tx_hash = self._signed(made)
            await db.run(
                ADD,
                id=made.id,
                chain=self.chain.name,
                sender=self.address,
                nonce=nonce,
                purpose=purpose,
                recipient=to,
                data=data,
                gas=gas,
                max_fee=made.max_fee,
                max_tip=made.max_tip,
                hash=tx_hash,
            )
        await self._broadcast(raw, tx_hash)
        return tx_hash

    async def tend(self) -> None:
        """Looks after every open transaction: notes its end, sends it again, or pays more for it."""
        async with self.chain.rpc.pinned() as node:
            latest = await node.nonce(self.address, "latest")
            async with self.database.write() as db:
                await db.run(REOPEN, chain=self.chain.name, sender=self.address, latest=latest)
                waiting = await db.all(
                    Open, OPEN, chain=self.chain.name, sender=self.address, stuck_after=self.stuck_after
                )
            for one in waiting:
                state = await self._state(node, one, latest)
                if state is not None:
                    async with self.database.write() as db:
                        await db.run(END, id=one.id, state=state)
                elif one.is_stuck:
                    await self._pay_more(one, await node.fees())
                elif not await node.knows(one.hashes[-1]):
                    await self._broadcast(*self._signed(one))

    async def _state(self, node: Node, one: Open, latest: int) -> str | None:
        """How it ended, if it did: whichever attempt was mined, or none, because the nonce was used elsewhere."""
        for tx_hash in reversed(one.hashes):
            receipt = await node.receipt(tx_hash)
            if receipt is not None:
                return "mined" if receipt.succeeded else "reverted"
        return "dropped" if one.nonce < latest else None

    async def _pay_more(self, one: Open, fees: Fees) -> None:
        """Replaces a stuck transaction by the same one at a higher fee, within `MOST_TIMES` of what the chain takes."""
        dearer = msgspec.structs.replace(
            one,
            max_fee=max(int(one.max_fee * BUMP) + 1, fees.most),
            max_tip=max(int(one.max_tip * BUMP) + 1, fees.priority),
        )
        if dearer.max_fee > MOST_TIMES * fees.most:
            await self._broadcast(*self._signed(one))
            return
        raw, tx_hash = self._signed(dearer)
        async with self.database.write() as db:
            replaced = await db.run(
                REPRICE,
                id=one.id,
                max_fee=dearer.max_fee,
                max_tip=dearer.max_tip,
                hash=tx_hash,
                attempts=len(one.hashes),
            )
        if replaced:
            await self._broadcast(raw, tx_hash)

    def _signed(self, one: Open) -> tuple[bytes, str]:
        """The transaction as sent, and its hash; signing the same twice gives the same bytes (RFC 6979)."""
        deal: dict[str, Any] = {
            "type": 2,
            "chainId": self.chain.id,
            "nonce": one.nonce,
            "gas": one.gas,
            "maxFeePerGas": max(one.max_fee, one.max_tip),
            "maxPriorityFeePerGas": one.max_tip,
            "to": one.recipient,
            "value": 0,
            "data": one.data,
        }
        raw = bytes(self.key.sign_transaction(deal).raw_transaction)
        return raw, "0x" + keccak(raw).hex()

    async def _broadcast(self, raw: bytes, tx_hash: str) -> None:
        """Hands it to the node. A refusal is logged and not raised: the row is there, and `tend` comes back to it."""
        try:
            await self.chain.rpc.send_raw(raw)
        except RpcError as refused:
            LOG.warning("%s: %s was refused: %s", self.chain.name, tx_hash, refused)

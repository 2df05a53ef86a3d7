"""The mirror of P2PEscrow: its events and what they make of orders, stock and reservations, in one transaction."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from entrepot.apps.escrow import events
from entrepot.apps.escrow.events import OrderCreated
from entrepot.apps.escrow.operations import reputation, shelves
from entrepot.apps.escrow.operations.fold import Mirrored, Placed, fold
from entrepot.apps.escrow.store import blacklist
from entrepot.apps.escrow.store import mirror as store
from entrepot.apps.escrow.store.mirror import KeptOrder, Reserved
from entrepot.kernel.chain.indexer import CursorMoved, Position, Seen
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.clock import from_unix
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.money import from_units
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet

MIRRORED = Mirrored.__struct_fields__


class UnknownToken(Exception):
    """The contract takes a token that this market has not been told of; `entrepot chain deploy --token` tells it."""


class EscrowMirror:
    """The mirror of one P2PEscrow on one chain. `tokens` are its tokens by address."""

    def __init__(self, chain: str, contract: str, tokens: Mapping[Wallet, Deployed]) -> None:
        self.chain = chain
        self.contract = contract
        self.tokens = tokens

    async def position(self, db: Read) -> Position | None:
        """How far it has come."""
        return await store.position(db, self.chain, self.contract)

    async def known_blocks(self, db: Read, upto: int, most: int) -> list[tuple[int, str]]:
        """Blocks that it holds events of, newest first."""
        return await store.known_blocks(db, self.chain, self.contract, upto, most)

    async def apply(self, db: Write, was: Position | None, seen: Sequence[Seen], now: Position) -> None:
        """Adds the events, folds the orders that they touch and moves the cursor."""
        moved = (
            await store.begin(db, self.chain, self.contract, now)
            if was is None
            else await store.move(db, self.chain, self.contract, was, now)
        )
        if not moved:
            raise CursorMoved
        if not seen:
            return
        await self._add_events(db, seen)
        placed = [
            Placed(one.event, one.at, one.log.block_number, one.log.tx_hash)
            for one in seen
            if isinstance(one.event, events.OF_ORDERS)
        ]
        await self._settle(db, placed)

    async def undo(self, db: Write, was: Position, to: Position) -> None:
        """Removes the events above the fork and folds every order they touched again from what remains."""
        if not await store.move(db, self.chain, self.contract, was, to):
            raise CursorMoved
        rows = await db.rows(store.REMOVE_EVENTS, chain=self.chain, contract=self.contract, above=to.block)
        touched = [row[0] for row in rows]
        kept = await db.all(KeptOrder, store.ORDERS, chain=self.chain, numbers=touched, ids=[])
        remaining = await self._remaining(db, touched)
        folded: dict[int, Mirrored] = {}
        for placed in remaining:
            number = number_of(placed)
            folded[number] = fold(folded.get(number), placed)
        gone = [order for order in kept if order.onchain_order_id not in folded]
        stayed = [order for order in kept if order.onchain_order_id in folded]
        await self._write(db, [(order, folded.get(order.onchain_order_id)) for order in [*stayed, *gone]])

    async def _remaining(self, db: Write, numbers: Sequence[int]) -> list[Placed]:
        rows = await db.rows(store.EVENTS, chain=self.chain, contract=self.contract, ids=numbers)
        return [
            Placed(events.from_json(row["name"], row["fields"]), row["block_at"], row["block_number"], row["tx_hash"])
            for row in rows
        ]

    async def _add_events(self, db: Write, seen: Sequence[Seen]) -> None:
        await db.run(
            store.ADD_EVENTS,
            chain=self.chain,
            contract=self.contract,
            block_number=[one.log.block_number for one in seen],
            log_index=[one.log.log_index for one in seen],
            block_hash=[one.log.block_hash for one in seen],
            block_at=[one.at for one in seen],
            tx_hash=[one.log.tx_hash for one in seen],
            name=[type(one.event).__name__ for one in seen],
            onchain_order_id=[getattr(one.event, "order_id", None) for one in seen],
            fields=[events.as_json(one.event) for one in seen],
        )

    async def _settle(self, db: Write, placed: Sequence[Placed]) -> None:
        """Makes the orders that begin here and folds all that are touched."""
        begun = [(one, one.event) for one in placed if isinstance(one.event, OrderCreated)]
        await self._begin_orders(db, begun)
        numbers = sorted({number_of(one) for one in placed})
        kept = await db.all(KeptOrder, store.ORDERS, chain=self.chain, numbers=numbers, ids=[])
        rows = {order.onchain_order_id: order for order in kept}
        fresh = {event.order_id for _, event in begun}
        folded = {number: mirrored(row) for number, row in rows.items() if number not in fresh}
        for one in placed:
            folded[number_of(one)] = fold(folded.get(number_of(one)), one)
        await self._write(db, [(rows[number], order) for number, order in folded.items()])

    async def _write(self, db: Write, orders: Sequence[tuple[KeptOrder, Mirrored | None]]) -> None:
        """Writes orders as folded (None: the chain took it back), and what that means for stock and reputation."""
        took = await shelves.settle(db, orders)
        present = [(row, order) for row, order in orders if order is not None]
        if present:
            arrays: dict[str, list[Any]] = store.columns([order for _, order in present], MIRRORED)
            del arrays["onchain_order_id"]
            await db.run(
                store.SET_ORDERS,
                id=[row.id for row, _ in present],
                took_stock=[took[row.id] for row, _ in present],
                **arrays,
            )
        gone = [row.id for row, order in orders if order is None]
        if gone:
            await db.run(store.ORPHAN, ids=gone)
        await reputation.settle(db, orders)

    async def _begin_orders(self, db: Write, begun: Sequence[tuple[Placed, OrderCreated]]) -> None:
        """Rows for orders that begin, each linked to its reservation, or flagged as made around the API."""
        if not begun:
            return
        wallets = sorted({wallet for _, event in begun for wallet in (event.buyer, event.seller)})
        await blacklist.share(db)
        await db.run(store.ADD_PROFILES, wallets=wallets)
        references = [reference for _, event in begun if (reference := reference_of(event)) is not None]
        found = await db.all(Reserved, store.RESERVATIONS, ids=references, chain=self.chain)
        reserved = {reservation.id: reservation for reservation in found}
        known = await db.all(KeptOrder, store.ORDERS, chain=self.chain, numbers=[], ids=references)
        taken = {order.id for order in known if order.onchain_order_id > 0}
        rows = []
        for one, event in begun:
            row = await self._row(db, one, event, reserved, taken)
            taken.add(row["ids"])
            rows.append(row)
        await db.run(store.ADD_ORDERS, chain=self.chain, **{name: [row[name] for row in rows] for name in rows[0]})
        await db.run(store.USE_RESERVATIONS, ids=[row["ids"] for row in rows if not row["directs"]])

    async def _row(
        self, db: Write, one: Placed, event: OrderCreated, reserved: Mapping[UUID, Reserved], taken: set[UUID]
    ) -> dict[str, Any]:
        token = self.tokens.get(Wallet(event.token))
        if token is None or token.decimals is None:
            raise UnknownToken(f"{event.token} on {self.chain}")
        amount, fee = from_units(event.amount, token.decimals), from_units(event.fee, token.decimals)
        promise = reserved.get(reference_of(event) or UUID(int=0))
        if promise is not None and (promise.id in taken or not promise.fits(event, token.name, amount)):
            promise = None
        return {
            "ids": direct_id(self.chain, one) if promise is None else promise.id,
            "numbers": event.order_id,
            "buyers": event.buyer,
            "sellers": event.seller,
            "products": await self._product(db, event, amount) if promise is None else promise.product_id,
            "tokens": token.name,
            "amounts": amount,
            "fees": fee,
            "tx_hashes": one.tx_hash,
            "ats": one.at,
            "deadlines": from_unix(event.seller_deadline),
            "blocks": one.block_number,
            "directs": promise is None,
        }

    async def _product(self, db: Write, event: OrderCreated, price: Any) -> UUID:
        """The seller's listing of that good; where there is none, one that is hidden from the start."""
        product_hash = "0x" + event.product_hash.hex()
        found = await db.value(store.PRODUCT_BY_HASH, seller=event.seller, product_hash=product_hash)
        if found is not None:
            return UUID(int=found.int)
        made = new_id()
        await db.run(store.ADD_UNLISTED, id=made, seller=event.seller, price=price, product_hash=product_hash)
        return made


def number_of(placed: Placed) -> int:
    """The contract's number of the order that an event concerns."""
    number: int = placed.event.order_id  # type: ignore[attr-defined]
    return number


def mirrored(row: KeptOrder) -> Mirrored:
    """What a row holds of the fold's own."""
    return Mirrored(**{name: getattr(row, name) for name in MIRRORED})


def reference_of(event: OrderCreated) -> UUID | None:
    """The reservation that the call data names: 16 bytes and 16 zeros; None for anything else."""
    head, tail = event.order_ref[:16], event.order_ref[16:]
    return UUID(bytes=head) if any(head) and not any(tail) else None


def direct_id(chain: str, placed: Placed) -> UUID:
    """The id of an order that no reservation announced: a UUIDv7 that the same transaction always gives again."""
    seed = f"{chain}:{placed.tx_hash}:{number_of(placed)}".encode()
    digest = int.from_bytes(hashlib.sha256(seed).digest()[:16], "big")
    millis = int(placed.at.timestamp() * 1000)
    low = digest & ((1 << 80) - 1)
    return UUID(int=(millis << 80) | (low & ~(0xF << 76) & ~(0x3 << 62)) | (0x7 << 76) | (0x2 << 62))

"""The mirror of P2PEscrow: its events and what they make of orders, stock and reservations, in one transaction."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from entrepot.apps.escrow import events
from entrepot.apps.escrow.events import ArbitratorDrawn, DisputeResolved, OrderCreated
from entrepot.apps.escrow.operations import evidence, live, pool, reputation, shelves
from entrepot.apps.escrow.operations.fold import Mirrored, Placed, fold
from entrepot.apps.escrow.operations.journal import Journal
from entrepot.apps.escrow.store import conflicts
from entrepot.apps.escrow.store import evidence as evidence_store
from entrepot.apps.escrow.store import mirror as store
from entrepot.apps.escrow.store.mirror import KeptOrder, Reserved, Touched
from entrepot.kernel.chain.abi import Event
from entrepot.kernel.chain.indexer import Position
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.clock import from_unix
from entrepot.kernel.db.doors import Write
from entrepot.kernel.money import from_units
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet

MIRRORED = Mirrored.__struct_fields__


class UnknownToken(Exception):
    """The contract takes a token that this market has not been told of; `entrepot chain deploy --token` tells it."""


class EscrowMirror(Journal):
    """The mirror of one P2PEscrow on one chain. `tokens` are its tokens by address."""

    def __init__(self, chain: str, contract: str, tokens: Mapping[Wallet, Deployed]) -> None:
        super().__init__(chain, contract)
        self.tokens = tokens

    async def happened(self, db: Write, placed: Sequence[Placed]) -> None:
        """Folds the orders that the events touch, and puts evidence on record."""
        of_orders = [one for one in placed if isinstance(one.event, events.OF_ORDERS)]
        await self._settle(db, of_orders)
        await evidence.record(db, self.chain, of_orders)

    async def taken_back(self, db: Write, touched: Touched, to: Position) -> None:
        """Folds every order that was touched again, and strikes evidence from the record."""
        await evidence_store.strike(db, self.chain, touched.orders, to.block)
        kept = await db.all(KeptOrder, store.ORDERS, chain=self.chain, numbers=touched.orders, ids=[])
        folded: dict[int, Mirrored] = {}
        for placed in await self.remaining(db, orders=touched.orders):
            number = number_of(placed)
            folded[number] = fold(folded.get(number), placed)
        gone = [order for order in kept if order.onchain_order_id not in folded]
        stayed = [order for order in kept if order.onchain_order_id in folded]
        orders = [(order, folded.get(order.onchain_order_id)) for order in [*stayed, *gone]]
        await shelves.settle(db, orders)
        await self._write(db, orders)
        await live.tell_undone(db, orders)

    async def _settle(self, db: Write, placed: Sequence[Placed]) -> None:
        """Makes the orders that begin here and folds all that are touched."""
        if people := sorted(wallets(one.event for one in placed)):
            await self.add_profiles(db, people)
        begun = [(one, one.event) for one in placed if isinstance(one.event, OrderCreated)]
        await self._begin_orders(db, begun)
        numbers = sorted({number_of(one) for one in placed})
        kept = await db.all(KeptOrder, store.ORDERS, chain=self.chain, numbers=numbers, ids=[])
        rows = {order.onchain_order_id: order for order in kept}
        fresh = {event.order_id for _, event in begun}
        folded = {number: mirrored(row) for number, row in rows.items() if number not in fresh}
        steps = []
        for one in placed:
            number = number_of(one)
            folded[number] = fold(folded.get(number), one)
            steps.append(live.Step(rows[number], folded[number], one))
        ruled = [one.event for one in placed if isinstance(one.event, DisputeResolved) and not one.event.automatic]
        orders = [(rows[number], order) for number, order in folded.items()]
        await shelves.settle(db, orders, fresh)
        await self._write(db, orders, [event.order_id for event in ruled])
        await live.tell_steps(db, steps)

    async def _write(
        self, db: Write, orders: Sequence[tuple[KeptOrder, Mirrored | None]], ruled: Sequence[int] = ()
    ) -> None:
        """Writes orders as folded (None: the chain took it back), and what that means for reputation.

        `ruled` are those, by the contract's number, that an arbitrator has ruled on.
        """
        present = [(row, order) for row, order in orders if order is not None]
        if present:
            arrays: dict[str, list[Any]] = store.columns([order for _, order in present], MIRRORED)
            del arrays["onchain_order_id"]
            await db.run(store.SET_ORDERS, id=[row.id for row, _ in present], **arrays)
        gone = [row.id for row, order in orders if order is None]
        if gone:
            await db.run(store.ORPHAN, ids=gone)
            await db.run(store.FREE_RESERVATIONS, ids=gone)
        if ruled:
            await conflicts.mark(db, self.chain, ruled)
        await reputation.settle(db, orders)
        await pool.settle_rulings(db, orders)

    async def _begin_orders(self, db: Write, begun: Sequence[tuple[Placed, OrderCreated]]) -> None:
        """Rows for orders that begin, each linked to its reservation, or flagged as made around the API."""
        if not begun:
            return
        references = [reference for _, event in begun if (reference := reference_of(event)) is not None]
        found = await db.all(Reserved, store.RESERVATIONS, ids=references, chain=self.chain)
        reserved = {reservation.id: reservation for reservation in found}
        known = await db.all(KeptOrder, store.ORDERS, chain=self.chain, numbers=[], ids=references)
        taken = {order.id for order in known if order.onchain_order_id > 0}
        listed = await store.listed(db, {good_of(event) for _, event in begun})
        rows = []
        for one, event in begun:
            row = await self._row(db, one, event, reserved, taken, listed)
            taken.add(row["ids"])
            rows.append(row)
        await db.run(store.ADD_ORDERS, chain=self.chain, **{name: [row[name] for row in rows] for name in rows[0]})
        await db.run(store.USE_RESERVATIONS, ids=[row["ids"] for row in rows if not row["directs"]])

    async def _row(
        self,
        db: Write,
        one: Placed,
        event: OrderCreated,
        reserved: Mapping[UUID, Reserved],
        taken: set[UUID],
        listed: dict[tuple[str, str], UUID],
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
            "products": await self._product(db, event, amount, listed) if promise is None else promise.product_id,
            "tokens": token.name,
            "amounts": amount,
            "fees": fee,
            "tx_hashes": one.tx_hash,
            "ats": one.at,
            "deadlines": from_unix(event.seller_deadline),
            "blocks": one.block_number,
            "directs": promise is None,
        }

    async def _product(self, db: Write, event: OrderCreated, price: Any, listed: dict[tuple[str, str], UUID]) -> UUID:
        """The seller's listing of that good; where there is none, one that is hidden from the start."""
        good = seller, product_hash = good_of(event)
        if good not in listed:
            listed[good] = new_id()
            await db.run(store.ADD_UNLISTED, id=listed[good], seller=seller, price=price, product_hash=product_hash)
        return listed[good]


def good_of(event: OrderCreated) -> tuple[str, str]:
    """Who sells it, and its hash."""
    return event.seller, "0x" + event.product_hash.hex()


def wallets(told: Iterable[Event]) -> set[str]:
    """Whom these events bring into trades and disputes."""
    found: set[str] = set()
    for event in told:
        if isinstance(event, OrderCreated):
            found |= {event.buyer, event.seller}
        elif isinstance(event, ArbitratorDrawn):
            found.add(event.arbitrator)
    return found


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

"""The audit: whether the mirror says of orders, arbitrators and credits what the contracts say of them.

Each page is read together with the block that the mirror had reached, and the contract is asked for its view at
that block, by its hash. What happens on the chain meanwhile is no difference then, and no page waits for another.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from entrepot.apps.escrow import events, transactions
from entrepot.apps.escrow.model import ChainName, OrderStatus
from entrepot.apps.escrow.operations.audit_credits import compare_credits
from entrepot.apps.escrow.operations.audit_pool import compare_members
from entrepot.apps.escrow.operations.findings import NOTHING, ChainAudit, Difference, shown
from entrepot.apps.escrow.operations.views import NotMirrored, Views
from entrepot.apps.escrow.store import audit as store
from entrepot.apps.escrow.store import mirror
from entrepot.apps.escrow.store.audit import Row, Totals
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.abi import DecodeError
from entrepot.kernel.chain.chains import Chain, Chains
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.chain.rpc import BATCH, ChainFailure
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read
from entrepot.kernel.wallet import ZERO, Wallet

AT_ONCE = 5 * BATCH
MOST_MISSING = 1_000
TALLIED = 50_000
"""Orders that one statement counts: a fraction of a second of the server's fifteen."""
STATUSES = (None, *OrderStatus)
"""By the contract's number; 0 is an order that does not exist."""
KNOWN = frozenset(ChainName)
Advance = Callable[[int], None]


async def audit(database: Database, chains: Chains, advance: Advance, *, every: bool) -> list[ChainAudit]:
    """Every chain at once, with its orders that have ended or without; `advance` hears how many were compared."""
    return await asyncio.gather(*(audit_chain(database, chain, advance, every=every) for chain in chains.all.values()))


async def how_many(database: Database, chains: Chains, *, every: bool) -> int:
    """How many orders there are to compare."""
    async with database.read() as db:
        counts = [await store.count(db, chain) for chain in chains.all if chain in KNOWN]
    return sum(count.orders if every else count.open for count in counts)


async def audit_chain(database: Database, chain: Chain, advance: Advance, *, every: bool) -> ChainAudit:
    """One chain; what stops the comparison is its `fault`, beside the differences that were found before."""
    found = ChainAudit(chain=chain.name)
    if chain.name not in KNOWN:
        found.fault = f"this market knows no chain of that name (but {', '.join(ChainName)})"
        return found
    async with database.read() as db:
        known = {one.name: one for one in await registry.everything(db) if one.chain == chain.name}
        count = await store.count(db, chain.name)
    if "P2PEscrow" not in known:
        found.fault = f"there are {count.orders} orders of it and no contract" if count.orders else ""
        return found
    auditor = Auditor(database, chain, known)
    found.contract = auditor.contract.address
    try:
        await auditor.compare_totals(found)
        await auditor.compare_orders(found, advance, every=every)
        await auditor.compare_members(found)
        by_address = {str(one.address): one for one in auditor.tokens.values()}
        await compare_credits(auditor.views, by_address, found, every=every)
    except NotMirrored:
        found.fault = "nothing of it has been mirrored yet; is a worker running?"
    except (ChainFailure, DecodeError) as failed:
        found.fault = str(failed)
    return found


class Auditor:
    """Compares the contracts with their mirror. `known` are the chain's contracts and tokens, by name."""

    def __init__(self, database: Database, chain: Chain, known: Mapping[str, Deployed]) -> None:
        self.contract, pool = known["P2PEscrow"], known.get("ArbitratorPool")
        self.views = Views(database, chain, self.contract, events.contract())
        self.pool = None if pool is None else Views(database, chain, pool, events.pool())
        self.tokens = {name: one for name, one in known.items() if one.decimals is not None}
        self.symbols = {one.address: name for name, one in self.tokens.items()}

    async def compare_totals(self, found: ChainAudit) -> None:
        """How many orders there are, which are missing, and what is held of each token."""
        calls = [("nextOrderId", ()), *(("openAmount", (one.address,)) for one in self.tokens.values())]
        totals, (upcoming, *held) = await self.views.both(partial(tally, contract=self.contract), lambda _totals: calls)
        found.block = totals.block
        found.differences += self._totals(totals, upcoming, dict(zip(self.tokens, held, strict=True)))

    async def compare_orders(self, found: ChainAudit, advance: Advance, *, every: bool) -> None:
        """Page after page, by the contract's numbers."""
        after = 0
        while True:
            page, views = await self.views.both(
                partial(store.page, contract=self.contract, after=after, most=AT_ONCE, every=every),
                lambda page: [("getOrder", (row.onchain_order_id,)) for row in page.rows],
            )
            found.block = page.block
            found.orders += len(page.rows)
            for row, view in zip(page.rows, views, strict=True):
                found.differences += self._order(row, view)
            advance(len(page.rows))
            if len(page.rows) < AT_ONCE:
                return
            after = page.rows[-1].onchain_order_id

    async def compare_members(self, found: ChainAudit) -> None:
        """The pool, where there is one, and what the escrow's open disputes were drawn from."""
        if self.pool is not None:
            token = self.symbols.get(Wallet(await self.pool.now("stakeToken")), "")
            known = self.tokens.get(token)
            await compare_members(self.pool, known.decimals or 0 if known else 0, found)

    def _totals(self, totals: Totals, upcoming: int, held: Mapping[str, int]) -> Iterator[Difference]:
        if upcoming != totals.highest + 1:
            yield Difference(None, "nextOrderId", str(totals.highest + 1), str(upcoming))
        missing = [*totals.missing, *range(totals.highest + 1, min(upcoming, totals.highest + 1 + MOST_MISSING))]
        for number in missing[:MOST_MISSING]:
            yield Difference(number, "order", NOTHING, "exists" if number < upcoming else NOTHING)
        for name in sorted({*totals.sums, *held}):
            ours, theirs = totals.sums.get(name, Decimal(0)), self._amount(held.get(name, 0), name)
            if ours != theirs:
                yield Difference(None, f"openAmount of {name}", f"{ours:f}", f"{theirs:f}")

    def _order(self, row: Row, view: Any) -> Iterator[Difference]:
        status = STATUSES[view.status]
        if status is None:
            yield Difference(row.onchain_order_id, "order", row.status, NOTHING)
            return
        token = self.symbols.get(Wallet(view.token), view.token)
        says: dict[str, object] = {
            "status": status,
            "buyer_wallet": view.buyer,
            "seller_wallet": view.seller,
            "arbitrator_wallet": None if view.arbitrator == ZERO else view.arbitrator,
            "token": token,
            "amount": self._amount(view.amount, token),
            "platform_fee": self._amount(view.fee, token),
            "seller_deadline": view.seller_deadline,
            "release_deadline": view.release_deadline,
            "dispute_deadline": view.ruling_deadline if view.draws else view.default_deadline,
            "default_deadline": view.default_deadline,
            "draw_block": view.draw_block or None,
            "delivery_hash": "0x" + view.delivery_hash.hex() if any(view.delivery_hash) else None,
        }
        for field, theirs in says.items():
            ours = getattr(row, field)
            if field.endswith("_deadline"):
                ours = 0 if ours is None else int(ours.timestamp())
            if ours != theirs:
                yield Difference(row.onchain_order_id, field, shown(getattr(row, field)), shown(theirs))
        if not row.is_direct and view.order_ref != transactions.order_reference(row.id):
            yield Difference(row.onchain_order_id, "id", str(row.id), "0x" + view.order_ref.hex())

    def _amount(self, units: int, token: str) -> Decimal:
        """Exact, however fine; base units where the token is not one of ours."""
        known = self.tokens.get(token)
        return Decimal(units).scaleb(-(known.decimals or 0) if known else 0)


async def tally(db: Read, contract: Deployed) -> Totals | None:
    """All orders of a contract, counted page after page; None where nothing has been mirrored yet."""
    reached = await mirror.position(db, contract.chain, contract.address)
    if reached is None:
        return None
    highest, missing = 0, list[int]()
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    while (page := await store.tally(db, contract.chain, highest, TALLIED)) is not None:
        for first, last in zip(page.gap_starts, page.gap_ends, strict=True):
            missing += range(first, min(last, first + MOST_MISSING - len(missing) - 1) + 1)
        for token, held in zip(page.tokens, page.sums, strict=True):
            sums[token] += held
        highest = page.highest
    return Totals(reached.block, reached.hash, highest, missing, sums)

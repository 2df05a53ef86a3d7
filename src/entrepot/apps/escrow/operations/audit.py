"""The audit: whether the mirror says of every order what the contract says of it.

Each page of orders is read together with the block that the mirror had reached, and the contract is asked for its view
at that block, by its hash. What happens on the chain meanwhile is no difference then, and no page waits for another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from entrepot.apps.escrow import events, transactions
from entrepot.apps.escrow.model import ChainName, OrderStatus
from entrepot.apps.escrow.store import audit as store
from entrepot.apps.escrow.store.audit import Row, Totals
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.abi import DecodeError
from entrepot.kernel.chain.chains import Chain, Chains
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.chain.rpc import BATCH, ChainFailure, RpcError
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read
from entrepot.kernel.wallet import ZERO, Wallet

AT_ONCE = 5 * BATCH
MOST_MISSING = 1_000
TRIES, PAUSE = 5, 1.0
"""How often, and in seconds how far apart, a block is asked for that the node does not have (any more)."""
STATUSES = (None, *OrderStatus)
"""By the contract's number; 0 is an order that does not exist."""
KNOWN = frozenset(ChainName)
NOTHING = "-"
Advance = Callable[[int], None]
Call = tuple[str, tuple[object, ...]]
"""A view of the contract, and its arguments."""
T = TypeVar("T", bound="AtBlock")


class NotMirrored(Exception):
    """The contract is there, and nothing of it has been mirrored."""


class BlockGone(ChainFailure):
    """The node does not answer for the block that the mirror has reached."""

    def __init__(self, block: int, why: RpcError) -> None:
        super().__init__(f"the node has not the state of block {block}, which the mirror has reached ({why})")


class AtBlock(Protocol):
    """Something that the mirror says, and the block that it had reached."""

    @property
    def block(self) -> int: ...
    @property
    def hash(self) -> str: ...


class Difference(msgspec.Struct, frozen=True):
    """One thing that the database and the contract say differently. `order` is the contract's number."""

    order: int | None
    field: str
    database: str
    contract: str


class ChainAudit(msgspec.Struct, kw_only=True):
    """What was found on one chain. `block` is the last that was compared at, `fault` why not all was compared."""

    chain: str
    contract: str = ""
    block: int | None = None
    orders: int = 0
    differences: list[Difference] = []
    fault: str = ""

    @property
    def is_well(self) -> bool:
        """Whether all was compared and nothing differs."""
        return not self.fault and not self.differences


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
    except NotMirrored:
        found.fault = "nothing of it has been mirrored yet; is a worker running?"
    except (ChainFailure, DecodeError) as failed:
        found.fault = str(failed)
    return found


class Auditor:
    """Compares one contract with its mirror. `known` are the chain's contracts and tokens, by name."""

    def __init__(self, database: Database, chain: Chain, known: Mapping[str, Deployed]) -> None:
        self.database, self.chain, self.contract = database, chain, known["P2PEscrow"]
        self.tokens = {name: one for name, one in known.items() if one.decimals is not None}
        self.symbols = {one.address: name for name, one in self.tokens.items()}

    async def compare_totals(self, found: ChainAudit) -> None:
        """How many orders there are, which are missing, and what is held of each token."""
        calls = [("nextOrderId", ()), *(("openAmount", (one.address,)) for one in self.tokens.values())]
        totals, (upcoming, *held) = await self._both(
            lambda db: store.totals(db, self.contract, MOST_MISSING), lambda _totals: calls
        )
        found.block = totals.block
        found.differences += self._totals(totals, upcoming, dict(zip(self.tokens, held, strict=True)))

    async def compare_orders(self, found: ChainAudit, advance: Advance, *, every: bool) -> None:
        """Page after page, by the contract's numbers."""
        after = 0
        while True:
            page, views = await self._both(
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

    async def _both(
        self, read: Callable[[Read], Awaitable[T | None]], calls: Callable[[T], Sequence[Call]]
    ) -> tuple[T, list[Any]]:
        """What the mirror says, and the contract at the same block.

        Where the node does not have that block, it lags behind or the chain was reorganised: both take a moment, and
        then the mirror is read again.
        """
        tries = TRIES
        while True:
            async with self.database.read() as db:
                ours = await read(db)
            if ours is None:
                raise NotMirrored
            try:
                return ours, await self._ask(ours.hash, calls(ours))
            except RpcError as refused:
                tries -= 1
                if not tries:
                    raise BlockGone(ours.block, refused) from None
            await asyncio.sleep(PAUSE)

    async def _ask(self, block: str, calls: Sequence[Call]) -> list[Any]:
        """The contract's views at that block; raises RpcError where the node does not have it."""
        says = events.contract()
        asked = [
            {"to": self.contract.address, "data": "0x" + says.encode_call(name, *arguments).hex()}
            for name, arguments in calls
        ]
        answers = await self.chain.rpc.batch([("eth_call", (one, {"blockHash": block})) for one in asked], type=str)
        return [
            says.decode_result(name, bytes.fromhex(answer[2:]))
            for (name, _), answer in zip(calls, answers, strict=True)
        ]

    def _totals(self, totals: Totals, upcoming: int, held: Mapping[str, int]) -> Iterator[Difference]:
        if upcoming != totals.highest + 1:
            yield Difference(None, "nextOrderId", str(totals.highest + 1), str(upcoming))
        missing = [*totals.missing, *range(totals.highest + 1, min(upcoming, totals.highest + 1 + MOST_MISSING))]
        for number in missing[:MOST_MISSING]:
            yield Difference(number, "order", NOTHING, "exists" if number < upcoming else NOTHING)
        sums = dict(zip(totals.tokens, totals.sums, strict=True))
        for name in sorted({*sums, *held}):
            ours, theirs = sums.get(name, Decimal(0)), self._amount(held.get(name, 0), name)
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


def shown(value: object) -> str:
    """A value of either side, for people."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return str(int(value.timestamp()))
    return f"{value:f}" if isinstance(value, Decimal) else str(value)

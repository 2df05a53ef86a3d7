"""The verdict: whether chain, market and the rules agree in everything, to the last unit."""

from collections.abc import AsyncIterator, Callable

from entrepot.client import Refused
from tests.apps.escrow.agreement import disagreements, pool_disagreements
from tests.apps.escrow.standings import standings
from tests.bazaar import ESCROW, TOKEN
from tests.faults.acts import Acts
from tests.faults.ledger import Trade

ORDERS = """
    SELECT onchain_order_id, id::text, status::text, buyer_wallet, seller_wallet, cancelled_by, is_direct,
        arbitrator_wallet, (SELECT product_hash FROM escrow.products p WHERE p.id = product_id) AS good
    FROM escrow.orders WHERE orphaned_at IS NULL
"""
LISTINGS = "SELECT product_hash, stock, oversold, status::text, total_sold FROM escrow.products"
USED = "SELECT id::text FROM escrow.reservations WHERE used_at IS NOT NULL"

Look = Callable[[Acts], AsyncIterator[str]]


async def verdict(acts: Acts) -> str:
    """Everything, with what the parties and the operator are told."""
    return await look(acts, answers, commands)


async def look(acts: Acts, *more: Look) -> str:
    """Chain and database, once the mirror has caught up."""
    await acts.fair.settled()
    await acts.fair.caught_up()
    wrong = await disagreements(acts.fair.owner, acts.market)
    wrong += await pool_disagreements(acts.fair.owner, acts.market)
    for findings in (orders, listings, reputations, money, seats, *more):
        wrong += [finding async for finding in findings(acts)]
    assert wrong == [], "\n".join(wrong)
    return "all agree"


async def orders(acts: Acts) -> AsyncIterator[str]:
    """The mirror's orders are those of the rules."""
    rows = {row["onchain_order_id"]: row for row in await acts.fair.owner.fetch(ORDERS)}
    if set(rows) != set(acts.ledger.trades):
        yield f"there are orders {sorted(rows)}, and should be {sorted(acts.ledger.trades)}"
    for number, trade in acts.ledger.trades.items():
        row = rows.get(number)
        if row is None:
            continue
        should = {
            "id": trade.reserved or row["id"],
            "status": trade.status,
            "buyer_wallet": trade.buyer,
            "seller_wallet": trade.seller,
            "cancelled_by": trade.cancelled_by,
            "arbitrator_wallet": trade.arbitrator,
            "is_direct": trade.reserved is None,
            "good": trade.listing or row["good"],
        }
        for name, value in should.items():
            if row[name] != value:
                yield f"order {number}: {name} is {row[name]} and should be {value}"
    used = {row[0] for row in await acts.fair.owner.fetch(USED)}
    if used != acts.shop.used(acts.ledger):
        yield f"used are the reservations {used}, and should be {acts.shop.used(acts.ledger)}"


async def listings(acts: Acts) -> AsyncIterator[str]:
    """Stock, and what was sold."""
    rows = {row["product_hash"]: row for row in await acts.fair.owner.fetch(LISTINGS)}
    for good, listing in acts.shop.listings.items():
        row, sold = rows[good], acts.shop.sold(acts.ledger, good)
        should = (listing.stock, listing.short, listing.status, sold)
        if tuple(row)[1:] != should:
            yield f"{good} is {tuple(row)[1:]} and should be {should}"


async def reputations(acts: Acts) -> AsyncIterator[str]:
    """Every profile says what the rules make of its owner's trades."""
    for wallet, says in (await standings(acts.fair.owner)).items():
        should = acts.shop.standing(acts.ledger, wallet)
        for name, value in should.items():
            if says[name] != value:
                yield f"{wallet}: {name} is {says[name]} and should be {value}"


async def money(acts: Acts) -> AsyncIterator[str]:
    """What the contract holds is what is open and what is owed."""
    rpc = acts.market.node.rpc
    for token in acts.ledger.units:
        owed = 0
        for wallet in {acts.ledger.owner, *acts.fair.wallets.values()}:
            credit = await acts.market.call("credits", wallet, token)
            owed += credit
            if credit != acts.ledger.due[wallet, token]:
                yield f"{wallet} is owed {credit} and should be {acts.ledger.due[wallet, token]}"
        held = await rpc.call_contract(token, TOKEN.encode_call("balanceOf", acts.market.escrow))
        balance, locked = TOKEN.decode_result("balanceOf", held), await acts.market.call("openAmount", token)
        if locked != acts.ledger.locked(token):
            yield f"{locked} of {token} are open and should be {acts.ledger.locked(token)}"
        if balance != locked + owed:
            yield f"the contract has {balance} of {token}, {locked} open and {owed} owed"
    if await acts.market.call("nextOrderId") != len(acts.ledger.trades) + 1:
        yield f"{ESCROW}: another number of orders"


async def seats(acts: Acts) -> AsyncIterator[str]:
    """What the pool holds is what is staked and what was forfeited; everyone in it is as the rules say."""
    ours = acts.ledger.seats
    for wallet, seat in ours.known.items():
        found = await acts.market.in_pool("getArbitrator", wallet)
        says = (found.stake, found.reputation, found.active, found.assigned, found.resolved)
        should = (seat.stake, seat.reputation, ours.is_active(wallet), seat.waits.total(), seat.resolved)
        if says != should:
            yield f"{wallet} is in the pool as {says} and should be {should}"
    data = TOKEN.encode_call("balanceOf", acts.market.pool)
    held = await acts.market.node.rpc.call_contract(acts.market.token("USDT"), data)
    balance, staked = TOKEN.decode_result("balanceOf", held), sum(seat.stake for seat in ours.known.values())
    if balance != staked + ours.forfeited:
        yield f"the pool has {balance}, {staked} staked and {ours.forfeited} forfeited"


async def answers(acts: Acts) -> AsyncIterator[str]:
    """What the parties are shown; nobody else is shown anything."""
    for trade in acts.ledger.trades.values():
        order = await acts.id_of(trade)
        for name, client in acts.fair.clients.items():
            try:
                seen = (await client.order(order)).status.value
            except Refused as refused:
                seen = str(refused.status)
            may_see = client.wallet in trade.parties or client.wallet == trade.arbitrator
            should = trade.status if may_see else "404"
            if seen != should:
                yield f"{name} sees order {trade.number}{_between(trade)} as {seen}, not {should}"


async def commands(acts: Acts) -> AsyncIterator[str]:
    """What an operator is told."""
    status, said = await acts.fair.command("escrow", "audit", "--all", "--json")
    if status:
        yield f"the audit ends with {status}: {said}"
    status, said = await acts.fair.command("escrow", "recompute")
    if status or " 0 of " not in said:
        yield f"counting anew ends with {status}: {said}"


def _between(trade: Trade) -> str:
    return f" between {trade.buyer[:6]} and {trade.seller[:6]}"

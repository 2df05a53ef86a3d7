"""Who may rule: every conflict by itself, at the edge of its time."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from entrepot.apps.escrow.store import conflicts
from entrepot.apps.escrow.store.conflicts import Reason
from entrepot.kernel.clock import now
from entrepot.kernel.db.database import Database
from entrepot.kernel.wallet import Wallet
from tests.apps.escrow.conftest import Caller, Market

ADD_MEMBER = """
    INSERT INTO escrow.pool_members (chain, wallet, stake_amount, pledged, stake_token, reputation, assigned,
        total_resolved, is_active, registered_at, updated_at)
    VALUES ($1, $2, 500, 500, $2, 50, 0, 0, $3, now(), now())
"""


@pytest.fixture
async def arbitrator(market: Market) -> Caller:
    """Somebody in Ethereum's pool who has never traded."""
    caller = await market.member()
    await market.owner.execute(ADD_MEMBER, "ethereum", caller.wallet, True)
    return caller


@pytest.fixture
async def disputed(market: Market, seller: Caller, buyer: Caller) -> UUID:
    return await market.order(await seller.lists(), buyer, status="disputed")


async def reasons(doors: Database, caller: Caller, order: UUID) -> set[Reason]:
    async with doors.read() as db:
        return set(await conflicts.of(db, Wallet(caller.wallet), order))


def ago(days: float) -> Any:
    return now() - timedelta(days=days)


async def test_who_has_nothing_to_do_with_either_may_rule(doors: Database, arbitrator: Caller, disputed: UUID) -> None:
    assert await reasons(doors, arbitrator, disputed) == set()


async def test_the_parties_may_not(
    doors: Database, market: Market, seller: Caller, buyer: Caller, disputed: UUID
) -> None:
    await market.owner.execute(ADD_MEMBER, "ethereum", buyer.wallet, True)
    assert await reasons(doors, buyer, disputed) == {Reason.PARTY}
    assert await reasons(doors, seller, disputed) == {Reason.PARTY, Reason.INACTIVE}


@pytest.mark.parametrize(("days", "found"), [(0.1, {Reason.TRADE}), (29.9, {Reason.TRADE}), (30.1, set())])
@pytest.mark.parametrize("arbitrator_sells", [True, False])
@pytest.mark.parametrize("with_buyer", [True, False])
async def test_a_trade_with_either_party_within_thirty_days_is_a_conflict(
    doors: Database,
    market: Market,
    parties: dict[bool, Caller],
    arbitrator: Caller,
    disputed: UUID,
    *,
    with_buyer: bool,
    arbitrator_sells: bool,
    days: float,
    found: set[Reason],
) -> None:
    party = parties[with_buyer]
    sells, buys = (arbitrator, party) if arbitrator_sells else (party, arbitrator)
    other = await market.order(await sells.lists(), buys, chain="bsc", created_at=ago(days))
    assert await reasons(doors, arbitrator, disputed) == found
    await market.owner.execute("UPDATE escrow.orders SET orphaned_at = now() WHERE id = $1", other)
    assert await reasons(doors, arbitrator, disputed) == set(), "the chain took it back"


@pytest.fixture
def parties(seller: Caller, buyer: Caller) -> dict[bool, Caller]:
    """By whether it is the buyer."""
    return {True: buyer, False: seller}


@pytest.mark.parametrize(
    ("days", "status", "found"),
    [
        (6.9, "resolved_buyer", {Reason.RULING}),
        (6.9, "resolved_seller", {Reason.RULING}),
        (7.1, "resolved_buyer", set()),
        (6.9, "disputed", set()),
    ],
)
@pytest.mark.parametrize("of_buyer", [True, False])
async def test_a_ruling_on_either_party_within_seven_days_is_a_conflict(
    doors: Database,
    market: Market,
    parties: dict[bool, Caller],
    arbitrator: Caller,
    disputed: UUID,
    *,
    of_buyer: bool,
    days: float,
    status: str,
    found: set[Reason],
) -> None:
    stranger, times = await market.member(), {"created_at": ago(20), "updated_at": ago(days)}
    sells, buys = (stranger, parties[True]) if of_buyer else (parties[False], stranger)
    await market.order(await sells.lists(), buys, status=status, arbitrator_wallet=arbitrator.wallet, **times)
    assert await reasons(doors, arbitrator, disputed) == found


async def test_only_who_is_active_in_the_pool_of_that_chain_may_be_drawn(
    doors: Database, market: Market, disputed: UUID
) -> None:
    idle, elsewhere = await market.member(), await market.member()
    await market.owner.execute(ADD_MEMBER, "ethereum", idle.wallet, False)
    await market.owner.execute(ADD_MEMBER, "bsc", elsewhere.wallet, True)
    for each in (idle, elsewhere, await market.member()):
        assert await reasons(doors, each, disputed) == {Reason.INACTIVE}


async def test_trades_of_others_are_no_conflict(
    doors: Database, market: Market, seller: Caller, arbitrator: Caller, disputed: UUID
) -> None:
    stranger = await market.member()
    await market.order(await seller.lists(), stranger)
    await market.order(await stranger.lists(), arbitrator)
    assert await reasons(doors, arbitrator, disputed) == set()

"""The audit of arbitrators and credits: clean after rulings and no-shows, and a line for each thing that is not."""

from decimal import Decimal

import asyncpg
import pytest

from entrepot.apps.escrow.operations import audit as auditing
from entrepot.apps.escrow.operations import audit_credits
from entrepot.apps.escrow.operations.findings import ChainAudit, Difference
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.db.database import Database
from tests.apps.escrow.chain.deals import DAY, DELIVERY, ONE, buy, catch_up, dispute
from tests.bazaar import Bazaar

TAMPERED = [
    ("pool_members", "stake_amount = stake_amount + 0.000001", {"stake_amount"}),
    ("pool_members", "reputation = reputation - 1", {"reputation", "is_summed"}),
    ("pool_members", "assigned = assigned + 1", {"assigned"}),
    ("pool_members", "total_resolved = total_resolved + 1", {"total_resolved", "is_summed"}),
    ("pool_members", "is_active = NOT is_active", {"is_active", "is_summed"}),
    ("arbitrators", "total_earned = total_earned + 1", {"is_summed"}),
    ("arbitrators", "stake_amount = stake_amount + 1", {"is_summed"}),
]


async def audit(doors: Database, chains: Chains, *, every: bool = True) -> ChainAudit:
    (found,) = await auditing.audit(doors, chains, lambda _more: None, every=every)
    return found


@pytest.fixture
async def history(market: Bazaar, mirrors: list[Indexer]) -> None:
    """A ruling for either side, a default ruling after a no-show, a sale, a cancellation, some money withdrawn."""
    seller, buyer, one = (party.address for party in market.parties[:3])
    await market.stake(market.parties[2], 600)
    for favor_buyer in (True, False):
        number = await dispute(market)
        assert await market.draw(number) == one
        await market.act(one, "resolveDispute", number, favor_buyer)
    sold, cancelled = await buy(market, 30 * ONE), await buy(market, 40 * ONE)
    await market.act(seller, "sellerConfirmDelivery", sold, DELIVERY)
    await market.act(buyer, "buyerConfirmReceived", sold)
    await market.act(market.node.accounts[0].address, "setTreasury", market.parties[6].address)
    await market.act(buyer, "cancelOrder", cancelled)
    await market.act(seller, "withdraw", market.token(), seller)
    late = await dispute(market)
    await market.draw(late)
    await market.node.increase_time(9 * DAY)
    await market.act(buyer, "autoResolveDispute", late)
    again = await buy(market, 50 * ONE)
    await market.act(seller, "sellerConfirmDelivery", again, DELIVERY)
    await market.act(buyer, "buyerConfirmReceived", again)
    await catch_up(mirrors)


@pytest.mark.usefixtures("history")
async def test_nothing_differs_after_rulings_no_shows_and_withdrawals(
    doors: Database, chains: Chains, market: Bazaar, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_credits, "AT_ONCE", 3)
    found = await audit(doors, chains)
    assert (found.differences, found.fault) == ([], "")
    assert (found.orders, found.arbitrators, found.credits) == (6, 1, 5)
    treasury = await market.call("credits", market.parties[6].address, market.token())
    assert treasury == ONE, "what was sold after the treasury changed pays the new one"
    await market.act(market.parties[1].address, "withdraw", market.token(), market.parties[1].address)
    assert (await audit(doors, chains)).is_well, "what the mirror has not read yet is no difference"


@pytest.mark.usefixtures("history")
async def test_a_credit_that_the_events_do_not_explain_is_named(
    doors: Database, chains: Chains, market: Bazaar, owner: asyncpg.Connection
) -> None:
    await owner.execute("DELETE FROM escrow.contract_events WHERE name = 'Withdrawn'")
    seller = market.parties[0].address
    sums = [Decimal("9.5") + 30, Decimal(0)]
    ours = sum(sums) + 50
    theirs = Decimal(await market.call("credits", seller, market.token())).scaleb(-6)
    expected = Difference(None, "credit in USDT", f"{ours:.6f}", f"{theirs:.6f}", seller)
    assert (await audit(doors, chains, every=False)).differences == [expected]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("table", "change", "fields"), TAMPERED, ids=[change for _, change, _ in TAMPERED])
async def test_everything_of_an_arbitrator_that_was_tampered_with_is_found(
    doors: Database,
    chains: Chains,
    market: Bazaar,
    owner: asyncpg.Connection,
    table: str,
    change: str,
    fields: set[str],
) -> None:
    assert await owner.execute(f"UPDATE escrow.{table} SET {change}") == "UPDATE 1"
    found = await audit(doors, chains, every=False)
    assert {each.field for each in found.differences} == fields
    assert {each.wallet for each in found.differences} == {market.parties[2].address}


@pytest.mark.usefixtures("history")
async def test_an_arbitrator_that_is_missing_is_counted(
    doors: Database, chains: Chains, owner: asyncpg.Connection
) -> None:
    await owner.execute("DELETE FROM escrow.pool_members")
    assert (await audit(doors, chains)).differences == [Difference(None, "arbitrators in the pool", "0", "1")]

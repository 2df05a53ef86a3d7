"""The daily figures: what is counted, of which day, and that no day is left out."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from eth_account import Account

from entrepot.kernel.wallet import Wallet
from tests.apps.escrow.conftest import Caller, Market, opened_market
from tests.conftest import TestDatabase

OPERATOR = Account.create()
EMPTY = {
    "total_orders": 0,
    "completed": 0,
    "disputes": 0,
    "cancelled": 0,
    "total_volume": "0.000000",
    "total_fees": "0.000000",
}


@pytest.fixture
async def market(database: TestDatabase) -> AsyncIterator[Market]:
    """One whose database's own day begins fourteen hours before that of UTC."""
    owner = await asyncpg.connect(database.owner_url)
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER DATABASE {name} SET timezone TO 'Pacific/Kiritimati'")
    await owner.close()
    async with opened_market(database, operators=(Wallet.parse(OPERATOR.address),)) as made:
        assert await made.owner.fetchval("SHOW timezone") == "Pacific/Kiritimati"
        yield made


async def stats(market: Market) -> list[dict[str, Any]]:
    operator = Caller(market.http, OPERATOR)
    await operator.sign_in(operator.key)
    answer = await operator.get("admin/stats/daily")
    assert (answer.status, list(answer.body)) == (200, ["items"])
    items: list[dict[str, Any]] = answer.body["items"]
    return items


def today() -> date:
    return datetime.now(UTC).date()


def at(days_ago: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    day = today() - timedelta(days=days_ago)
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)


async def test_thirty_days_without_a_gap_where_nothing_happened(market: Market) -> None:
    assert await stats(market) == [{"day": str(today() - timedelta(days=n)), **EMPTY} for n in range(30)]


async def test_every_status_is_counted_where_it_belongs(market: Market, seller: Caller, buyer: Caller) -> None:
    product = await seller.lists()
    for status in ("created", "seller_confirmed", "disputed", "resolved_buyer", "resolved_seller", "cancelled"):
        await market.order(product, buyer, status=status, created_at=at(3))
    for amount, fee in ((10.5, 0.21), (1, 0.020001)):
        await market.order(product, buyer, status="completed", created_at=at(3), amount=amount, platform_fee=fee)
    await market.order(product, buyer, status="expired", created_at=at(3))
    await market.order(product, buyer, status="completed", created_at=at(3), orphaned_at=at(3))
    found = await stats(market)
    assert found.pop(3) == {
        "day": str(today() - timedelta(days=3)),
        "total_orders": 9,
        "completed": 2,
        "disputes": 3,
        "cancelled": 1,
        "total_volume": "11.500000",
        "total_fees": "0.230001",
    }
    assert [{**each, "day": ""} for each in found] == [{**EMPTY, "day": ""}] * 29


async def test_a_day_is_from_midnight_to_midnight_in_utc(market: Market, seller: Caller, buyer: Caller) -> None:
    product = await seller.lists()
    for moment in (at(0), at(1, 23, 59, 59), at(1), at(29), at(30, 23, 59, 59)):
        await market.order(product, buyer, status="completed", created_at=moment)
    found = [(n, each["total_orders"]) for n, each in enumerate(await stats(market))]
    assert [each for each in found if each[1]] == [(0, 1), (1, 2), (29, 1)]

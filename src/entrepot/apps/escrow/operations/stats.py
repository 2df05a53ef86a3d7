"""What operators are told of the market in figures."""

from entrepot.apps.escrow.calls.stats import DailyStats
from entrepot.apps.escrow.store import stats
from entrepot.kernel.db.doors import Read

DAYS = 30


async def daily_stats(db: Read) -> DailyStats:
    """Count the orders of the last thirty days, day by day.

    Days are UTC's; today is the first and not over.
    """
    return DailyStats(await stats.daily(db, DAYS))

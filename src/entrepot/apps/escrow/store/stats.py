"""SQL of the daily figures: the reference's query, over whole days in UTC and without gaps."""

from entrepot.apps.escrow.calls.stats import DayStats
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query

DAILY = Query("""
    WITH calendar AS (
        SELECT (now() AT TIME ZONE 'UTC')::date - n AS day FROM generate_series(0, :days::int - 1) AS n
    ), traded AS (
        SELECT (created_at AT TIME ZONE 'UTC')::date AS day,
            count(*) AS total_orders,
            count(*) FILTER (WHERE status = 'completed') AS completed,
            count(*) FILTER (WHERE status IN ('disputed', 'resolved_buyer', 'resolved_seller')) AS disputes,
            count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
            sum(amount) FILTER (WHERE status = 'completed') AS total_volume,
            sum(platform_fee) FILTER (WHERE status = 'completed') AS total_fees
        FROM escrow.orders
        WHERE orphaned_at IS NULL
            AND created_at >= (SELECT min(day) FROM calendar)::timestamp AT TIME ZONE 'UTC'
        GROUP BY 1
    )
    SELECT day, coalesce(total_orders, 0) AS total_orders, coalesce(completed, 0) AS completed,
        coalesce(disputes, 0) AS disputes, coalesce(cancelled, 0) AS cancelled,
        coalesce(total_volume, 0.000000) AS total_volume, coalesce(total_fees, 0.000000) AS total_fees
    FROM calendar LEFT JOIN traded USING (day) ORDER BY day DESC
""")


async def daily(db: Read, days: int) -> list[DayStats]:
    """So many days, the newest first."""
    return await db.all(DayStats, DAILY, days=days)

"""SQL of arbitrators: the members of each chain's pool, and the one row that each wallet has for all of them.

The reference has a row for each wallet, and its stake is 500 at least. But a wallet may be in the pools of several
chains, and a missed deadline may leave it 450 and a withdrawal nothing. So each pool's word stands in `pool_members`,
and `arbitrators` says of a wallet what holds in the pool where it counts most, with the last stake that sufficed; while
it is active that is its stake.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from entrepot.apps.escrow.calls.arbitrators import ListArbitrators
from entrepot.apps.escrow.payouts import ARBITRATION_BPS, BPS
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.money import MOST, PLACES

# The key of the lock is the first eight bytes of SHA-256("escrow.arbitrators"), as a signed number.
HOLD = Query("SELECT pg_advisory_xact_lock(3863327823172628403)")
LOCK_MEMBERS = Query("""
    SELECT wallet, stake_amount, pledged, reputation, assigned, total_resolved, is_active, registered_at, updated_at
    FROM escrow.pool_members WHERE chain = :chain AND wallet = ANY(:wallets::text[]) ORDER BY wallet FOR UPDATE
""")
SET_MEMBERS = Query("""
    INSERT INTO escrow.pool_members (chain, stake_token, wallet, stake_amount, pledged, reputation, assigned,
        total_resolved, is_active, registered_at, updated_at)
    SELECT :chain::escrow.chain_type, :stake_token, * FROM unnest(:wallet::text[], :stake_amount::numeric[],
        :pledged::numeric[], :reputation::smallint[], :assigned::int[], :total_resolved::int[], :is_active::bool[],
        :registered_at::timestamptz[], :updated_at::timestamptz[])
    ON CONFLICT (chain, wallet) DO UPDATE SET
        stake_token = excluded.stake_token, stake_amount = excluded.stake_amount, pledged = excluded.pledged,
        reputation = excluded.reputation, assigned = excluded.assigned, total_resolved = excluded.total_resolved,
        is_active = excluded.is_active, registered_at = excluded.registered_at, updated_at = excluded.updated_at
""")
REMOVE_MEMBERS = Query("DELETE FROM escrow.pool_members WHERE chain = :chain AND wallet = ANY(:wallets::text[])")


def summary(member: str, condition: str) -> str:
    """What the pools and its rulings make of each wallet, as columns of `arbitrators`; `member` is an alias."""
    return f"""SELECT DISTINCT ON ({member}.wallet) {member}.wallet, {member}.pledged AS stake_amount,
        {member}.stake_token, {member}.reputation, (sum({member}.total_resolved) OVER pools)::int AS total_resolved,
        e.total_earned::numeric(18, 6) AS total_earned, {member}.is_active, {member}.registered_at,
        max({member}.updated_at) OVER pools AS updated_at
    FROM escrow.pool_members {member} CROSS JOIN LATERAL (
        SELECT least({MOST}, coalesce(sum(trunc(o.amount * {ARBITRATION_BPS} / {BPS}, {PLACES})), 0)) AS total_earned
        FROM escrow.orders o WHERE o.arbitrator_wallet = {member}.wallet AND o.ruled_in_conflict IS NOT NULL
            AND o.orphaned_at IS NULL) e
    WHERE {condition}
    WINDOW pools AS (PARTITION BY {member}.wallet)
    ORDER BY {member}.wallet, {member}.is_active DESC, {member}.stake_amount DESC, {member}.pledged DESC,
        {member}.chain"""


SETTLE = Query(f"""
    INSERT INTO escrow.arbitrators AS a (wallet, stake_amount, stake_token, reputation, total_resolved, total_earned,
        is_active, registered_at, updated_at)
    {summary("m", "m.wallet = ANY(:wallets::text[])")}
    ON CONFLICT (wallet) DO UPDATE SET
        stake_amount = excluded.stake_amount, stake_token = excluded.stake_token, reputation = excluded.reputation,
        total_resolved = excluded.total_resolved, total_earned = excluded.total_earned,
        is_active = excluded.is_active, registered_at = excluded.registered_at, updated_at = excluded.updated_at
""")
REMOVE_OTHERS = Query("""
    DELETE FROM escrow.arbitrators a WHERE a.wallet = ANY(:wallets::text[])
        AND NOT EXISTS (SELECT FROM escrow.pool_members m WHERE m.wallet = a.wallet)
""")
PAGE = Query(f"""
    SELECT json_build_object('items', coalesce(json_agg(page), '[]'::json), 'next_cursor',
        CASE WHEN count(*) = :limit::bigint
            THEN 'newest~' || (array_agg(page.registered_at || '~' || page.wallet))[:limit::bigint] END)
    FROM (
        SELECT a.wallet, a.stake_amount::text AS stake_amount, a.stake_token, a.reputation, a.total_resolved,
            a.total_earned::text AS total_earned, a.is_active, {moment("a.registered_at")} AS registered_at,
            {moment("a.updated_at")} AS updated_at,
            (SELECT json_agg(json_build_object('chain', m.chain, 'stake_amount', m.stake_amount::text,
                    'stake_token', m.stake_token, 'reputation', m.reputation, 'assigned', m.assigned,
                    'total_resolved', m.total_resolved) ORDER BY m.chain)
                FROM escrow.pool_members m WHERE m.wallet = a.wallet AND m.is_active) AS pools
        FROM escrow.arbitrators a
        WHERE a.is_active AND (:registered::timestamptz IS NULL OR (a.registered_at, a.wallet) < (:registered, :last))
        ORDER BY a.registered_at DESC, a.wallet DESC LIMIT :limit::bigint
    ) page
""")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool's events say of one of its members. Amounts are tokens, times the chain's."""

    wallet: str
    stake_amount: Decimal
    pledged: Decimal
    reputation: int
    assigned: int
    total_resolved: int
    is_active: bool
    registered_at: datetime
    updated_at: datetime


async def hold(db: Write) -> None:
    """Keeps `arbitrators` to this transaction: rulings and stakes come from two mirrors, each counting the other's."""
    await db.value(HOLD)


async def lock_members(db: Write, chain: str, wallets: Sequence[str]) -> list[Member]:
    """Those of them who are or were in the chain's pool."""
    return await db.all(Member, LOCK_MEMBERS, chain=chain, wallets=wallets)


async def set_members(db: Write, chain: str, token: str, members: Sequence[Member]) -> None:
    """Writes members as folded."""
    columns = {name: [getattr(member, name) for member in members] for name in Member.__struct_fields__}
    await db.run(SET_MEMBERS, chain=chain, stake_token=token, **columns)


async def remove_members(db: Write, chain: str, wallets: Sequence[str]) -> None:
    """Takes away who never registered after all."""
    await db.run(REMOVE_MEMBERS, chain=chain, wallets=wallets)


async def settle(db: Write, wallets: Sequence[str]) -> None:
    """Counts the rows of these wallets anew, of those who are or were in a pool."""
    await db.run(SETTLE, wallets=wallets)


async def remove_others(db: Write, wallets: Sequence[str]) -> None:
    """Takes away the rows of those who are in no pool and never were."""
    await db.run(REMOVE_OTHERS, wallets=wallets)


async def page(db: Read, ask: ListArbitrators) -> Json:
    """A page of the active ones, newest first."""
    registered, last = (None, None) if ask.cursor is None else ask.cursor.place
    found = await db.json(PAGE, limit=ask.limit, registered=registered, last=last)
    assert found is not None, "an aggregate answers with a row"
    return found

"""SQL of the audit of credits: the journal of the escrow, added up a stretch at a time. Amounts are base units."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query

STRETCH = Query("""
    SELECT max(block_number) AS block, (array_agg(log_index ORDER BY block_number DESC, log_index DESC))[1] AS log,
        coalesce(array_agg(block_number) FILTER (WHERE name = 'TreasurySet'), '{}') AS blocks,
        coalesce(array_agg(log_index) FILTER (WHERE name = 'TreasurySet'), '{}') AS logs,
        coalesce(array_agg(fields ->> 'treasury') FILTER (WHERE name = 'TreasurySet'), '{}') AS treasuries
    FROM (
        SELECT block_number, log_index, name, fields FROM escrow.contract_events
        WHERE chain = :chain AND contract = :contract AND (block_number, log_index) > (:block, :log)
        ORDER BY block_number, log_index LIMIT :most::bigint
    ) page
    HAVING count(*) > 0
""")
# The platform fee goes to who was the treasury when the order was made.
TREASURY = """SELECT t.treasury FROM unnest(:blocks::bigint[], :logs::int[], :treasuries::text[])
        AS t(block_number, log_index, treasury)
    WHERE (t.block_number, t.log_index) < (c.block_number, c.log_index)
    ORDER BY t.block_number DESC, t.log_index DESC LIMIT 1"""
BETWEEN = """e.chain = :chain AND e.contract = :contract AND (e.block_number, e.log_index) > (:block, :log)
        AND (e.block_number, e.log_index) <= (:last_block, :last_log)"""
CREDITS = Query(f"""
    SELECT owner, token, sum(units) AS units FROM (
        SELECT paid.owner, c.fields ->> 'token' AS token, paid.units::numeric AS units
        FROM escrow.contract_events e
        JOIN escrow.contract_events c ON c.chain = e.chain AND c.contract = e.contract
            AND c.onchain_order_id = e.onchain_order_id AND c.name = 'OrderCreated'
        CROSS JOIN LATERAL (VALUES
            (c.fields ->> 'buyer', coalesce(e.fields ->> 'buyer_payout', e.fields ->> 'refund')),
            (c.fields ->> 'seller', e.fields ->> 'seller_payout'),
            (e.fields ->> 'arbitrator', e.fields ->> 'arbitrator_payout'),
            (({TREASURY}), e.fields ->> 'treasury_payout')
        ) AS paid(owner, units)
        WHERE {BETWEEN} AND e.name IN ('OrderCompleted', 'OrderCancelled', 'OrderExpired', 'DisputeResolved')
            AND paid.units::numeric <> 0
        UNION ALL
        SELECT e.fields ->> 'owner', e.fields ->> 'token', -(e.fields ->> 'amount')::numeric
        FROM escrow.contract_events e WHERE {BETWEEN} AND e.name = 'Withdrawn'
    ) moved
    GROUP BY owner, token
""")


class Place(msgspec.Struct, frozen=True):
    """Where an event stands on the chain."""

    block: int
    log: int


START = Place(-1, -1)


class Treasury(msgspec.Struct, frozen=True):
    """Who received the platform fee of orders that were made from then on."""

    place: Place
    wallet: str


class Stretch(msgspec.Struct, frozen=True):
    """Some events on end: where the last of them stands, and the treasuries that they set."""

    last: Place
    treasuries: list[Treasury]


class Credit(msgspec.Struct, frozen=True):
    """By how much a credit changed."""

    owner: str
    token: str
    units: Decimal


async def stretch(db: Read, contract: Deployed, after: Place, most: int) -> Stretch | None:
    """The next events; None where no more are."""
    given = {"chain": contract.chain, "contract": contract.address, "block": after.block, "log": after.log}
    found = await db.rows(STRETCH, **given, most=most)
    if not found:
        return None
    row = found[0]
    sets = zip(row["blocks"], row["logs"], row["treasuries"], strict=True)
    return Stretch(Place(row["block"], row["log"]), [Treasury(Place(block, log), who) for block, log, who in sets])


async def credited(
    db: Read, contract: Deployed, after: Place, last: Place, treasuries: Sequence[Treasury]
) -> list[Credit]:
    """What the events of a stretch credited and paid out, by owner and token."""
    return await db.all(
        Credit,
        CREDITS,
        chain=contract.chain,
        contract=contract.address,
        block=after.block,
        log=after.log,
        last_block=last.block,
        last_log=last.log,
        blocks=[each.place.block for each in treasuries],
        logs=[each.place.log for each in treasuries],
        treasuries=[each.wallet for each in treasuries],
    )

"""SQL of reservations: stock that a buyer may take in the next minutes."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from entrepot.apps.escrow.calls.orders import PrepareOrder
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.money import Amount
from entrepot.kernel.wallet import Wallet

# now() is when the transaction began, and this one may have waited for the listing's lock while another changed this.
LIVE = "used_at IS NULL AND expires_at > clock_timestamp()"
OF_PRODUCT = Query(f"""
    SELECT count(*) AS number, (array_agg(id ORDER BY expires_at) FILTER (WHERE buyer_wallet = :buyer))[1] AS own
    FROM escrow.reservations WHERE product_id = :product AND {LIVE}
""")
OF_SELLER = Query(f"""
    SELECT (SELECT count(*) FROM escrow.orders WHERE seller_wallet = :seller AND orphaned_at IS NULL
            AND created_at > now() - interval '24 hours')
        + (SELECT count(*) FROM escrow.reservations
            WHERE product_id IN (SELECT id FROM escrow.products WHERE seller_wallet = :seller) AND {LIVE})
""")
END = Query("UPDATE escrow.reservations SET expires_at = clock_timestamp() WHERE id = :id")
ADD = Query("""
    INSERT INTO escrow.reservations (id, product_id, buyer_wallet, chain, token, amount, platform_fee, expires_at)
    VALUES (:id, :product, :buyer, :chain, :token, :amount, :fee, clock_timestamp() + :lifetime)
    RETURNING expires_at
""")


class Reserved(msgspec.Struct, frozen=True):
    """How many live reservations a listing has, and the oldest of them that is this buyer's."""

    number: int
    own: UUID | None


async def of_product(db: Read, product: UUID, buyer: Wallet) -> Reserved:
    """The live reservations of a listing."""
    return await db.one(Reserved, OF_PRODUCT, product=product, buyer=buyer)


async def of_seller(db: Read, seller: Wallet) -> int:
    """A seller's orders of the last 24 hours, with those that are reserved."""
    return int(await db.value(OF_SELLER, seller=seller))


async def end(db: Write, reservation: UUID) -> None:
    """Gives the unit back; an order that comes with this reference all the same is still recognised."""
    await db.run(END, id=reservation)


async def add(
    db: Write, reservation: UUID, ask: PrepareOrder, amount: Amount, fee: Amount, lifetime: timedelta
) -> datetime:
    """When the new reservation ends."""
    ends: datetime = await db.value(
        ADD,
        id=reservation,
        product=ask.product_id,
        buyer=ask.by,
        chain=ask.chain,
        token=ask.token,
        amount=amount,
        fee=fee,
        lifetime=lifetime,
    )
    return ends

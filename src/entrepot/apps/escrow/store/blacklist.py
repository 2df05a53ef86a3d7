"""SQL of the blacklist and of what follows from it. Every statement takes many wallets, for the sake of imports."""

from collections.abc import Collection, Sequence

from entrepot.apps.escrow.calls.blacklist import BlacklistEntry
from entrepot.apps.escrow.model import BlacklistSource
from entrepot.apps.escrow.store.reservations import LIVE
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.http.paging import WalletCursor
from entrepot.kernel.wallet import Wallet

# The key of the lock is the first eight bytes of SHA-256("escrow.blacklist"), as a signed number.
HOLD = Query("SELECT pg_advisory_xact_lock(3012661807082651787)")
SHARE = Query("SELECT pg_advisory_xact_lock_shared(3012661807082651787)")
COLUMNS = "wallet, reason, source, added_by, created_at"
ADD = Query("""
    INSERT INTO escrow.blacklist (wallet, reason, source, added_by)
    SELECT wallet, :reason, :source, :by FROM unnest(:wallets::text[]) AS wallet
    ON CONFLICT (wallet) DO NOTHING RETURNING wallet
""")
REMOVE = Query("DELETE FROM escrow.blacklist WHERE wallet = :wallet")
FIND = Query(f"SELECT {COLUMNS} FROM escrow.blacklist WHERE wallet = :wallet")
PAGE = Query(f"""
    SELECT {COLUMNS} FROM escrow.blacklist
    WHERE (:source::text IS NULL OR source = :source)
        AND (:added::timestamptz IS NULL OR (created_at, wallet) < (:added, :last))
    ORDER BY created_at DESC, wallet DESC LIMIT :limit::bigint
""")
FLAG = Query("""
    UPDATE escrow.user_profiles SET is_blacklisted = :is_blacklisted, updated_at = now()
    WHERE wallet = ANY(:wallets::text[]) AND is_blacklisted <> :is_blacklisted
""")
END_RESERVATIONS = Query(f"""
    UPDATE escrow.reservations SET expires_at = clock_timestamp()
    WHERE {LIVE} AND (buyer_wallet = ANY(:wallets::text[])
        OR product_id IN (SELECT id FROM escrow.products WHERE seller_wallet = ANY(:wallets::text[])))
""")


async def hold(db: Write) -> None:
    """Keeps the blacklist to this transaction: nobody signs in or prepares an order meanwhile."""
    await db.value(HOLD)


async def share(db: Write) -> None:
    """Makes sure that nobody adds to the blacklist before this transaction ends."""
    await db.value(SHARE)


async def add(
    db: Write, wallets: Sequence[Wallet], reason: str, source: BlacklistSource, by: Wallet | None
) -> list[Wallet]:
    """Those that were not there yet."""
    rows = await db.rows(ADD, wallets=wallets, reason=reason, source=source, by=by)
    return [Wallet(row[0]) for row in rows]


async def remove(db: Write, wallet: Wallet) -> bool:
    """Takes a wallet away; False where it is not there."""
    return await db.run(REMOVE, wallet=wallet) == 1


async def find(db: Read, wallet: Wallet) -> BlacklistEntry | None:
    """What the blacklist says of a wallet."""
    return await db.maybe(BlacklistEntry, FIND, wallet=wallet)


async def page(
    db: Read, source: BlacklistSource | None, cursor: WalletCursor | None, limit: int
) -> list[BlacklistEntry]:
    """The newest first, from behind the cursor on."""
    added, last = (None, None) if cursor is None else cursor.place
    return await db.all(BlacklistEntry, PAGE, source=source, added=added, last=last, limit=limit)


async def flag(db: Write, wallets: Collection[Wallet], *, is_blacklisted: bool) -> None:
    """Says it in the wallets' profiles too, where they have one, which is what hides their listings."""
    await db.run(FLAG, wallets=list(wallets), is_blacklisted=is_blacklisted)


async def end_reservations(db: Write, wallets: Collection[Wallet]) -> None:
    """Gives back what these wallets reserved, and what others reserved of them."""
    await db.run(END_RESERVATIONS, wallets=list(wallets))

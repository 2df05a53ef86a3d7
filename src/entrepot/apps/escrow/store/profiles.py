"""SQL of profiles, of their public keys and of the blacklist."""

from datetime import datetime

import msgspec

from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet

BLACKLISTED = """(u.is_blacklisted OR EXISTS (SELECT FROM escrow.blacklist b WHERE b.wallet = u.wallet))"""
PUBLIC = f"""json_build_object('wallet', u.wallet, 'display_name', u.display_name,
    'public_key', nullif(u.public_key, ''), 'reputation_score', u.reputation_score::text,
    'total_trades', u.total_trades, 'total_as_buyer', u.total_as_buyer, 'total_as_seller', u.total_as_seller,
    'rating', u.rating::text, 'tier', u.tier, 'created_at', {moment("u.created_at")},
    'updated_at', {moment("u.updated_at")})"""

PROFILE = Query(f"SELECT {PUBLIC} FROM escrow.user_profiles u WHERE u.wallet = :wallet")
MEMBER = Query(f"""
    SELECT u.wallet, u.created_at, {BLACKLISTED} AS is_blacklisted
    FROM escrow.user_profiles u WHERE u.wallet = :wallet
""")
LOCK_MEMBER = Query("SELECT created_at FROM escrow.user_profiles WHERE wallet = :wallet FOR NO KEY UPDATE")
IS_BLACKLISTED = Query("""
    SELECT EXISTS (SELECT FROM escrow.blacklist WHERE wallet = :wallet)
        OR EXISTS (SELECT FROM escrow.user_profiles WHERE wallet = :wallet AND is_blacklisted)
""")
HAS_KEY = Query("SELECT EXISTS (SELECT FROM escrow.user_profiles WHERE wallet = :wallet AND public_key <> '')")
# A profile without a key is one that the mirror made; a key that is there stays.
OPEN_PROFILE = Query("""
    WITH profile AS (
        INSERT INTO escrow.user_profiles AS u (wallet, public_key) VALUES (:wallet, :public_key)
        ON CONFLICT (wallet) DO UPDATE SET public_key = excluded.public_key, updated_at = now()
        WHERE u.public_key = ''
        RETURNING u.wallet, u.public_key
    )
    INSERT INTO escrow.public_keys (wallet, since, public_key)
    SELECT wallet, clock_timestamp(), public_key FROM profile
""")
ROTATE_KEY = Query("""
    WITH profile AS (
        UPDATE escrow.user_profiles SET public_key = :public_key, updated_at = now()
        WHERE wallet = :wallet AND public_key <> :public_key
        RETURNING wallet, public_key
    )
    INSERT INTO escrow.public_keys (wallet, since, public_key)
    SELECT wallet, clock_timestamp(), public_key FROM profile
""")
RENAME = Query("""
    UPDATE escrow.user_profiles SET display_name = :display_name, updated_at = now() WHERE wallet = :wallet
""")


class Member(msgspec.Struct, frozen=True):
    """A user, as far as the rules look at one."""

    wallet: Wallet
    created_at: datetime
    is_blacklisted: bool


async def profile(db: Read, wallet: Wallet) -> Json | None:
    """What everyone may know of a user."""
    return await db.json(PROFILE, wallet=wallet)


async def member(db: Read, wallet: Wallet) -> Member | None:
    """What the rules look at."""
    return await db.maybe(Member, MEMBER, wallet=wallet)


async def lock_member(db: Write, wallet: Wallet) -> None:
    """Whoever counts something of this user's waits here for whoever counted before."""
    await db.run(LOCK_MEMBER, wallet=wallet)


async def is_blacklisted(db: Read, wallet: Wallet) -> bool:
    """Whether the wallet is banned, be it known here or not."""
    return bool(await db.value(IS_BLACKLISTED, wallet=wallet))


async def has_key(db: Read, wallet: Wallet) -> bool:
    """Whether this wallet has signed in here before."""
    return bool(await db.value(HAS_KEY, wallet=wallet))


async def open_profile(db: Write, wallet: Wallet, public_key: PublicKey) -> None:
    """Makes the profile, or gives its first key to one that has none; a key that is there stays."""
    await db.run(OPEN_PROFILE, wallet=wallet, public_key=public_key)


async def rotate_key(db: Write, wallet: Wallet, public_key: PublicKey) -> None:
    """Replaces the key, where it is another, and adds it to the history."""
    await db.run(ROTATE_KEY, wallet=wallet, public_key=public_key)


async def rename(db: Write, wallet: Wallet, display_name: str | None) -> None:
    """Gives the user another name, or none."""
    await db.run(RENAME, wallet=wallet, display_name=display_name)

"""SQL of users."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from entrepot.apps.chat.calls.users import FindUsers
from entrepot.apps.chat.store.blocks import silent
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet

OPEN = Query("""
    WITH opened AS (
        INSERT INTO chat.users (wallet_address, public_key) VALUES (:wallet, :public_key)
        ON CONFLICT (wallet_address) DO NOTHING RETURNING id, public_key
    )
    INSERT INTO chat.key_log (user_id, event, version, key)
    SELECT id, 'public_key', 0, decode(public_key, 'base64') FROM opened WHERE public_key IS NOT NULL
""")
FIND = Query("SELECT id, wallet_address, keys_version, public_key FROM chat.users WHERE wallet_address = :wallet")
# In the order of their ids, so that two who lock the same users never wait for each other in a circle.
LOCK = Query("""
    SELECT id, wallet_address, keys_version, public_key FROM chat.users WHERE wallet_address = ANY(:wallets::text[])
    ORDER BY id FOR NO KEY UPDATE
""")
RENAME = Query("UPDATE chat.users SET name = :name WHERE wallet_address = :wallet")
SHOWN = f"u.wallet_address, u.name, u.public_key, {moment('u.created_at')} AS created_at"
ME = Query(f"""
    SELECT row_to_json(me) FROM (SELECT {SHOWN}, u.keys_version FROM chat.users u WHERE u.wallet_address = :by) me
""")
USER = Query(f"""
    SELECT row_to_json(found) FROM (
        SELECT {SHOWN} FROM chat.users u JOIN chat.users me ON me.wallet_address = :by
        WHERE u.wallet_address = :wallet AND NOT {silent("me", "u")}
    ) found
""")
MOST_FOUND = 20
FIT = f"u.id <> me.id AND NOT {silent('me', 'u')}"
# The last code point ends the range of all that begins alike: for LIKE, every call would have to be planned anew. Of a
# wallet, the index is asked for a few digits and not for 0x: to look for what every wallet has took most of the time.
BY_NAME = f"""
    SELECT 1 AS kind, lower(u.name) AS place, u.* FROM me, chat.users u
    WHERE lower(u.name) ~>=~ lower(:q) AND lower(u.name) ~<~ (lower(:q) || chr(1114111)) AND {FIT}
    ORDER BY lower(u.name) USING ~<~, u.id LIMIT {MOST_FOUND}
"""
# The planner is not to know the digits: where one of its samples holds them, it supposes that a hundredth of all
# wallets do, and reads the table. And the order is no index's, so that none is walked until twenty were met.
BY_WALLET = f"""
    SELECT 2 AS kind, lower(u.wallet_address) AS place, u.* FROM me, chat.users u
    WHERE lower(u.wallet_address) LIKE (SELECT '%' || :part || '%')
        AND strpos(lower(u.wallet_address), lower(:q)) > 0 AND {FIT}
    ORDER BY lower(u.wallet_address) LIMIT {MOST_FOUND}
"""


def search(*ways: str) -> Query:
    """The first of those that are found in these ways, each once."""
    found = " UNION ALL ".join(f"({way})" for way in ways)
    return Query(f"""
        WITH me AS MATERIALIZED (SELECT id, wallet_address FROM chat.users WHERE wallet_address = :by),
        found AS (
            SELECT DISTINCT ON (id) * FROM ({found}) every ORDER BY id, kind
        ), chosen AS (
            SELECT u.kind, u.place, {SHOWN} FROM found u ORDER BY u.kind, u.place LIMIT {MOST_FOUND}
        )
        SELECT json_build_object('items', coalesce(json_agg(json_build_object('wallet_address', wallet_address,
            'name', name, 'public_key', public_key, 'created_at', created_at) ORDER BY kind, place), '[]'::json))
        FROM chosen
    """)


NAMES, NAMES_AND_WALLETS = search(BY_NAME), search(BY_NAME, BY_WALLET)
PART = re.compile("(?:0x)?(?=[0-9a-f]{4,40}$)([0-9a-f]{4,8})[0-9a-f]*")


class Held(msgspec.Struct, frozen=True):
    """A user."""

    id: int
    wallet_address: Wallet
    keys_version: int
    public_key: PublicKey | None


async def open_user(db: Write, wallet: Wallet, public_key: PublicKey | None) -> None:
    """Makes the user with that wallet, and notes the key; one that another made meanwhile stays as it is."""
    await db.run(OPEN, wallet=wallet, public_key=public_key)


async def find(db: Read, wallet: Wallet) -> Held | None:
    """The user with that wallet."""
    return await db.maybe(Held, FIND, wallet=wallet)


async def lock(db: Write, wallets: Sequence[Wallet]) -> dict[Wallet, Held]:
    """Those of them who are users, by wallet: until the transaction ends, nobody else changes their keys, blocks them
    or is blocked by them. Who locks conversations too locks these first.
    """
    found = await db.all(Held, LOCK, wallets=list(wallets))
    return {each.wallet_address: each for each in found}


async def rename(db: Write, wallet: Wallet, name: str | None) -> None:
    """Gives the user a name, or takes it away."""
    await db.run(RENAME, wallet=wallet, name=name)


async def me(db: Read, by: Wallet) -> Json | None:
    """The caller; None where the wallet signed in before there was a chat."""
    return await db.json(ME, by=by)


async def user(db: Read, by: Wallet, wallet: Wallet) -> Json | None:
    """A user, or None where there is none for the caller."""
    return await db.json(USER, by=by, wallet=wallet)


async def search_users(db: Read, ask: FindUsers) -> Json:
    """Who is found by a name or a part of a wallet."""
    given: dict[str, Any] = {"by": ask.by, "q": ask.q}
    query = NAMES
    if (match := PART.fullmatch(ask.q.lower())) is not None:
        query = NAMES_AND_WALLETS
        given["part"] = match.group(1)
    found = await db.json(query, **given)
    assert found is not None
    return found

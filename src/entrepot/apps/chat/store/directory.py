"""SQL of the key directory as others see it: devices, keys that are given out once, and the log of all keys."""

from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.keys import LOW, MOST_CLAIMS, GetUserKeys, ListDevices, ListKeyLog
from entrepot.apps.chat.store.blocks import silent
from entrepot.apps.chat.store.history import base64
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

MEET = Query(f"""
    SELECT me.id AS user_id, u.id AS of_id FROM chat.users me JOIN chat.users u ON u.wallet_address = :wallet
    WHERE me.wallet_address = :by AND NOT {silent("me", "u")}
""")
# The generic cell rate algorithm, as kernel/http/limits.py has it: each claim puts off by its share of an hour when
# all is forgotten, and that may lie an hour ahead.
SHARE = f"interval '1 hour' / {MOST_CLAIMS}"
COUNT_CLAIM = Query(f"""
    INSERT INTO chat.key_claims AS c (user_id, of_id, due) VALUES (:user, :of, now() + {SHARE})
    ON CONFLICT (user_id, of_id) DO UPDATE SET due = greatest(c.due, now()) + {SHARE}
    WHERE greatest(c.due, now()) + {SHARE} <= now() + interval '1 hour'
""")
WAIT = Query(f"""
    SELECT greatest(1, ceil(extract(epoch FROM due + {SHARE} - interval '1 hour' - now())))::int
    FROM chat.key_claims WHERE user_id = :user AND of_id = :of
""")
PURGE = Query("DELETE FROM chat.key_claims WHERE due < now()")
DEVICE = f"""d.id, {base64("d.identity_key")} AS identity_key,
    '0x' || encode(d.identity_signature, 'hex') AS identity_signature, d.identity_version, d.chain_id"""
# One snapshot for the roster and the devices: what is encrypted for these and named by that is refused if it was late.
THEIRS = """
    me AS (SELECT id, keys_version FROM chat.users WHERE id = :user),
    u AS (SELECT * FROM chat.users WHERE id = :of),
    theirs AS MATERIALIZED (
        SELECT * FROM chat.devices d
        WHERE user_id = :of AND removed_at IS NULL AND (:device::uuid IS NULL OR id = :device)
    )
"""
# Who comes at the same moment steps over a key that another is taking.
TAKEN = """
    picked AS MATERIALIZED (
        SELECT k.* FROM theirs d CROSS JOIN LATERAL (
            SELECT o.device_id, o.key_id FROM chat.one_time_keys o WHERE o.device_id = d.id AND NOT o.is_last_resort
            ORDER BY o.key_id LIMIT 1 FOR UPDATE SKIP LOCKED
        ) k
    ), taken AS (
        DELETE FROM chat.one_time_keys o USING picked p WHERE (o.device_id, o.key_id) = (p.device_id, p.key_id)
        RETURNING o.*
    ), given AS (
        SELECT * FROM taken UNION ALL
        SELECT o.* FROM theirs d JOIN chat.one_time_keys o ON o.device_id = d.id AND o.is_last_resort
        WHERE NOT EXISTS (SELECT FROM taken WHERE taken.device_id = d.id)
    ), stock AS (
        SELECT t.device_id, (
            SELECT count(*) - 1 FROM chat.one_time_keys o WHERE o.device_id = t.device_id AND NOT o.is_last_resort
        ) AS held FROM taken t
    )
"""
NOTHING_TAKEN = """
    given AS (SELECT * FROM chat.one_time_keys WHERE false),
    stock AS (SELECT device_id, 0 AS held FROM given)
"""


def keys(taken: str) -> Query:
    """The statement that answers with the keys of a wallet, and with the devices that are running low by that."""
    prekey = """json_build_object('key_id', d.signed_prekey_id, 'public_key', {}, 'signature', {})""".format(
        base64("d.signed_prekey"), base64("d.signed_prekey_signature")
    )
    one_time = f"""json_build_object('key_id', g.key_id, 'public_key', {base64("g.public_key")}, 'signature',
        {base64("g.signature")}, 'is_last_resort', g.is_last_resort)"""
    return Query(f"""
        WITH {THEIRS}, {taken}
        SELECT json_build_object('wallet_address', u.wallet_address, 'public_key', u.public_key, 'keys_version',
            u.keys_version, 'conversation_id', c.id, 'roster',
            CASE WHEN u.id <> me.id THEN coalesce(c.roster, u.keys_version + me.keys_version) END,
            'devices', coalesce((SELECT json_agg(device ORDER BY device.id) FROM (
                SELECT {DEVICE}, {prekey} AS signed_prekey,
                    (SELECT {one_time} FROM given g WHERE g.device_id = d.id) AS one_time_key
                FROM theirs d
            ) device), '[]'::json)) AS answer,
            ARRAY(SELECT device_id FROM stock WHERE held < {LOW}) AS devices,
            ARRAY(SELECT held FROM stock WHERE held < {LOW}) AS held
        FROM u CROSS JOIN me LEFT JOIN chat.conversations c
            ON c.first_id = least(u.id, me.id) AND c.second_id = greatest(u.id, me.id)
    """)


SHOW, CLAIM = keys(NOTHING_TAKEN), keys(TAKEN)
# A cursor that names nobody of the conversation leads to its beginning, whether or not there is such a user.
DEVICES = Query(f"""
    WITH place AS MATERIALIZED (
        SELECT c.id, c.roster FROM chat.conversations c JOIN chat.cursors k ON k.conversation_id = c.id
        WHERE c.id = :id AND k.user_id = (SELECT id FROM chat.users WHERE wallet_address = :by) AND NOT c.is_silent
    ), page AS MATERIALIZED (
        SELECT k.user_id FROM chat.cursors k JOIN place ON k.conversation_id = place.id
        WHERE k.user_id > coalesce((
            SELECT u.id FROM chat.users u JOIN chat.cursors l ON l.user_id = u.id
            WHERE u.wallet_address = :cursor AND l.conversation_id = place.id), 0)
        ORDER BY k.user_id LIMIT :limit
    ), members AS (
        SELECT u.id, u.wallet_address, u.public_key, u.keys_version, coalesce((
            SELECT json_agg(device ORDER BY device.id) FROM (
                SELECT {DEVICE} FROM chat.devices d WHERE d.user_id = u.id AND d.removed_at IS NULL
            ) device), '[]'::json) AS devices
        FROM page JOIN chat.users u ON u.id = page.user_id
    )
    SELECT json_build_object('roster', place.roster,
        'items', coalesce((SELECT json_agg(json_build_object('wallet_address', m.wallet_address, 'public_key',
            m.public_key, 'keys_version', m.keys_version, 'devices', m.devices) ORDER BY m.id) FROM members m),
            '[]'::json),
        'next_cursor', (SELECT CASE WHEN count(*) = :limit::bigint
            THEN (array_agg(m.wallet_address ORDER BY m.id DESC))[1] END FROM members m))
    FROM place
""")
LOG = Query(f"""
    SELECT json_build_object('items', coalesce(json_agg(json_build_object('event', page.event, 'device_id',
            page.device_id, 'version', page.version, 'key', {base64("page.key")}, 'signature',
            {base64("page.signature")}, 'chain_id', page.chain_id, 'at', {moment("page.at")}) ORDER BY page.id DESC),
            '[]'::json),
        'next_cursor', CASE WHEN count(*) = :limit::bigint THEN 'newest~' || min(page.id) END)
    FROM (
        SELECT * FROM chat.key_log WHERE user_id = :of AND id < coalesce(:before::bigint, 9223372036854775807)
        ORDER BY id DESC LIMIT :limit
    ) page
""")


class Met(msgspec.Struct, frozen=True):
    """Two users who may know of each other; of one's own keys, both are the same."""

    user_id: int
    of_id: int


async def meet(db: Read, by: Wallet, wallet: Wallet) -> Met | None:
    """The caller and another; None where there is nobody for the caller."""
    return await db.maybe(Met, MEET, by=by, wallet=wallet)


async def count_claim(db: Write, met: Met) -> bool:
    """Counts one more claim; False where they are too many."""
    return bool(await db.run(COUNT_CLAIM, user=met.user_id, of=met.of_id))


async def wait(db: Read, met: Met) -> int:
    """The seconds after which one more claim is taken."""
    seconds: int = await db.value(WAIT, user=met.user_id, of=met.of_id)
    return seconds


async def purge_claims(db: Write) -> None:
    """Forgets who has claimed so little lately that it does not count."""
    await db.run(PURGE)


async def user_keys(db: Read, met: Met, ask: GetUserKeys) -> Json:
    """Their devices, none of whose one-time keys is given out."""
    found = await db.json(SHOW, user=met.user_id, of=met.of_id, device=ask.device)
    assert found is not None
    return found


async def claim_keys(db: Write, met: Met, ask: GetUserKeys) -> tuple[Json, dict[UUID, int]]:
    """Their devices, each with a one-time key that nobody else gets, and how many are left where they are few."""
    row = (await db.rows(CLAIM, user=met.user_id, of=met.of_id, device=ask.device))[0]
    return Json(row["answer"]), dict(zip(row["devices"], row["held"], strict=True))


async def devices(db: Read, ask: ListDevices) -> Json | None:
    """A page of those in a conversation, with their devices; None where the caller is not in it."""
    return await db.json(DEVICES, **{name: getattr(ask, name) for name in ("id", "by", "cursor", "limit")})


async def key_log(db: Read, of: int, ask: ListKeyLog) -> Json:
    """A page of what keys they have had."""
    given: dict[str, Any] = {"before": None if ask.cursor is None else ask.cursor.entry}
    found = await db.json(LOG, of=of, limit=ask.limit, **given)
    assert found is not None
    return found

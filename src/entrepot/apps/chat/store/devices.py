"""SQL of a wallet's own devices and their keys."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.keys import LOW, PutKeys, SignedKey
from entrepot.apps.chat.store.history import base64
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

FIND = Query("""
    SELECT user_id, name, identity_key, signed_prekey_id, signed_prekey, last_key_id, removed_at IS NOT NULL AS is_gone,
        (SELECT count(*) FROM chat.one_time_keys WHERE device_id = d.id AND NOT is_last_resort) AS held
    FROM chat.devices d WHERE id = :device
""")
COUNT = Query("SELECT count(*) FROM chat.devices WHERE user_id = :user AND removed_at IS NULL")
# Whoever else may have taken the id at this moment keeps it.
ADD = Query("""
    INSERT INTO chat.devices (id, user_id, name, identity_key, identity_signature, identity_version, chain_id,
        signed_prekey_id, signed_prekey, signed_prekey_signature, last_key_id)
    VALUES (:device, :user, :name, :identity_key, :identity_signature, :version, :chain_id, :prekey_id, :prekey,
        :prekey_signature, 0)
    ON CONFLICT (id) DO NOTHING
""")
IDENTIFY = Query("""
    WITH gone AS (DELETE FROM chat.one_time_keys WHERE device_id = :device)
    UPDATE chat.devices SET identity_key = :identity_key, identity_signature = :identity_signature,
        identity_version = :version, chain_id = :chain_id, last_key_id = 0, changed_at = now()
    WHERE id = :device
""")
CHANGE = Query("""
    UPDATE chat.devices SET name = :name, signed_prekey_id = :prekey_id, signed_prekey = :prekey,
        signed_prekey_signature = :prekey_signature, changed_at = now()
    WHERE id = :device
""")
ADD_KEYS = Query("""
    WITH earlier AS (
        DELETE FROM chat.one_time_keys WHERE device_id = :device AND is_last_resort AND :last_resort::bigint IS NOT NULL
    ), added AS (
        INSERT INTO chat.one_time_keys (device_id, key_id, public_key, signature)
        SELECT :device, * FROM unnest(:ids::bigint[], :keys::bytea[], :signatures::bytea[])
    )
    UPDATE chat.devices SET last_key_id = :highest, changed_at = now() WHERE id = :device
""")
ADD_LAST_RESORT = Query("""
    INSERT INTO chat.one_time_keys (device_id, key_id, public_key, signature, is_last_resort)
    VALUES (:device, :id, :key, :signature, true)
""")
REMOVE = Query("""
    WITH removed AS (
        UPDATE chat.devices SET removed_at = now() WHERE id = :device AND user_id = :user AND removed_at IS NULL
        RETURNING id
    ), gone AS (
        DELETE FROM chat.one_time_keys WHERE device_id IN (SELECT id FROM removed)
    )
    SELECT id FROM removed
""")
OWN = Query(f"""
    SELECT json_build_object('wallet_address', u.wallet_address, 'public_key', u.public_key, 'keys_version',
        u.keys_version, 'devices', coalesce((SELECT json_agg(own ORDER BY own.created_at, own.id) FROM (
            SELECT d.id, d.name, {base64("d.identity_key")} AS identity_key, d.signed_prekey_id,
                k.held AS one_time_keys, k.held < {LOW} AS is_low, d.last_key_id, k.last_resort_key_id,
                {moment("d.created_at")} AS created_at, {moment("d.changed_at")} AS changed_at
            FROM chat.devices d, LATERAL (
                SELECT count(*) FILTER (WHERE NOT is_last_resort) AS held,
                    max(key_id) FILTER (WHERE is_last_resort) AS last_resort_key_id
                FROM chat.one_time_keys WHERE device_id = d.id
            ) k
            WHERE d.user_id = u.id AND d.removed_at IS NULL
        ) own), '[]'::json))
    FROM chat.users u WHERE u.wallet_address = :by
""")


class Known(msgspec.Struct, frozen=True):
    """What is known of a device."""

    user_id: int
    name: str | None
    identity_key: bytes
    signed_prekey_id: int
    signed_prekey: bytes
    last_key_id: int
    is_gone: bool
    held: int


async def find(db: Read, device: UUID) -> Known | None:
    """The device with that id, whosever it is."""
    return await db.maybe(Known, FIND, device=device)


async def count(db: Read, user: int) -> int:
    """How many devices they have."""
    found: int = await db.value(COUNT, user=user)
    return found


async def add(db: Write, user: int, ask: PutKeys, signature: bytes) -> bool:
    """A new device; False where another has the id."""
    done = await db.run(
        ADD,
        device=ask.device_id,
        user=user,
        name=ask.name,
        identity_key=ask.identity_key.raw,
        identity_signature=signature,
        version=ask.version,
        chain_id=ask.chain_id,
        prekey_id=ask.signed_prekey.key_id,
        prekey=ask.signed_prekey.public_key.raw,
        prekey_signature=ask.signed_prekey.signature.raw,
    )
    return bool(done)


async def identify(db: Write, ask: PutKeys, signature: bytes) -> None:
    """Another identity key; what the earlier one has signed goes."""
    await db.run(
        IDENTIFY,
        device=ask.device_id,
        identity_key=ask.identity_key.raw,
        identity_signature=signature,
        version=ask.version,
        chain_id=ask.chain_id,
    )


async def change(db: Write, ask: PutKeys) -> None:
    """The name and the signed prekey."""
    await db.run(
        CHANGE,
        device=ask.device_id,
        name=ask.name,
        prekey_id=ask.signed_prekey.key_id,
        prekey=ask.signed_prekey.public_key.raw,
        prekey_signature=ask.signed_prekey.signature.raw,
    )


async def add_keys(db: Write, device: UUID, keys: Sequence[SignedKey], last_resort: SignedKey | None) -> None:
    """More one-time keys, and another last resort where there is one."""
    both = [*keys, *([] if last_resort is None else [last_resort])]
    await db.run(
        ADD_KEYS,
        device=device,
        last_resort=None if last_resort is None else last_resort.key_id,
        ids=[key.key_id for key in keys],
        keys=[key.public_key.raw for key in keys],
        signatures=[key.signature.raw for key in keys],
        highest=max(key.key_id for key in both),
    )


async def add_last_resort(db: Write, device: UUID, key: SignedKey) -> None:
    """The last resort, where the earlier one is gone."""
    await db.run(ADD_LAST_RESORT, device=device, id=key.key_id, key=key.public_key.raw, signature=key.signature.raw)


async def remove(db: Write, user: int, device: UUID) -> bool:
    """A device goes, with the keys that were not given out; False where they have no such device."""
    return await db.value(REMOVE, user=user, device=device) is not None


async def own(db: Read, by: Wallet) -> Json | None:
    """The caller's devices; None where the wallet signed in before there was a chat."""
    return await db.json(OWN, by=by)

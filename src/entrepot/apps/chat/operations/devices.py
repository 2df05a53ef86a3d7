"""One's own devices: their keys come, are changed, and go."""

from typing import Annotated

from entrepot.apps.chat.calls.keys import (
    MOST_DEVICES,
    MOST_HELD,
    GetKeys,
    OwnKeys,
    PutKeys,
    RemoveDevice,
)
from entrepot.apps.chat.operations import key_changes
from entrepot.apps.chat.operations.users import lock
from entrepot.apps.chat.operations.vouching import Vouched
from entrepot.apps.chat.refusals import (
    DeviceIdTaken,
    NoSuchDevice,
    SignInAgain,
    StalePrekey,
    TooManyDevices,
    TooManyKeys,
)
from entrepot.apps.chat.store import devices as store
from entrepot.apps.chat.store.devices import Known
from entrepot.apps.chat.store.key_log import Entry
from entrepot.apps.chat.store.users import Held
from entrepot.kernel.db.doors import Fresh, Json, Write


async def put_keys(db: Write, ask: PutKeys, vouched: Vouched) -> Annotated[Json, OwnKeys]:
    """Bring a device, another identity or signed prekey of it, or more one-time keys."""
    user = await lock(db, ask.by)
    known = await store.find(db, ask.device_id)
    if known is not None and (known.user_id != user.id or known.is_gone):
        raise DeviceIdTaken
    identity_key, last_key_id, held = ask.identity_key.raw, 0, 0
    if known is None:
        await _add(db, user, ask, vouched)
    elif known.identity_key != identity_key:
        await _identify(db, user, ask, vouched)
    else:
        await _change(db, user, ask, known)
        last_key_id, held = known.last_key_id, known.held
    await _add_keys(db, ask, last_key_id, held)
    found = await store.own(db, ask.by)
    assert found is not None
    return found


async def _add(db: Write, user: Held, ask: PutKeys, vouched: Vouched) -> None:
    good = key_changes.check_version(user, vouched, "identity_signature")
    if await store.count(db, user.id) >= MOST_DEVICES:
        raise TooManyDevices(MOST_DEVICES)
    if not await store.add(db, user.id, ask, good.signature):
        raise DeviceIdTaken
    await key_changes.change(db, user, _identity("device", ask, good))


async def _identify(db: Write, user: Held, ask: PutKeys, vouched: Vouched) -> None:
    good = key_changes.check_version(user, vouched, "identity_signature")
    await store.identify(db, ask, good.signature)
    await store.change(db, ask)
    await key_changes.change(db, user, _identity("identity", ask, good))


def _identity(event: str, ask: PutKeys, good: Vouched) -> Entry:
    return Entry(
        event=event, device=ask.device_id, key=ask.identity_key.raw, signature=good.signature, chain_id=ask.chain_id
    )


async def _change(db: Write, user: Held, ask: PutKeys, known: Known) -> None:
    """The name, and a newer signed prekey: nobody has to encrypt otherwise, as sessions that began go on."""
    prekey = ask.signed_prekey
    is_same = (prekey.key_id, prekey.public_key.raw) == (known.signed_prekey_id, known.signed_prekey)
    if not is_same and prekey.key_id <= known.signed_prekey_id:
        raise StalePrekey(known.signed_prekey_id)
    if not is_same or ask.name != known.name:
        await store.change(db, ask)
    if not is_same:
        entry = Entry(event="prekey", device=ask.device_id, key=prekey.public_key.raw, signature=prekey.signature.raw)
        await key_changes.note(db, user, entry)


async def _add_keys(db: Write, ask: PutKeys, last_key_id: int, held: int) -> None:
    """Those that were not here before: whoever brings one again must not have it given out again."""
    keys = [key for key in ask.one_time_keys if key.key_id > last_key_id]
    last_resort = ask.last_resort_key
    if last_resort is not None and last_resort.key_id <= last_key_id:
        last_resort = None
    if held + len(keys) > MOST_HELD:
        raise TooManyKeys(MOST_HELD, held)
    if keys or last_resort is not None:
        await store.add_keys(db, ask.device_id, keys, last_resort)
    if last_resort is not None:
        await store.add_last_resort(db, ask.device_id, last_resort)


async def get_keys(db: Fresh, ask: GetKeys) -> Annotated[Json, OwnKeys]:
    """Show your devices, and how many one-time keys of each are left."""
    found = await store.own(db, ask.by)
    if found is None:
        raise SignInAgain
    return found


async def remove_device(db: Write, ask: RemoveDevice) -> None:
    """Remove a device of yours, for good."""
    user = await lock(db, ask.by)
    if not await store.remove(db, user.id, ask.device):
        raise NoSuchDevice
    await key_changes.change(db, user, Entry(event="removed", device=ask.device))

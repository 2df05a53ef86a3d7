"""The key directory: whose keys to encrypt for, and the log by which anybody can check them."""

from typing import Annotated

from entrepot.apps.chat.calls.keys import (
    ClaimKeys,
    DevicePage,
    GetUserKeys,
    KeyLogPage,
    ListDevices,
    ListKeyLog,
    UserKeys,
)
from entrepot.apps.chat.calls.live import KeysLow
from entrepot.apps.chat.operations.topics import of_wallet
from entrepot.apps.chat.refusals import NoSuchConversation, NoSuchUser
from entrepot.apps.chat.store import directory as store
from entrepot.apps.chat.store.directory import Met
from entrepot.kernel.db.doors import Fresh, Json, Read, Write
from entrepot.kernel.refusal import TooMany
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import Letter, publish


async def _meet(db: Read, by: Wallet, wallet: Wallet) -> Met:
    met = await store.meet(db, by, wallet)
    if met is None:
        raise NoSuchUser
    return met


async def get_user_keys(db: Fresh, ask: GetUserKeys) -> Annotated[Json, UserKeys]:
    """Show the keys of a wallet's devices, without one-time keys."""
    return await store.user_keys(db, await _meet(db, ask.by, ask.wallet), ask)


async def claim_keys(db: Write, ask: ClaimKeys) -> Annotated[Json, UserKeys]:
    """Take the keys of a wallet's devices, with a one-time key of each that nobody else is given.

    A device that has none left gives its last resort. Its owner is told when few are left.
    """
    met = await _meet(db, ask.by, ask.wallet)
    if not await store.count_claim(db, met):
        raise TooMany(retry_after=await store.wait(db, met))
    found, low = await store.claim_keys(db, met, ask)
    topic = of_wallet(ask.wallet)
    await publish(db, [Letter(topic, KeysLow(device_id=device, one_time_keys=held)) for device, held in low.items()])
    return found


async def list_devices(db: Fresh, ask: ListDevices) -> Annotated[Json, DevicePage]:
    """List the devices of everybody in a conversation of yours."""
    found = await store.devices(db, ask)
    if found is None:
        raise NoSuchConversation
    return found


async def list_key_log(db: Fresh, ask: ListKeyLog) -> Annotated[Json, KeyLogPage]:
    """List the keys that a wallet has had, the newest first."""
    met = await _meet(db, ask.by, ask.wallet)
    return await store.key_log(db, met.of_id, ask)


async def purge_claims(db: Write) -> None:
    """Forgets claims that count no longer."""
    await store.purge_claims(db)

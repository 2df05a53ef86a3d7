"""What follows when a wallet's keys change: it is noted for good, and told to everybody who encrypts for them."""

from entrepot.apps.chat.calls.keys import MOST_CHANGES
from entrepot.apps.chat.calls.live import KeysChanged, OwnKeysChanged
from entrepot.apps.chat.operations.topics import of_group, of_wallet
from entrepot.apps.chat.operations.vouching import NOT, Vouched
from entrepot.apps.chat.refusals import StaleKeys
from entrepot.apps.chat.store import key_log as store
from entrepot.apps.chat.store.key_log import Entry, Place
from entrepot.apps.chat.store.users import Held
from entrepot.kernel.db.doors import Write
from entrepot.kernel.refusal import Malformed, TooMany
from entrepot.kernel.work.outbox import Letter, publish


async def note(db: Write, user: Held, entry: Entry) -> None:
    """Notes a key that nobody is told of. Raises `TooMany`: what comes here too often is not written."""
    await _count(db, user)
    await store.enter(db, user.id, entry, None)


async def change(db: Write, user: Held, entry: Entry) -> None:
    """Somebody has to be encrypted for otherwise from now on; the user is locked.

    A message that was encrypted for the keys of before is refused from the commit on, because the roster of every
    conversation of theirs is another. Raises `TooMany`.
    """
    await _count(db, user)
    version = await store.raise_version(db, user.id)
    await store.enter(db, user.id, entry, version)
    own = OwnKeysChanged(event=entry.event, device_id=entry.device, keys_version=version)
    places = await store.raise_rosters(db, user.id)
    told = [_letter(user, entry, place) for place in places if not place.is_silent]
    await publish(db, [Letter(of_wallet(user.wallet_address), own), *told])


def check_version(user: Held, vouched: Vouched, field: str) -> Vouched:
    """The wallet has signed for the very next version. Raises `StaleKeys`, and `Malformed` naming the field."""
    if vouched is NOT:
        raise Malformed(field, "and the version are needed with a key that is new here")
    if vouched.version != user.keys_version + 1:
        raise StaleKeys(user.keys_version)
    return vouched


async def _count(db: Write, user: Held) -> None:
    if (seconds := await store.wait(db, user.id, MOST_CHANGES)) > 0:
        raise TooMany(retry_after=seconds)


def _letter(user: Held, entry: Entry, place: Place) -> Letter:
    """To both of a pair, as the user's other devices must know the roster too; or to a group."""
    told = KeysChanged(
        conversation_id=place.id,
        wallet=user.wallet_address,
        event=entry.event,
        device_id=entry.device,
        roster=place.roster,
    )
    if place.is_group:
        return Letter(of_group(place.id), told)
    return Letter(of_wallet(user.wallet_address), told, also=of_wallet(place.other_wallet or ""))

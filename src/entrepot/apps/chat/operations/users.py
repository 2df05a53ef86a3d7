"""Users: who signs in is one; how they are called, and how they are found."""

from typing import Annotated

from msgspec import UNSET

from entrepot.apps.chat.calls.users import EditMe, FindUsers, FoundUsers, GetMe, GetUser, Me, User
from entrepot.apps.chat.operations import key_changes
from entrepot.apps.chat.operations.vouching import Vouched
from entrepot.apps.chat.refusals import NoSuchUser, SignInAgain
from entrepot.apps.chat.store import key_log
from entrepot.apps.chat.store import users as store
from entrepot.apps.chat.store.key_log import Entry
from entrepot.apps.chat.store.users import Held
from entrepot.kernel.db.doors import Fresh, Json, Read, Write
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet


async def on_sign_in(db: Write, wallet: Wallet, public_key: PublicKey | None) -> None:
    """Makes the user of a wallet that comes for the first time.

    A key that is there is not replaced: that takes a command of its own, so that nobody who only gets a wallet to
    sign in can read what is sealed for it from then on.
    """
    found = await store.find(db, wallet)
    if found is None:
        await store.open_user(db, wallet, public_key)
    elif public_key is not None and found.public_key is None:
        user = await lock(db, wallet)
        if user.public_key is None:
            await _replace_key(db, user, public_key, Entry(event="public_key", key=public_key.raw))


async def lock(db: Write, wallet: Wallet) -> Held:
    """The caller, whose keys and blocks nobody else changes until the transaction ends. Raises `SignInAgain`."""
    found = await store.lock(db, [wallet])
    if wallet not in found:
        raise SignInAgain
    return found[wallet]


async def get_me(db: Fresh, ask: GetMe) -> Annotated[Json, Me]:
    """Show what you are here."""
    found = await store.me(db, ask.by)
    if found is None:
        raise SignInAgain
    return found


async def edit_me(db: Write, ask: EditMe, vouched: Vouched) -> Annotated[Json, Me]:
    """Change your name, or the public key that messages to you are sealed with."""
    if ask.name is UNSET and ask.public_key is UNSET:
        raise Malformed("body", "names nothing to change")
    user = await lock(db, ask.by)
    if ask.name is not UNSET:
        await store.rename(db, ask.by, ask.name)
    if ask.public_key is not UNSET and ask.public_key != user.public_key:
        good = key_changes.check_version(user, vouched, "signature")
        entry = Entry(event="public_key", key=ask.public_key.raw, signature=good.signature, chain_id=ask.chain_id)
        await _replace_key(db, user, ask.public_key, entry)
    found = await store.me(db, ask.by)
    assert found is not None
    return found


async def _replace_key(db: Write, user: Held, public_key: PublicKey, entry: Entry) -> None:
    await key_log.set_public_key(db, user.id, public_key)
    await key_changes.change(db, user, entry)


async def find_users(db: Read, ask: FindUsers) -> Annotated[Json, FoundUsers]:
    """Find people by the beginning of their name or a part of their wallet."""
    return await store.search_users(db, ask)


async def get_user(db: Fresh, ask: GetUser) -> Annotated[Json, User]:
    """Show what others may know of a user."""
    found = await store.user(db, ask.by, ask.wallet)
    if found is None:
        raise NoSuchUser
    return found

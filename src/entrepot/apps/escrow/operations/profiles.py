"""What can be done with profiles, and what a sign-in does with them."""

from typing import Annotated

from msgspec import UNSET

from entrepot.apps.escrow.caches import PRODUCT_LISTS, PROFILES
from entrepot.apps.escrow.calls.profiles import EditProfile, GetProfile, Profile
from entrepot.apps.escrow.refusals import NoSuchProfile, SignInAgain, WalletBlacklisted
from entrepot.apps.escrow.store import blacklist
from entrepot.apps.escrow.store import profiles as store
from entrepot.kernel.cache.busts import forget
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet


async def on_sign_in(db: Write, wallet: Wallet, public_key: PublicKey | None) -> None:
    """Refuses a banned wallet; makes the profile of one that comes for the first time.

    Who is banned at this very moment is signed in first and out again by the ban, or not signed in at all.

    A key that is there is not replaced: that takes a command of its own, so that nobody who only gets a wallet to
    sign in can read what is sealed for it from then on.
    """
    await blacklist.share(db)
    if await store.is_blacklisted(db, wallet):
        raise WalletBlacklisted
    if await store.has_key(db, wallet):
        return
    if public_key is None:
        raise Malformed("public_key", "is required the first time that a wallet signs in")
    await store.open_profile(db, wallet, public_key)
    await forget(db, PROFILES, [wallet])


async def get_profile(db: Read, ask: GetProfile) -> Annotated[Json, Profile]:
    """Show a user's public profile."""
    found = await store.profile(db, ask.wallet)
    if found is None:
        raise NoSuchProfile
    return found


async def edit_profile(db: Write, ask: EditProfile) -> Annotated[Json, Profile]:
    """Change your display name or your public key."""
    if ask.display_name is UNSET and ask.public_key is UNSET:
        raise Malformed("body", "names nothing to change")
    if ask.display_name is not UNSET:
        await store.rename(db, ask.by, ask.display_name)
        await forget(db, PRODUCT_LISTS)
    if ask.public_key is not UNSET:
        await store.rotate_key(db, ask.by, ask.public_key)
    await forget(db, PROFILES, [ask.by])
    found = await store.profile(db, ask.by)
    if found is None:
        raise SignInAgain
    return found

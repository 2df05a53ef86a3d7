"""Who may do what: the checks that several operations begin with."""

from entrepot.apps.escrow.refusals import SignInAgain, WalletBlacklisted
from entrepot.apps.escrow.store import profiles
from entrepot.apps.escrow.store.profiles import Member
from entrepot.kernel.db.doors import Read
from entrepot.kernel.wallet import Wallet


async def trader(db: Read, wallet: Wallet) -> Member:
    """The member who wants to trade; refuses who is banned, and who has no profile yet."""
    member = await profiles.member(db, wallet)
    if member is None:
        raise SignInAgain
    if member.is_blacklisted:
        raise WalletBlacklisted
    return member

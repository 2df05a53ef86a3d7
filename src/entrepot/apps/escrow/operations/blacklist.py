"""What operators do with the blacklist. A ban takes effect as a whole: entry, profile, sessions, reservations."""

from collections.abc import Callable, Sequence

from entrepot.apps.escrow.caches import PRODUCT_LISTS, PROFILES
from entrepot.apps.escrow.calls.blacklist import (
    BanWallet,
    BlacklistEntry,
    BlacklistPage,
    ListBlacklist,
    PardonWallet,
    Reason,
)
from entrepot.apps.escrow.model import BlacklistSource
from entrepot.apps.escrow.refusals import AlreadyBlacklisted, NotBlacklisted
from entrepot.apps.escrow.store import blacklist as store
from entrepot.kernel.cache.busts import forget
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.http.paging import WalletCursor
from entrepot.kernel.identity.operations import end_sessions
from entrepot.kernel.wallet import Wallet

AT_ONCE = 1_000
MOST = 2**63 - 1
"""No limit, as far as PostgreSQL can count."""


class BadList(Exception):
    """A line of a list is no wallet's address; nothing of the list was taken."""

    def __init__(self, number: int, line: str, why: str) -> None:
        self.number, self.line, self.why = number, line, why
        super().__init__(f"line {number}: {line[:60]!r} {why}")


async def list_blacklist(db: Read, ask: ListBlacklist) -> BlacklistPage:
    """List the wallets that may not trade here."""
    found = await store.page(db, ask.source, ask.cursor, ask.limit)
    if len(found) < ask.limit:
        return BlacklistPage(found, None)
    return BlacklistPage(found, WalletCursor.after(found[-1].created_at, found[-1].wallet))


async def ban_wallet(db: Write, ask: BanWallet) -> BlacklistEntry:
    """Put a wallet on the blacklist.

    It is signed out and can neither sign in nor trade here; its listings are hidden, and what is reserved by it or of
    it is free again. Orders that the contract has already go on.
    """
    added = await ban(db, [ask.wallet], ask.reason, ask.source, ask.by)
    entry = await store.find(db, ask.wallet)
    assert entry is not None, "nobody else can have removed it: the blacklist is held"
    if not added:
        raise AlreadyBlacklisted(entry.reason)
    return entry


async def pardon_wallet(db: Write, ask: PardonWallet) -> None:
    """Take a wallet off the blacklist.

    It may sign in and trade again, and its listings are shown again.
    """
    await store.hold(db)
    if not await store.remove(db, ask.wallet):
        raise NotBlacklisted
    await flag(db, [ask.wallet], is_blacklisted=False)


async def ban(
    db: Write, wallets: Sequence[Wallet], reason: Reason, source: BlacklistSource, by: Wallet | None = None
) -> list[Wallet]:
    """Puts wallets on the blacklist and answers those that were not there; the others stay as they are."""
    await store.hold(db)
    added = await store.add(db, wallets, reason, source, by)
    await store.end_reservations(db, added)
    await flag(db, added, is_blacklisted=True)
    await end_sessions(db, added)
    return added


async def flag(db: Write, wallets: Sequence[Wallet], *, is_blacklisted: bool) -> None:
    """Says of their profiles that they are banned or are not, which hides their listings or shows them again."""
    await store.flag(db, wallets, is_blacklisted=is_blacklisted)
    await forget(db, PROFILES, wallets)
    await forget(db, PRODUCT_LISTS)


def read_list(text: str) -> list[Wallet]:
    """The wallets of a list file, each once: an address a line; what follows a # is a comment. Raises `BadList`."""
    found: dict[Wallet, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        address = line.partition("#")[0].strip()
        if not address:
            continue
        try:
            found[Wallet.parse(address)] = None
        except ValueError as wrong:
            raise BadList(number, address, str(wrong)) from None
    return list(found)


async def import_list(
    db: Write, wallets: Sequence[Wallet], reason: Reason, source: BlacklistSource, advance: Callable[[int], None]
) -> int:
    """Puts a whole list on the blacklist, in parts, and answers how many were not there; `advance` hears of each part.

    All is one transaction of the caller's, so that a list is taken as a whole or not at all.
    """
    added = 0
    for start in range(0, len(wallets), AT_ONCE):
        part = wallets[start : start + AT_ONCE]
        added += len(await ban(db, part, reason, source))
        advance(len(part))
    return added


async def everyone(db: Read, source: BlacklistSource | None) -> list[BlacklistEntry]:
    """All who are on the blacklist, the newest first."""
    return await store.page(db, source, None, MOST)

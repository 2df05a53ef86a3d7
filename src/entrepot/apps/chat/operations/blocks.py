"""Blocks: between two of whom one has blocked the other, neither hears of the other.

A wallet can be blocked whether or not it is here, and whether or not it has blocked the caller: an answer that told
the difference would tell who is here.
"""

from typing import Annotated

from entrepot.apps.chat.calls.blocks import BlockPage, BlockWallet, ListBlocks
from entrepot.apps.chat.calls.live import BlockChanged
from entrepot.apps.chat.operations.topics import of_wallet
from entrepot.apps.chat.refusals import NoSuchBlock, SignInAgain, TooManyBlocks
from entrepot.apps.chat.store import blocks as store
from entrepot.apps.chat.store import users
from entrepot.kernel.db.doors import Fresh, Json, Write
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.work.outbox import Letter, publish

MOST_BLOCKS = 1_000


async def block(db: Write, ask: BlockWallet) -> None:
    """Block a wallet: neither of you hears of the other, except in groups that you are both in."""
    if ask.by == ask.wallet:
        raise Malformed("wallet", "is your own")
    user = await _lock(db, ask)
    if await store.count(db, user, besides=ask.wallet) >= MOST_BLOCKS:
        raise TooManyBlocks(MOST_BLOCKS)
    if await store.add(db, user, ask.wallet):
        await _settle(db, user, ask, is_blocked=True)


async def unblock(db: Write, ask: BlockWallet) -> None:
    """Take a block back."""
    user = await _lock(db, ask)
    if not await store.remove(db, user, ask.wallet):
        raise NoSuchBlock
    await _settle(db, user, ask, is_blocked=False)


async def _lock(db: Write, ask: BlockWallet) -> int:
    """Both, so that no conversation of theirs begins meanwhile; answers with the caller."""
    both = await users.lock(db, [ask.by, ask.wallet])
    if ask.by not in both:
        raise SignInAgain
    return both[ask.by].id


async def _settle(db: Write, user: int, ask: BlockWallet, *, is_blocked: bool) -> None:
    await store.silence(db, user, ask.wallet)
    await publish(db, [Letter(of_wallet(ask.by), BlockChanged(wallet=ask.wallet, is_blocked=is_blocked))])


async def list_blocks(db: Fresh, ask: ListBlocks) -> Annotated[Json, BlockPage]:
    """List the wallets that you have blocked."""
    return await store.blocked(db, ask)

"""What a wallet hears while it listens, and what is said in passing."""

from entrepot.apps.chat.calls.live import TellTyping, Typing
from entrepot.apps.chat.operations.topics import of_group, of_wallet
from entrepot.apps.chat.refusals import NoSuchConversation
from entrepot.apps.chat.store import live as store
from entrepot.kernel.db.doors import Fresh
from entrepot.kernel.http.frames import Subscription, Watch
from entrepot.kernel.work.whispers import Whispers


async def watch(db: Fresh, ask: Watch) -> Subscription:
    """Follow everything that happens in your conversations, those too that begin meanwhile; send and read over it."""
    groups = await store.groups(db, ask.by)
    return Subscription((of_wallet(ask.by),), joined=frozenset(map(of_group, groups)))


async def tell_typing(db: Fresh, ask: TellTyping, whispers: Whispers) -> None:
    """Tell the others that you are writing."""
    audience = await store.audience(db, ask.id, ask.by)
    if audience is None:
        raise NoSuchConversation
    told = Typing(conversation_id=ask.id, wallet=ask.by)
    whispers.say(of_group(ask.id) if audience.other_wallet is None else of_wallet(audience.other_wallet), told)

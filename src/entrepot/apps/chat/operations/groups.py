"""What can be done with groups; who is in them is membership's business."""

from typing import Annotated

import msgspec
from msgspec import UNSET

from entrepot.apps.chat.calls.events import Joined, Renamed, RoleGiven
from entrepot.apps.chat.calls.groups import (
    ChangeGroup,
    CreateGroup,
    GetGroup,
    Group,
    GroupPage,
    ListGroups,
    ListMembers,
    MemberPage,
)
from entrepot.apps.chat.calls.live import GroupEnded, GroupOpened, MessageSent
from entrepot.apps.chat.calls.messages import Message
from entrepot.apps.chat.model import Role
from entrepot.apps.chat.operations.happening import happen
from entrepot.apps.chat.operations.log import month_of
from entrepot.apps.chat.operations.membership import invite, member
from entrepot.apps.chat.operations.topics import of_group, of_wallet
from entrepot.apps.chat.operations.users import lock
from entrepot.apps.chat.refusals import NoSuchGroup, NotForMembers, NotOfThisGroup
from entrepot.apps.chat.store import groups as store
from entrepot.apps.chat.store import members
from entrepot.kernel.db.doors import Fresh, Json, Write
from entrepot.kernel.refusal import Malformed, TooMany
from entrepot.kernel.settings import Settings
from entrepot.kernel.values import ENCODER, new_id
from entrepot.kernel.work.outbox import Letter, publish


async def list_groups(db: Fresh, ask: ListGroups) -> Annotated[Json, GroupPage]:
    """List your groups and those that you are invited to, or search the public ones."""
    return await store.listed(db, ask)


async def get_group(db: Fresh, ask: GetGroup) -> Annotated[Json, Group]:
    """Show a group."""
    found = await store.get(db, ask)
    if found is None:
        raise NoSuchGroup
    return found


async def list_members(db: Fresh, ask: ListMembers) -> Annotated[Json, MemberPage]:
    """List who is in a group of yours."""
    found = await store.members(db, ask)
    if found is None:
        raise NoSuchGroup
    return found


async def create_group(db: Write, ask: CreateGroup, settings: Settings) -> Annotated[Json, Group]:
    """Make a group and invite people to it."""
    user = await lock(db, ask.by)  # so that groups that are made at once are counted one after the other
    if (seconds := await store.wait(db, user.id, settings.groups_per_day)) > 0:
        raise TooMany(retry_after=seconds)
    group, event_id, joined = new_id(), new_id(), Joined()
    event = store.FirstEvent(event_id, ENCODER.encode(joined).decode(), month_of(event_id))
    made = await store.make(db, group, user.id, ask, event)
    message = Message(
        id=event_id, seq=1, sender_wallet=ask.by, event=msgspec.to_builtins(joined), timestamp=made.last_at
    )
    told = MessageSent(conversation_id=group, message=message, roster=made.roster)
    opened = Letter(of_wallet(ask.by), GroupOpened(conversation_id=group), opens=of_group(group))
    await publish(db, [opened, Letter(of_group(group), told)])
    if ask.invite:
        await invite(db, group, ask.by, user.id, ask.invite)
    return await get_group(db, GetGroup(by=ask.by, id=group))


async def change_group(db: Write, ask: ChangeGroup) -> Annotated[Json, Group]:
    """Rename a group, open or close it to the public, or hand it over."""
    if ask.name is UNSET and ask.is_public is UNSET and ask.owner is UNSET:
        raise Malformed("body", "names nothing to change")
    place, standing = await member(db, ask.id, ask.by)
    if standing.role is Role.MEMBER:
        raise NotForMembers
    if standing.role is not Role.OWNER and (ask.is_public is not UNSET or ask.owner is not UNSET):
        raise NotForMembers
    if ask.name is not UNSET or ask.is_public is not UNSET:
        named = await store.change(db, ask)
        event = Renamed(name=named.name, is_public=named.is_public)
        place, _ = await happen(db, place, ask.by, standing.user_id, event)
    if ask.owner is not UNSET and ask.owner != ask.by:
        heir = await members.standing(db, ask.id, ask.owner)
        if heir is None or heir.role is None:
            raise NotOfThisGroup
        await members.set_owner(db, ask.id, heir.user_id)
        await happen(db, place, ask.by, standing.user_id, RoleGiven(wallet=ask.owner, role=Role.OWNER))
    return await get_group(db, GetGroup(by=ask.by, id=ask.id))


async def delete_group(db: Write, ask: GetGroup) -> None:
    """End a group of yours: nobody is in it any more, and nobody can read it."""
    _, standing = await member(db, ask.id, ask.by)
    if standing.role is not Role.OWNER:
        raise NotForMembers
    await store.end(db, ask.id)
    await publish(db, [Letter(of_group(ask.id), GroupEnded(conversation_id=ask.id))])

"""Who comes into a group, who leaves, and as what they are there: each is an event of its conversation."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from entrepot.apps.chat.calls.events import Gone, Joined, RoleGiven
from entrepot.apps.chat.calls.groups import AddMember, GetGroup, Group, RemoveMember
from entrepot.apps.chat.calls.live import GroupClosed, GroupOpened, Invited
from entrepot.apps.chat.model import MOST_MEMBERS, Role
from entrepot.apps.chat.operations.happening import happen
from entrepot.apps.chat.operations.topics import of_group, of_wallet
from entrepot.apps.chat.refusals import (
    AlreadyMember,
    GroupFull,
    NoSuchGroup,
    NoSuchUser,
    NotForMembers,
    NotOfThisGroup,
    OwnerStays,
)
from entrepot.apps.chat.store import groups, members, sending, users
from entrepot.apps.chat.store.members import Standing
from entrepot.apps.chat.store.sending import Locked
from entrepot.kernel.db.doors import Json, Write
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import Letter, publish


async def held(db: Write, group: UUID, by: Wallet) -> tuple[Locked, Standing]:
    """The group's conversation, locked, and what the caller is to it; raises `NoSuchGroup` where it is not theirs."""
    place = (await sending.lock(db, [group])).get(group)
    standing = await members.standing(db, group, by)
    if place is None or standing is None or not (standing.role or standing.is_invited or standing.is_public):
        raise NoSuchGroup
    return place, standing


async def member(db: Write, group: UUID, by: Wallet) -> tuple[Locked, Standing]:
    """The same for somebody who is in it; raises `NoSuchGroup`."""
    place, standing = await held(db, group, by)
    if standing.role is None:
        raise NoSuchGroup
    return place, standing


async def add_member(db: Write, ask: AddMember) -> Annotated[Json, Group]:
    """Join a group, invite somebody to it, or give a member a role."""
    if ask.wallet == ask.by and ask.role is None:
        # Before the conversation, as whoever changes keys does: no device comes or goes unseen by the group's roster.
        await users.lock(db, [ask.by])
    place, standing = await held(db, ask.id, ask.by)
    if ask.wallet == ask.by and ask.role is None:
        await _join(db, place, ask.by, standing)
    elif standing.role is None:
        raise NoSuchGroup
    elif ask.role is not None:
        await _give_role(db, place, ask, ask.role, standing)
    else:
        await _invite_one(db, ask, standing)
    shown = await groups.get(db, GetGroup(by=ask.by, id=ask.id))
    if shown is None:
        raise NoSuchGroup
    return shown


async def remove_member(db: Write, ask: RemoveMember) -> None:
    """Leave a group or put somebody out of it; decline an invitation or take it back."""
    place, standing = await held(db, ask.id, ask.by)
    other = standing if ask.wallet == ask.by else await members.standing(db, ask.id, ask.wallet)
    if other is None or (other.role is None and not other.is_invited):
        raise NotOfThisGroup if standing.role else NoSuchGroup
    if other is not standing and not _leads(standing.role, other.role):
        raise NotForMembers if standing.role else NoSuchGroup
    if other.role is None:
        await members.uninvite(db, ask.id, other.user_id)
        return
    if other.role is Role.OWNER:
        raise OwnerStays
    await members.leave(db, ask.id, other.user_id)
    await happen(db, place, ask.by, standing.user_id, Gone(wallet=ask.wallet), changes_roster=True)
    closed = GroupClosed(conversation_id=ask.id)
    await publish(db, [Letter(of_wallet(ask.wallet), closed, closes=of_group(ask.id))])


async def invite(db: Write, group: UUID, by: Wallet, user: int, wallets: Sequence[Wallet]) -> list[Wallet]:
    """Invites those who are known here, and tells them."""
    invited = await members.invite(db, group, user, wallets)
    await publish(db, [Letter(of_wallet(each), Invited(conversation_id=group, by_wallet=by)) for each in invited])
    return invited


async def _join(db: Write, place: Locked, by: Wallet, standing: Standing) -> None:
    if standing.role is not None:
        raise AlreadyMember
    if standing.members >= MOST_MEMBERS:
        raise GroupFull(MOST_MEMBERS)
    await members.enter(db, place.id, standing.user_id, place.last_seq)
    opened = GroupOpened(conversation_id=place.id)
    await publish(db, [Letter(of_wallet(by), opened, opens=of_group(place.id))])
    await happen(db, place, by, standing.user_id, Joined(), changes_roster=True)


async def _invite_one(db: Write, ask: AddMember, standing: Standing) -> None:
    if standing.role is Role.MEMBER and not standing.is_public:
        raise NotForMembers
    other = await members.standing(db, ask.id, ask.wallet)
    if other is not None and other.role is not None:
        raise AlreadyMember
    if not await invite(db, ask.id, ask.by, standing.user_id, [ask.wallet]):
        raise NoSuchUser


async def _give_role(db: Write, place: Locked, ask: AddMember, role: Role, standing: Standing) -> None:
    """The owner makes admins and unmakes them; ownership itself goes by `PATCH /groups/{id}`."""
    if standing.role is not Role.OWNER or role is Role.OWNER or ask.wallet == ask.by:
        raise NotForMembers
    other = await members.standing(db, ask.id, ask.wallet)
    if other is None or other.role is None:
        raise NotOfThisGroup
    if other.role is role:
        return
    await members.set_role(db, ask.id, other.user_id, role)
    await happen(db, place, ask.by, standing.user_id, RoleGiven(wallet=ask.wallet, role=role))


def _leads(role: Role | None, other: Role | None) -> bool:
    """Whether who has the one may put out, or take back the invitation of, who has the other."""
    if role is Role.OWNER:
        return True
    return role is Role.ADMIN and other in (None, Role.MEMBER)

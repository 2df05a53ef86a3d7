"""Groups: made, searched, joined and left. What is said in them is sealed for who is in them at that moment."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from msgspec import UNSET, UnsetType

from entrepot.apps.chat.calls.groups import (
    AddMember,
    ChangeGroup,
    CreateGroup,
    GetGroup,
    Group,
    GroupPage,
    ListGroups,
    ListMembers,
    Member,
    MemberPage,
    RemoveMember,
)
from entrepot.apps.chat.model import Role
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.wallet import Wallet


class Groups:
    """Those of one wallet. A group's id is that of its conversation too."""

    def __init__(self, transport: Transport, wallet: Wallet) -> None:
        self._transport, self._wallet = transport, wallet

    async def create(self, name: str, *, is_public: bool = False, invite: Sequence[str] = ()) -> Group:
        """A group of one's own; whoever is invited is in it when they join."""
        ask = asked(CreateGroup, by=self._wallet, name=name, is_public=is_public, invite=list(invite))
        return await self._transport.command("POST", "/chat/groups", ask, Group)

    async def get(self, group: UUID) -> Group:
        """One that this wallet is in or invited to, or one that is public."""
        return await self._transport.get("/chat/groups/{id}", GetGroup(by=self._wallet, id=group), Group)

    async def list(self, q: str | None = None) -> AsyncIterator[Group]:
        """One's own and those that one is invited to; with `q` the public ones whose names begin so."""
        ask = asked(ListGroups, by=self._wallet, q=q, limit=PAGE)
        async for each in self._transport.every("/chat/groups", ask, GroupPage):
            yield each

    async def members(self, group: UUID) -> AsyncIterator[Member]:
        """Who is in it; who joined last comes first."""
        ask = asked(ListMembers, by=self._wallet, id=group, limit=PAGE)
        async for each in self._transport.every("/chat/groups/{id}/members", ask, MemberPage):
            yield each

    async def join(self, group: UUID) -> Group:
        """One that is public, or that this wallet is invited to."""
        return await self._add(group, self._wallet)

    async def invite(self, group: UUID, wallet: str) -> Group:
        """Somebody, who may then join."""
        return await self._add(group, wallet)

    async def give_role(self, group: UUID, wallet: str, role: Role) -> Group:
        """The owner makes a member an admin, or an admin a member."""
        return await self._add(group, wallet, role)

    async def leave(self, group: UUID) -> None:
        """Also declines an invitation."""
        await self.remove(group, self._wallet)

    async def remove(self, group: UUID, wallet: str) -> None:
        """Puts somebody out, or takes an invitation back."""
        ask = asked(RemoveMember, by=self._wallet, id=group, wallet=wallet)
        await self._transport.command("DELETE", "/chat/groups/{id}/members", ask, type(None))

    async def change(
        self,
        group: UUID,
        *,
        name: str | UnsetType = UNSET,
        is_public: bool | UnsetType = UNSET,
        owner: str | UnsetType = UNSET,
    ) -> Group:
        """What is not named stays; `owner` hands it over to one of its members."""
        ask = asked(ChangeGroup, by=self._wallet, id=group, name=name, is_public=is_public, owner=owner)
        return await self._transport.command("PATCH", "/chat/groups/{id}", ask, Group)

    async def end(self, group: UUID) -> None:
        """For everybody, for good."""
        ask = GetGroup(by=self._wallet, id=group)
        await self._transport.command("DELETE", "/chat/groups/{id}", ask, type(None))

    async def _add(self, group: UUID, wallet: str, role: Role | None = None) -> Group:
        ask = asked(AddMember, by=self._wallet, id=group, wallet=wallet, role=role)
        return await self._transport.command("POST", "/chat/groups/{id}/members", ask, Group)

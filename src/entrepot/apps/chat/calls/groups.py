"""Groups: what their calls take and answer."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec

from entrepot.apps.chat.model import Role
from entrepot.kernel.http.paging import Cursor, WalletCursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.values import Text
from entrepot.kernel.wallet import Wallet


class GroupName(Text):
    """What a group is called."""

    __slots__ = ()
    most: ClassVar[int] = 100
    example: ClassVar[str] = "Sellers of tenders"


class GroupSearch(Text):
    """The beginning of a group's name."""

    __slots__ = ()
    most: ClassVar[int] = 100
    example: ClassVar[str] = "Sell"


class CreateGroup(Ask, frozen=True, kw_only=True):
    """A group of the caller's. Those who are named are invited: nobody is in a group that they did not join."""

    by: Wallet
    name: GroupName
    is_public: bool = False
    invite: Annotated[list[Wallet], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=list)


class GetGroup(Ask, frozen=True, kw_only=True):
    """One that the caller is in or is invited to, or one that is public."""

    by: Wallet
    id: UUID


class ListGroups(Ask, frozen=True, kw_only=True):
    """Those that the caller is in or is invited to; with `q` the public ones whose names begin so."""

    by: Wallet
    q: GroupSearch | None = None
    cursor: Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class ChangeGroup(Ask, frozen=True, kw_only=True):
    """What is not given stays. `owner` hands the group over to one of its members."""

    by: Wallet
    id: UUID
    name: GroupName | msgspec.UnsetType = msgspec.UNSET
    is_public: bool | msgspec.UnsetType = msgspec.UNSET
    owner: Wallet | msgspec.UnsetType = msgspec.UNSET


class AddMember(Ask, frozen=True, kw_only=True):
    """Oneself: to join. Somebody else: to invite them or, with a role, to give a member that role."""

    by: Wallet
    id: UUID
    wallet: Wallet
    role: Role | None = None


class RemoveMember(Ask, frozen=True, kw_only=True):
    """Oneself: to leave, or to decline an invitation. Somebody else: to put them out, or to take an invitation back."""

    by: Wallet
    id: UUID
    wallet: Wallet


class ListMembers(Ask, frozen=True, kw_only=True):
    """Of a group that the caller is in; who joined last comes first."""

    by: Wallet
    id: UUID
    cursor: WalletCursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group; its conversation has the same id. `role` is the caller's, null for who is not in it."""

    id: UUID
    name: str
    is_public: bool
    owner_wallet: Wallet
    members: int
    role: Role | None
    is_invited: bool
    created_at: datetime


class GroupPage(msgspec.Struct, frozen=True):
    """A page of groups; `next_cursor` is null at the end."""

    items: list[Group]
    next_cursor: str | None


class Member(msgspec.Struct, frozen=True):
    """Somebody in a group."""

    wallet: Wallet
    name: str | None
    role: Role
    joined_at: datetime


class MemberPage(msgspec.Struct, frozen=True):
    """A page of members; `next_cursor` is null at the end."""

    items: list[Member]
    next_cursor: str | None

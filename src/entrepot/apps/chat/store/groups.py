"""SQL of groups: what they are, and who may see them."""

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET

from entrepot.apps.chat.calls.groups import ChangeGroup, CreateGroup, GetGroup, ListGroups, ListMembers
from entrepot.kernel.db.answers import bounded, moment, page
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.http import paging

ME = "(SELECT id FROM chat.users WHERE wallet_address = :by)"
SHOWN = f"""g.id, g.name, g.is_public,
    (SELECT wallet_address FROM chat.users WHERE id = g.owner_id) AS owner_wallet, g.members,
    (SELECT role FROM chat.group_members WHERE group_id = g.id AND user_id = {ME}) AS role,
    EXISTS (SELECT FROM chat.invitations WHERE group_id = g.id AND user_id = {ME}) AS is_invited,
    {moment("g.created_at")} AS created_at"""
SEEN = f"""g.deleted_at IS NULL AND (g.is_public
    OR EXISTS (SELECT FROM chat.group_members WHERE group_id = g.id AND user_id = {ME})
    OR EXISTS (SELECT FROM chat.invitations WHERE group_id = g.id AND user_id = {ME}))"""
GET = Query(f"SELECT row_to_json(one) FROM (SELECT {SHOWN} FROM chat.groups g WHERE g.id = :id AND {SEEN}) one")
# The last one that counts, if it was within the day.
WAIT = Query("""
    SELECT ceil(extract(epoch FROM created_at + interval '1 day' - now()))::int FROM chat.groups
    WHERE owner_id = :owner ORDER BY created_at DESC OFFSET :most - 1 LIMIT 1
""")
# With its first event, which nobody can come in between: one statement instead of the five of the log.
MAKE = Query("""
    WITH made AS (
        INSERT INTO chat.groups (id, owner_id, name, is_public) VALUES (:id, :owner, :name, :is_public)
    ), entered AS (
        INSERT INTO chat.group_members (group_id, user_id, role) VALUES (:id, :owner, 'owner')
    ), followed AS (
        INSERT INTO chat.cursors (conversation_id, user_id, read_seq, delivered_seq) VALUES (:id, :owner, 1, 1)
    ), noted AS (
        INSERT INTO chat.conversation_months (conversation_id, month, first_seq, last_seq) VALUES (:id, :month, 1, 1)
    ), said AS (
        INSERT INTO chat.messages (id, conversation_id, seq, sender_id, event)
        VALUES (:event_id, :id, 1, :owner, :event)
    )
    INSERT INTO chat.conversations (id, roster, last_seq, last_id, month)
    SELECT :id, keys_version, 1, :event_id, :month FROM chat.users WHERE id = :owner
    RETURNING roster, last_at
""")
CHANGE = Query("""
    UPDATE chat.groups SET name = coalesce(:name, name), is_public = coalesce(:is_public, is_public)
    WHERE id = :id RETURNING name, is_public
""")
END = Query("""
    WITH ended AS (
        UPDATE chat.groups SET deleted_at = now(), members = 0 WHERE id = :id
    ), uninvited AS (
        DELETE FROM chat.invitations WHERE group_id = :id
    ), left_ AS (
        DELETE FROM chat.cursors WHERE conversation_id = :id
    )
    DELETE FROM chat.group_members WHERE group_id = :id
""")


class Named(msgspec.Struct, frozen=True):
    """What a group is called now, and whether anyone may join."""

    name: str
    is_public: bool


def _mine(*, later: bool) -> Query:
    beyond = "AND (g.created_at, g.id) < (:key, :last)" if later else ""
    rows = bounded(f"""SELECT {SHOWN} FROM chat.groups g WHERE g.deleted_at IS NULL AND g.id IN (
            SELECT group_id FROM chat.group_members WHERE user_id = {ME}
            UNION ALL SELECT group_id FROM chat.invitations WHERE user_id = {ME}
        ) {beyond} ORDER BY g.created_at DESC, g.id DESC""")
    return Query(page(rows, "newest", "created_at"))


def _public(*, later: bool) -> Query:
    beyond = "AND (g.created_at, g.id) < (:key, :last)" if later else ""
    rows = bounded(f"""SELECT {SHOWN} FROM chat.groups g
        WHERE g.is_public AND g.deleted_at IS NULL AND lower(g.name::text) LIKE :prefix {beyond}
        ORDER BY g.created_at DESC, g.id DESC""")
    return Query(page(rows, "newest", "created_at"))


LISTS = {
    (is_public, later): (_public if is_public else _mine)(later=later)
    for is_public in (False, True)
    for later in (False, True)
}
MEMBERS = Query(f"""
    SELECT CASE WHEN EXISTS (SELECT FROM chat.group_members WHERE group_id = :id AND user_id = {ME}) THEN (
        SELECT json_build_object('items', coalesce(json_agg(page), '[]'::json), 'next_cursor',
            CASE WHEN count(*) = :limit::bigint
                THEN 'newest~' || (array_agg(page.joined_at || '~' || page.wallet))[:limit::bigint] END)
        FROM (
            SELECT u.wallet_address AS wallet, u.name, m.role, {moment("m.joined_at")} AS joined_at
            FROM chat.group_members m JOIN chat.users u ON u.id = m.user_id
            WHERE m.group_id = :id
                AND (:key::timestamptz IS NULL OR (m.joined_at, u.wallet_address) < (:key, :last::text))
            ORDER BY m.joined_at DESC, u.wallet_address DESC LIMIT :limit::bigint
        ) page
    ) END
""")


async def get(db: Read, ask: GetGroup) -> Json | None:
    """A group that the caller may see."""
    return await db.json(GET, id=ask.id, by=ask.by)


async def listed(db: Read, ask: ListGroups) -> Json:
    """A page of groups."""
    given: dict[str, Any] = {"by": ask.by, "limit": ask.limit}
    if ask.q is not None:
        given["prefix"] = ask.q.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    if ask.cursor is not None:
        given["key"], given["last"] = ask.cursor.place("newest", paging.moment)
    found = await db.json(LISTS[ask.q is not None, ask.cursor is not None], **given)
    assert found is not None
    return found


async def members(db: Read, ask: ListMembers) -> Json | None:
    """A page of members, or None where the caller is not one."""
    key, last = (None, None) if ask.cursor is None else ask.cursor.place
    return await db.json(MEMBERS, id=ask.id, by=ask.by, limit=ask.limit, key=key, last=last)


async def wait(db: Read, owner: int, most: int) -> int:
    """The seconds until they have made fewer than so many groups in a day; 0 or less where that is so now."""
    seconds: int | None = await db.value(WAIT, owner=owner, most=most)
    return seconds or 0


class FirstEvent(NamedTuple):
    """What a group begins with: the event as JSON, its id, and the month of messages that this lies in."""

    id: UUID
    event: str
    month: date


class Made(msgspec.Struct, frozen=True):
    """How a new group's conversation stands."""

    roster: int
    last_at: datetime


async def make(db: Write, group: UUID, owner: int, ask: CreateGroup, event: FirstEvent) -> Made:
    """The group, its conversation with that event, and its owner in both."""
    given = {"id": group, "owner": owner, "name": ask.name, "is_public": ask.is_public}
    return await db.one(Made, MAKE, **given, event_id=event.id, event=event.event, month=event.month)


async def change(db: Write, ask: ChangeGroup) -> Named:
    """What is given."""
    name, is_public = (None if given is UNSET else given for given in (ask.name, ask.is_public))
    return await db.one(Named, CHANGE, id=ask.id, name=name, is_public=is_public)


async def end(db: Write, group: UUID) -> None:
    """Nobody is in it, or invited to it, any more; what was said stays for those who archive it."""
    await db.run(END, id=group)

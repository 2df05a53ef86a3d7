"""SQL of who is in a group, as what, and who is invited."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from entrepot.apps.chat.model import Role
from entrepot.apps.chat.store.blocks import silent
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

STANDING = Query("""
    SELECT u.id AS user_id, m.role, g.is_public, g.members, i.user_id IS NOT NULL AS is_invited
    FROM chat.users u JOIN chat.groups g ON g.id = :group AND g.deleted_at IS NULL
    LEFT JOIN chat.group_members m ON m.group_id = g.id AND m.user_id = u.id
    LEFT JOIN chat.invitations i ON i.group_id = g.id AND i.user_id = u.id
    WHERE u.wallet_address = :wallet
""")
# Whom a block keeps from hearing of each other can neither be invited by nor invite the other. The wallets are read by
# a SELECT, so that PostgreSQL does not plan anew each time by how many they are.
INVITE = Query(f"""
    INSERT INTO chat.invitations (group_id, user_id, invited_by)
    SELECT :group, u.id, :by FROM chat.users u JOIN chat.users host ON host.id = :by
    WHERE u.wallet_address = ANY((SELECT :wallets::text[])::text[]) AND NOT {silent("u", "host")}
        AND NOT EXISTS (SELECT FROM chat.group_members WHERE group_id = :group AND user_id = u.id)
    ON CONFLICT (group_id, user_id) DO UPDATE SET invited_by = excluded.invited_by
    RETURNING (SELECT wallet_address FROM chat.users WHERE id = invitations.user_id)
""")
UNINVITE = Query("DELETE FROM chat.invitations WHERE group_id = :group AND user_id = :user")
ENTER = Query("""
    WITH accepted AS (
        DELETE FROM chat.invitations WHERE group_id = :group AND user_id = :user
    ), counted AS (
        UPDATE chat.groups SET members = members + 1 WHERE id = :group
    ), follows AS (
        INSERT INTO chat.cursors (conversation_id, user_id, from_seq, read_seq, delivered_seq)
        VALUES (:group, :user, :seq + 1, :seq, :seq)
    )
    INSERT INTO chat.group_members (group_id, user_id) VALUES (:group, :user)
""")
LEAVE = Query("""
    WITH counted AS (
        UPDATE chat.groups SET members = members - 1 WHERE id = :group
    ), follows AS (
        DELETE FROM chat.cursors WHERE conversation_id = :group AND user_id = :user
    )
    DELETE FROM chat.group_members WHERE group_id = :group AND user_id = :user
""")
SET_ROLE = Query("UPDATE chat.group_members SET role = :role WHERE group_id = :group AND user_id = :user")
SET_OWNER = Query("""
    WITH former AS (
        UPDATE chat.group_members SET role = 'admin' WHERE group_id = :group AND role = 'owner'
    ), owned AS (
        UPDATE chat.groups SET owner_id = :user WHERE id = :group
    )
    UPDATE chat.group_members SET role = 'owner' WHERE group_id = :group AND user_id = :user
""")


class Standing(msgspec.Struct, frozen=True):
    """What somebody is to a group."""

    user_id: int
    role: Role | None
    is_public: bool
    members: int
    is_invited: bool


async def standing(db: Read, group: UUID, wallet: Wallet) -> Standing | None:
    """What that wallet is to the group; None where one of the two is not there."""
    return await db.maybe(Standing, STANDING, group=group, wallet=wallet)


async def invite(db: Write, group: UUID, by: int, wallets: Sequence[Wallet]) -> list[Wallet]:
    """Invites those that are known here and not in it; answers who they are."""
    return [Wallet(row[0]) for row in await db.rows(INVITE, group=group, by=by, wallets=list(wallets))]


async def uninvite(db: Write, group: UUID, user: int) -> None:
    """The invitation is over."""
    await db.run(UNINVITE, group=group, user=user)


async def enter(db: Write, group: UUID, user: int, seq: int) -> None:
    """Somebody is in it from the message after that one."""
    await db.run(ENTER, group=group, user=user, seq=seq)


async def leave(db: Write, group: UUID, user: int) -> None:
    """Somebody is in it no longer."""
    await db.run(LEAVE, group=group, user=user)


async def set_role(db: Write, group: UUID, user: int, role: Role) -> None:
    """Gives a member a role that is not the owner's."""
    await db.run(SET_ROLE, group=group, user=user, role=role)


async def set_owner(db: Write, group: UUID, user: int) -> None:
    """Gives the group to a member; who had it is an admin."""
    await db.run(SET_OWNER, group=group, user=user)

"""SQLAlchemy tables of the schema `chat`, the single source of it.

users, messages, groups and group_members are the reference's, with its indexes; what was added says why.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, UUID

from entrepot.kernel.tables import BUSY, MOMENT, NOW, WALLET

METADATA = sa.MetaData(schema="chat")
PERSON = sa.BIGINT
# A row that is changed with every message is to find room on its own page, so that no index is touched.
ROOMY = {**BUSY, "fillfactor": "70"}


def person(name: str, **more: Any) -> sa.Column[int]:
    """A column that names a user."""
    return sa.Column(name, PERSON, sa.ForeignKey("chat.users.id"), **more)


def place(**more: Any) -> sa.Column[Any]:
    """A column that names a conversation."""
    return sa.Column("conversation_id", UUID, sa.ForeignKey("chat.conversations.id"), nullable=False, **more)


users = sa.Table(
    "users",
    METADATA,
    sa.Column("id", PERSON, sa.Identity(), primary_key=True),
    sa.Column("wallet_address", WALLET, nullable=False, comment="EIP-55 checksum address"),
    sa.Column("name", sa.VARCHAR(50)),
    sa.Column("public_key", sa.VARCHAR(88), comment="NaCl public key, 32 bytes in base64; null before the first one"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column(
        "keys_version",
        sa.BIGINT,
        nullable=False,
        server_default="0",
        comment="Added: how often the keys that others encrypt for have changed; see conversations.roster",
    ),
    sa.Index("idx_users_wallet_address", "wallet_address", unique=True),
    sa.Index("idx_users_created_at", "created_at"),
    sa.Index("idx_users_public_key", "public_key", postgresql_where=sa.text("public_key IS NOT NULL")),
    # Added for the search: by the beginning of a name, and by any part of a wallet.
    sa.Index(
        "idx_users_name",
        sa.literal_column("lower(name::text)").label("name"),
        "id",
        postgresql_ops={"name": "text_pattern_ops"},
        postgresql_where=sa.text("name IS NOT NULL"),
    ),
    sa.Index(
        "idx_users_wallet_part",
        sa.literal_column("lower(wallet_address::text)").label("wallet"),
        postgresql_using="gin",
        postgresql_ops={"wallet": "gin_trgm_ops"},
        # New users come one by one: none waits in a list that every search would have to read.
        postgresql_with={"fastupdate": "off"},
    ),
    comment="Who can be written to, by wallet.",
)

groups = sa.Table(
    "groups",
    METADATA,
    sa.Column("id", UUID, primary_key=True),
    person("owner_id", nullable=False),
    sa.Column("name", sa.VARCHAR(100), nullable=False),
    sa.Column("is_public", sa.BOOLEAN, nullable=False, server_default=sa.false()),
    sa.Column("members", sa.INTEGER, nullable=False, server_default="1", comment="Added: how many they are"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("deleted_at", MOMENT, comment="Added: nobody is in it any more"),
    sa.CheckConstraint("members BETWEEN 0 AND 10000", name="chk_groups_members"),
    sa.Index("idx_groups_owner", "owner_id", "created_at"),
    sa.Index("idx_groups_created_at", "created_at"),
    sa.Index("idx_groups_is_public", "is_public"),
    sa.Index(
        "idx_groups_name",
        sa.literal_column("lower(name::text)").label("name"),
        "id",
        postgresql_ops={"name": "text_pattern_ops"},
        postgresql_where=sa.text("is_public AND deleted_at IS NULL"),
    ),
    comment="Groups; the conversation of each has its id.",
)

group_members = sa.Table(
    "group_members",
    METADATA,
    sa.Column("group_id", UUID, sa.ForeignKey("chat.groups.id"), nullable=False),
    person("user_id", nullable=False),
    sa.Column("role", sa.VARCHAR(10), nullable=False, server_default="member"),
    sa.Column("joined_at", MOMENT, nullable=False, server_default=NOW),
    sa.PrimaryKeyConstraint("group_id", "user_id", name="idx_group_members_group_user"),
    sa.CheckConstraint("role IN ('owner', 'admin', 'member')", name="chk_group_members_role"),
    sa.Index("idx_group_members_user", "user_id"),
    sa.Index("idx_group_members_joined_at", "joined_at"),
    comment="Who is in which group, and as what.",
)

invitations = sa.Table(
    "invitations",
    METADATA,
    sa.Column("group_id", UUID, sa.ForeignKey("chat.groups.id"), primary_key=True),
    person("user_id", primary_key=True),
    person("invited_by", nullable=False),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Index("idx_invitations_user", "user_id"),
    sa.Index("idx_invitations_by", "invited_by"),
    comment="Added: who may join a private group. Nobody is in a group that did not join it.",
)

conversations = sa.Table(
    "conversations",
    METADATA,
    sa.Column("id", UUID, primary_key=True, comment="Of a group's: the group's id"),
    person("first_id", comment="Of a pair's: the lesser user; null in a group"),
    person("second_id"),
    sa.Column("last_seq", sa.BIGINT, nullable=False, server_default="0", comment="How many messages it has had"),
    sa.Column("last_id", UUID, comment="Of the newest message"),
    sa.Column("last_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("month", sa.DATE, comment="The month of messages that the newest one lies in"),
    sa.Column(
        "roster",
        sa.BIGINT,
        nullable=False,
        server_default="0",
        comment="Grows whenever somebody comes or goes, or the keys of a member change (users.keys_version)",
    ),
    sa.Column("is_silent", sa.BOOLEAN, nullable=False, server_default=sa.false(), comment="One has blocked the other"),
    sa.Column("keeps_for", sa.INTEGER, comment="Seconds after which its messages disappear; null: they stay"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.CheckConstraint("(first_id IS NULL) = (second_id IS NULL) AND first_id < second_id", name="chk_conversations"),
    sa.CheckConstraint("keeps_for > 0", name="chk_conversations_keeps_for"),
    sa.Index(
        "uq_conversations_pair",
        "first_id",
        "second_id",
        unique=True,
        postgresql_where=sa.text("first_id IS NOT NULL"),
    ),
    sa.Index("idx_conversations_second", "second_id", postgresql_where=sa.text("second_id IS NOT NULL")),
    comment="Added: one row for each pair and each group; its lock orders the messages.",
    postgresql_with=ROOMY,
)

cursors = sa.Table(
    "cursors",
    METADATA,
    place(primary_key=True),
    person("user_id", primary_key=True),
    sa.Column("from_seq", sa.BIGINT, nullable=False, server_default="1", comment="The first message that is theirs"),
    sa.Column("read_seq", sa.BIGINT, nullable=False, server_default="0"),
    sa.Column("delivered_seq", sa.BIGINT, nullable=False, server_default="0"),
    sa.Column(
        "is_unsettled",
        sa.BOOLEAN,
        nullable=False,
        server_default=sa.false(),
        comment="It has moved since statuses were set",
    ),
    # So that setting them looks at what has been received and read since, and at no older month.
    sa.Column("settled_read_seq", sa.BIGINT, nullable=False, server_default="0", comment="To where statuses say read"),
    sa.Column("settled_delivered_seq", sa.BIGINT, nullable=False, server_default="0", comment="And delivered"),
    sa.CheckConstraint("read_seq <= delivered_seq", name="chk_cursors_read_is_delivered"),
    sa.Index("idx_cursors_user", "user_id"),
    sa.Index("idx_cursors_unsettled", "conversation_id", "user_id", postgresql_where=sa.text("is_unsettled")),
    comment="Added: who is in a conversation, and how far they have received and read it. Unread is the rest.",
    postgresql_with=ROOMY,
)

conversation_months = sa.Table(
    "conversation_months",
    METADATA,
    place(primary_key=True),
    sa.Column("month", sa.DATE, primary_key=True),
    sa.Column("first_seq", sa.BIGINT, nullable=False),
    sa.Column("last_seq", sa.BIGINT, nullable=False, comment="The last one known; of the newest month there are more"),
    comment="Added: which months of messages hold which of a conversation, so that a page reads only these.",
)

# No foreign keys here: the statement that adds a message has locked its conversation and read its members.
messages = sa.Table(
    "messages",
    METADATA,
    sa.Column("id", UUID, primary_key=True, comment="Version 7, by the sender: sent again it is the same message"),
    sa.Column("conversation_id", UUID, nullable=False),
    sa.Column("seq", sa.BIGINT, nullable=False, comment="Its number in the conversation, from 1, without gaps"),
    sa.Column("sender_id", PERSON, nullable=False),
    sa.Column("receiver_id", PERSON, comment="Null in a group"),
    sa.Column("ciphertext", BYTEA, comment="Null of an event"),
    sa.Column("nonce", BYTEA),
    sa.Column("event", JSONB, comment="What happened to the conversation, where it is no message of somebody's"),
    sa.Column(
        "status",
        sa.VARCHAR(10),
        nullable=False,
        server_default="sent",
        comment="Of a pair's: set from the cursors every minute; in a group it stays sent",
    ),
    sa.Column("timestamp", MOMENT, nullable=False, server_default=NOW),
    sa.Column("expires_at", MOMENT, comment="When it disappears; null: it stays"),
    sa.CheckConstraint("status IN ('sent', 'delivered', 'read')", name="chk_messages_status"),
    sa.CheckConstraint("(event IS NULL) = (ciphertext IS NOT NULL)", name="chk_messages_event"),
    sa.CheckConstraint("octet_length(ciphertext) <= 65536", name="chk_messages_size"),
    sa.Index("idx_messages_conversation", "conversation_id", "seq"),
    sa.Index("idx_messages_sender_receiver", "sender_id", "receiver_id"),
    sa.Index("idx_messages_receiver_sender", "receiver_id", "sender_id"),
    sa.Index("idx_messages_timestamp", sa.text('"timestamp" DESC')),
    sa.Index("idx_messages_status", "status"),
    sa.Index("idx_messages_receiver_status", "receiver_id", "status", postgresql_where=sa.text("status <> 'read'")),
    # Added for the sweep: what is to disappear, and what has; it never passes over what was emptied before.
    sa.Index(
        "idx_messages_expires",
        "expires_at",
        postgresql_where=sa.text("expires_at IS NOT NULL AND (octet_length(ciphertext) > 0 OR event IS NOT NULL)"),
    ),
    sa.Index("idx_messages_emptied", "id", postgresql_where=sa.text("octet_length(ciphertext) = 0")),
    postgresql_partition_by="RANGE (id)",
    comment="Messages, which the server cannot read; a partition for each month of their ids.",
)

blocks = sa.Table(
    "blocks",
    METADATA,
    person("user_id", primary_key=True),
    # A wallet and no user, so that a block of somebody who is not here is no different: it must not tell who is.
    sa.Column("blocked_wallet", WALLET, primary_key=True),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    comment="Added: who wants to hear nothing of which wallet; then neither hears of the other.",
)

devices = sa.Table(
    "devices",
    METADATA,
    sa.Column("id", UUID, primary_key=True),
    person("user_id", nullable=False),
    sa.Column("name", sa.VARCHAR(50)),
    sa.Column("identity_key", BYTEA, nullable=False, comment="Ed25519, 32 bytes; signs the keys below"),
    sa.Column("identity_signature", BYTEA, nullable=False, comment="The wallet's, over device and identity key"),
    sa.Column("identity_version", sa.BIGINT, nullable=False, comment="The version of the wallet's keys that it names"),
    sa.Column("chain_id", sa.BIGINT, nullable=False, comment="Where a contract wallet is asked about its signature"),
    sa.Column("signed_prekey_id", sa.BIGINT, nullable=False),
    sa.Column("signed_prekey", BYTEA, nullable=False, comment="X25519, 32 bytes"),
    sa.Column("signed_prekey_signature", BYTEA, nullable=False),
    sa.Column("last_key_id", sa.BIGINT, nullable=False, comment="The highest of a one-time key; none comes twice"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("changed_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("removed_at", MOMENT),
    sa.Index("idx_devices_user", "user_id"),
    comment="Added: the devices of a wallet, each with keys that the wallet vouches for.",
)

one_time_keys = sa.Table(
    "one_time_keys",
    METADATA,
    sa.Column("device_id", UUID, sa.ForeignKey("chat.devices.id"), primary_key=True),
    sa.Column("key_id", sa.BIGINT, primary_key=True),
    sa.Column("public_key", BYTEA, nullable=False, comment="X25519, 32 bytes"),
    sa.Column("signature", BYTEA, nullable=False, comment="The identity key's, over the public key"),
    sa.Column("is_last_resort", sa.BOOLEAN, nullable=False, server_default=sa.false()),
    sa.Index("uq_one_time_keys_last_resort", "device_id", unique=True, postgresql_where=sa.text("is_last_resort")),
    comment="Added: keys that are given out once; the last resort is given out when there is no other, and stays.",
    postgresql_with=BUSY,
)

key_log = sa.Table(
    "key_log",
    METADATA,
    sa.Column("id", sa.BIGINT, sa.Identity(), primary_key=True),
    person("user_id", nullable=False),
    sa.Column("device_id", UUID, comment="Null where it is the wallet's own public key"),
    sa.Column("event", sa.VARCHAR(20), nullable=False),
    sa.Column("version", sa.BIGINT, comment="Of the wallet's keys from then on, without gaps; null of a prekey"),
    sa.Column("key", BYTEA, comment="The new key; null where a device went"),
    sa.Column("signature", BYTEA, comment="The wallet's; a prekey's: of the device's identity key"),
    sa.Column("chain_id", sa.BIGINT, comment="As with devices"),
    sa.Column("at", MOMENT, nullable=False, server_default=NOW),
    sa.CheckConstraint("event IN ('public_key', 'device', 'identity', 'prekey', 'removed')", name="chk_key_log_event"),
    sa.Index("idx_key_log_user", "user_id", "id"),
    comment="Added: every key that a wallet has had here, for whoever wants to check; nobody can change it.",
)

key_claims = sa.Table(
    "key_claims",
    METADATA,
    person("user_id", primary_key=True),
    person("of_id", primary_key=True),
    sa.Column("due", MOMENT, nullable=False, comment="When all that was claimed is forgotten (ITU-T I.371)"),
    sa.Index("idx_key_claims_of", "of_id"),
    sa.Index("idx_key_claims_due", "due"),
    comment="Added: how often somebody has lately taken one-time keys of somebody, so that nobody drains them.",
    postgresql_with=BUSY,
)

presence = sa.Table(
    "presence",
    METADATA,
    person("user_id", primary_key=True),
    sa.Column("process", UUID, primary_key=True, comment="The server process that has a socket of theirs"),
    sa.Column("seen_at", MOMENT, nullable=False, server_default=NOW),
    sa.Index("idx_presence_seen", "seen_at"),
    comment="Added: who is there now; a row that no process renews has no meaning after two minutes.",
    postgresql_with=BUSY,
)

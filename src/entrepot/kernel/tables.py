"""The kernel's own tables, in the schema `core`."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP, UUID

METADATA = sa.MetaData(schema="core")
WALLET = sa.VARCHAR(42)
MOMENT = TIMESTAMP(timezone=True)
NOW = sa.text("now()")
# Rows come and go all the time: autovacuum is not to wait for a fifth of the table.
BUSY = {"autovacuum_vacuum_scale_factor": "0.05", "autovacuum_analyze_scale_factor": "0.02"}

sessions = sa.Table(
    "sessions",
    METADATA,
    sa.Column("token_hash", BYTEA, primary_key=True, comment="SHA-256 of the token; the token itself is nowhere"),
    sa.Column("wallet", WALLET, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("expires_at", MOMENT, nullable=False),
    sa.Index("idx_sessions_wallet", "wallet"),
    sa.Index("idx_sessions_expires", "expires_at"),
    comment="Who is signed in. A session ends when its row goes.",
)

sign_in_nonces = sa.Table(
    "sign_in_nonces",
    METADATA,
    sa.Column("nonce", sa.VARCHAR(64), primary_key=True),
    sa.Column("wallet", WALLET, nullable=False),
    sa.Column("issued_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("expires_at", MOMENT, nullable=False),
    sa.Index("idx_sign_in_nonces_expires", "expires_at"),
    comment="Nonces that were given out and not used yet; using one deletes its row.",
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    METADATA,
    sa.Column("wallet", WALLET, primary_key=True),
    sa.Column("key", sa.VARCHAR(255), primary_key=True),
    sa.Column("input_hash", BYTEA, nullable=False, comment="SHA-256 of route, path and input"),
    sa.Column("status", sa.SMALLINT, comment="Null only inside the transaction that makes the answer"),
    sa.Column("answer", BYTEA),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Index("idx_idempotency_keys_created", "created_at"),
    comment="The answer of every command that carried a key, kept in that command's own transaction.",
    postgresql_with=BUSY,
)

cron_ticks = sa.Table(
    "cron_ticks",
    METADATA,
    sa.Column("task", sa.VARCHAR(100), primary_key=True),
    sa.Column("tick", MOMENT, primary_key=True),
    sa.Column("started_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("finished_at", MOMENT),
    sa.Column("error", sa.TEXT),
    sa.Index("idx_cron_ticks_started", "started_at"),
    comment="One row for each run of a task: whichever worker inserts it runs it.",
)

leases = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", sa.VARCHAR(200), primary_key=True),
    sa.Column("owner", UUID, nullable=False),
    sa.Column("expires_at", MOMENT, nullable=False),
    comment="What one process at a time may do; anyone may take a lease that has expired.",
)

contracts = sa.Table(
    "contracts",
    METADATA,
    sa.Column("chain", sa.VARCHAR(20), primary_key=True),
    sa.Column("name", sa.VARCHAR(50), primary_key=True, comment="An artefact's name, or a token's symbol"),
    sa.Column("address", WALLET, nullable=False),
    sa.Column("decimals", sa.SMALLINT, comment="Of a token; null for any other contract"),
    sa.Column("block", sa.BIGINT, nullable=False, comment="Where it was deployed; its logs begin here"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.CheckConstraint("decimals BETWEEN 6 AND 18", name="chk_contracts_decimals"),
    comment="Where this market's contracts and tokens are, on each chain.",
)

chain_accounts = sa.Table(
    "chain_accounts",
    METADATA,
    sa.Column("chain", sa.VARCHAR(20), primary_key=True),
    sa.Column("address", WALLET, primary_key=True),
    sa.Column("next_nonce", sa.BIGINT, nullable=False),
    sa.CheckConstraint("next_nonce >= 0", name="chk_chain_accounts_nonce"),
    comment="The nonce that the next transaction of each sending account takes.",
)

chain_transactions = sa.Table(
    "chain_transactions",
    METADATA,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("chain", sa.VARCHAR(20), nullable=False),
    sa.Column("sender", WALLET, nullable=False),
    sa.Column("nonce", sa.BIGINT, nullable=False),
    sa.Column("purpose", sa.VARCHAR(200), nullable=False, comment="Why it is sent; sent once while one is open"),
    sa.Column("recipient", WALLET, nullable=False),
    sa.Column("data", BYTEA, nullable=False),
    sa.Column("gas", sa.BIGINT, nullable=False),
    sa.Column("max_fee", sa.NUMERIC(78, 0), nullable=False, comment="Wei per gas, of the last attempt"),
    sa.Column("max_tip", sa.NUMERIC(78, 0), nullable=False, comment="Wei per gas, of the last attempt"),
    sa.Column("hashes", sa.ARRAY(sa.VARCHAR(66)), nullable=False, comment="Of every attempt, oldest first"),
    sa.Column("state", sa.VARCHAR(10), nullable=False),
    sa.Column("error", sa.TEXT),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("sent_at", MOMENT),
    sa.Column("ended_at", MOMENT),
    sa.CheckConstraint("state IN ('open', 'mined', 'reverted', 'dropped')", name="chk_chain_transactions_state"),
    sa.UniqueConstraint("chain", "sender", "nonce", name="uq_chain_transactions_nonce"),
    sa.Index(
        "uq_chain_transactions_open_purpose",
        "chain",
        "purpose",
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    ),
    comment="Every transaction that this server signs, written before it is sent.",
)

archives = sa.Table(
    "archives",
    METADATA,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("app", sa.VARCHAR(63), nullable=False),
    sa.Column("table_name", sa.VARCHAR(63), nullable=False),
    sa.Column("partition", sa.VARCHAR(63), comment="Null where it holds single rows"),
    sa.Column("lower", MOMENT, comment="Its rows' times begin here; null: wherever the table begins"),
    sa.Column("upper", MOMENT, nullable=False, comment="And end before this"),
    sa.Column("schema_revision", sa.VARCHAR(32), nullable=False),
    sa.Column("state", sa.VARCHAR(10), nullable=False, server_default="writing"),
    sa.Column("rows", sa.BIGINT, nullable=False, server_default="0"),
    sa.Column("size", sa.BIGINT, nullable=False, server_default="0", comment="Of the object, in octets"),
    sa.Column("content_hash", BYTEA, comment="BLAKE3 of columns and rows, as PostgreSQL wrote them"),
    sa.Column("position", sa.BIGINT, nullable=False, server_default="0", comment="How many rows were dealt with"),
    sa.Column(
        "spared",
        sa.ARRAY(sa.BIGINT),
        nullable=False,
        server_default="{}",
        comment="Which of its rows, from 0, were changed or gone when they were to leave: those are not its own",
    ),
    sa.Column("error", sa.TEXT),
    sa.Column("started_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("proven_at", MOMENT, comment="When the object had been read back; its rows were committed before"),
    sa.Column("removed_at", MOMENT),
    sa.Column("cleared_at", MOMENT, comment="When the objects of one that does not count were removed"),
    sa.CheckConstraint(
        "state IN ('writing', 'proven', 'removing', 'removed', 'restored', 'expired', 'void')",
        name="chk_archives_state",
    ),
    sa.CheckConstraint(
        "state IN ('writing', 'void') OR (content_hash IS NOT NULL AND proven_at IS NOT NULL)",
        name="chk_archives_proven",
    ),
    sa.Index("idx_archives_table", "app", "table_name", "state"),
    sa.Index(
        "uq_archives_writing",
        "app",
        "table_name",
        unique=True,
        postgresql_where=sa.text("state = 'writing'"),
    ),
    sa.Index(
        "uq_archives_partition",
        "app",
        "table_name",
        "partition",
        unique=True,
        postgresql_where=sa.text("state = 'proven'"),
    ),
    comment="The ledger of archives: every row that left the database is in one that was removed from it.",
)

outbox = sa.Table(
    "outbox",
    METADATA,
    sa.Column(
        "xid",
        sa.BIGINT,
        primary_key=True,
        autoincrement=False,
        server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
        comment="The transaction that wrote it: readers go by what is committed, as ids are given out before that",
    ),
    sa.Column("id", sa.BIGINT, sa.Identity(), primary_key=True),
    sa.Column("topic", sa.VARCHAR(120), nullable=False, comment="Who reads it, for instance escrow: and a wallet"),
    sa.Column("about", sa.VARCHAR(120), comment="Which thing of the reader's, where only that may be followed"),
    sa.Column("also", sa.VARCHAR(120), comment="A second topic of the same row; who reads both is told once"),
    sa.Column("opens", sa.VARCHAR(120), comment="A topic that its readers follow from then on"),
    sa.Column("closes", sa.VARCHAR(120), comment="A topic that its readers follow no longer"),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    # Added so that what disappears, as a message of the chat does, is not kept here for longer than there.
    sa.Column("expires_at", MOMENT, comment="From when on nobody is told, and it is not kept; null: for a day"),
    sa.CheckConstraint("expires_at IS NULL OR (opens IS NULL AND closes IS NULL)", name="chk_outbox_topics_last"),
    sa.Index("idx_outbox_expires", "expires_at", postgresql_where=sa.text("expires_at IS NOT NULL")),
    sa.Index("idx_outbox_topic", "topic", "xid"),
    sa.Index("idx_outbox_also", "also", "xid", postgresql_where=sa.text("also IS NOT NULL")),
    sa.Index("idx_outbox_created", "created_at", postgresql_using="brin"),
    comment="What is to be told after a commit, written by the transaction itself.",
    postgresql_with=BUSY,
)

outbox_floor = sa.Table(
    "outbox_floor",
    METADATA,
    sa.Column("id", sa.SMALLINT, primary_key=True, autoincrement=False, server_default="1"),
    sa.Column("xid", sa.BIGINT, nullable=False, comment="The last transaction of which a row was deleted in its time"),
    sa.Column("last_xid", sa.BIGINT, nullable=False, comment="The last of which any was deleted, expired ones too"),
    # Added so that a cursor tells which server gave it out: two that begin where a third has ended number alike.
    sa.Column("line", sa.VARCHAR(60), comment="System, database and timeline for which the name of the history is"),
    sa.Column("history", sa.VARCHAR(16), comment="A random name; another one is drawn where the line is another"),
    sa.CheckConstraint("id = 1", name="chk_outbox_floor_one"),
    comment="One row: what the outbox has forgotten. A trigger moves it, whoever deletes.",
)

backups = sa.Table(
    "backups",
    METADATA,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("kind", sa.VARCHAR(11), nullable=False),
    sa.Column("parent", UUID, comment="Of an incremental one: the backup that it adds to"),
    sa.Column("system", sa.VARCHAR(20), nullable=False, comment="The server's system identifier"),
    sa.Column("timeline", sa.BIGINT, nullable=False),
    sa.Column("start_lsn", sa.VARCHAR(17), nullable=False, comment="Where recovery begins"),
    sa.Column("end_lsn", sa.VARCHAR(17), nullable=False, comment="From where on it is consistent"),
    sa.Column("began_at", MOMENT, nullable=False),
    sa.Column("ended_at", MOMENT, nullable=False),
    sa.Column("size", sa.BIGINT, nullable=False, comment="Bytes, before compression"),
    sa.Column("stored", sa.BIGINT, nullable=False, comment="Bytes in the store"),
    sa.Column("sha256", BYTEA, nullable=False, comment="Of the tar, before compression"),
    sa.Column("sealed_with", sa.VARCHAR(255), comment="The id of the key; null where it is not sealed"),
    sa.CheckConstraint("kind IN ('full', 'incremental')", name="chk_backups_kind"),
    sa.CheckConstraint("(kind = 'incremental') = (parent IS NOT NULL)", name="chk_backups_parent"),
    sa.Index("idx_backups_ended", "ended_at"),
    comment="Every backup that was made, those too that are no longer kept. What is there, the store itself tells.",
)

# No foreign key: a database that was restored may not know the backup that is verified next.
backup_proofs = sa.Table(
    "backup_proofs",
    METADATA,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("backup", UUID, nullable=False),
    sa.Column("kind", sa.VARCHAR(11), nullable=False),
    sa.Column("from_lsn", sa.VARCHAR(17), nullable=False),
    sa.Column("to_lsn", sa.VARCHAR(17), nullable=False, comment="Where the copy was compared with the primary"),
    sa.Column("covers_until", MOMENT, nullable=False, comment="What was committed by then was in the copy"),
    sa.Column("verified_at", MOMENT, nullable=False),
    sa.Column("outcome", sa.VARCHAR(6), nullable=False),
    sa.Column("findings", sa.ARRAY(sa.TEXT), nullable=False, comment="What was wrong"),
    sa.Column("tables", sa.INTEGER, nullable=False, comment="How many were compared by count and content"),
    sa.Column("rows", sa.BIGINT, nullable=False),
    sa.Column("seconds", sa.NUMERIC(10, 3), nullable=False),
    sa.CheckConstraint("outcome IN ('proven', 'failed')", name="chk_backup_proofs_outcome"),
    sa.CheckConstraint("(outcome = 'proven') = (findings = '{}')", name="chk_backup_proofs_findings"),
    sa.Index("idx_backup_proofs_covers", "covers_until", postgresql_where=sa.text("outcome = 'proven'")),
    comment="Every verification: a backup is what was restored.",
)

secrets = sa.Table(
    "secrets",
    METADATA,
    sa.Column("name", sa.VARCHAR(100), primary_key=True),
    sa.Column("sealed", BYTEA, nullable=False, comment="AES-256-GCM, the id of its key in front"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    comment="Sealed secrets of the server itself, such as the keeper's key.",
)

system_metrics = sa.Table(
    "system_metrics",
    METADATA,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("service_name", sa.VARCHAR(100), nullable=False),
    sa.Column("metric_type", sa.VARCHAR(50), nullable=False),
    sa.Column("metric_value", sa.DOUBLE_PRECISION, nullable=False, info={"measured": True}),
    sa.Column("unit", sa.VARCHAR(20), nullable=False),
    # PostgreSQL wants the column by which a table is partitioned in each of its keys.
    sa.Column("timestamp", MOMENT, primary_key=True, server_default=NOW),
    sa.Column("metric_metadata", JSONB),
    sa.Index("idx_metrics_service_time", "service_name", "timestamp"),
    sa.Index("idx_metrics_type_time", "metric_type", "timestamp"),
    sa.Index("idx_metrics_timestamp", "timestamp"),
    postgresql_partition_by="RANGE (timestamp)",
    comment="What every process measures of itself, once a minute; a partition for each month.",
)

incidents = sa.Table(
    "incidents",
    METADATA,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("rule", sa.VARCHAR(50), nullable=False),
    sa.Column("subject", sa.VARCHAR(200), nullable=False, comment="Of what, where a rule holds of several things"),
    sa.Column(
        "value",
        sa.DOUBLE_PRECISION,
        nullable=False,
        comment="As last measured while it lasted",
        info={"measured": True},
    ),
    sa.Column("threshold", sa.DOUBLE_PRECISION, nullable=False, info={"measured": True}),
    sa.Column("told", sa.TEXT, nullable=False),
    sa.Column("began_at", MOMENT, nullable=False, comment="When it was first seen"),
    sa.Column("fired_at", MOMENT, comment="Null until it has lasted as long as the rule says"),
    sa.Column("resolved_at", MOMENT),
    sa.CheckConstraint("resolved_at IS NULL OR fired_at IS NOT NULL", name="chk_incidents_resolved"),
    sa.Index(
        "uq_incidents_open",
        "rule",
        "subject",
        unique=True,
        postgresql_where=sa.text("resolved_at IS NULL"),
    ),
    comment="What an alert rule found, and until when; one open row for a rule and a subject.",
)

notices = sa.Table(
    "notices",
    METADATA,
    sa.Column("id", UUID, primary_key=True, comment="Travels with the notice, so that a repeat is recognised"),
    sa.Column("incident", UUID, sa.ForeignKey(incidents.c.id), nullable=False),
    sa.Column("event", sa.VARCHAR(10), nullable=False),
    sa.Column("channel", sa.VARCHAR(10), nullable=False),
    sa.Column("target", BYTEA, nullable=False, comment="SHA-256 of the address, which may hold a secret"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("next_at", MOMENT, server_default=NOW, comment="When it is tried; null when it is sent or given up"),
    sa.Column("attempts", sa.INTEGER, nullable=False, server_default="0"),
    sa.Column("sent_at", MOMENT),
    sa.Column("error", sa.TEXT, comment="Of the last attempt that failed"),
    sa.CheckConstraint("event IN ('fired', 'resolved')", name="chk_notices_event"),
    sa.CheckConstraint("channel IN ('webhook', 'email')", name="chk_notices_channel"),
    sa.UniqueConstraint("incident", "event", "channel", "target", name="uq_notices_once"),
    sa.Index("idx_notices_next", "next_at", postgresql_where=sa.text("next_at IS NOT NULL")),
    comment="Who is to be told of an incident; written in the transaction that finds it, sent after it.",
)

"""The kernel's own tables, in the schema `core`."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP, UUID

METADATA = sa.MetaData(schema="core")
WALLET = sa.VARCHAR(42)
MOMENT = TIMESTAMP(timezone=True)
NOW = sa.text("now()")

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

secrets = sa.Table(
    "secrets",
    METADATA,
    sa.Column("name", sa.VARCHAR(100), primary_key=True),
    sa.Column("sealed", BYTEA, nullable=False, comment="AES-256-GCM, the id of its key in front"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    comment="Sealed secrets of the server itself, such as the keeper's key.",
)

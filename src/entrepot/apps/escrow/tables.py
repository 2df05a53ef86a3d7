"""SQLAlchemy tables of the schema `escrow`, the single source of it.

Names, types, checks and indexes are the reference's; what was added says why.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ENUM, JSONB, UUID

from entrepot.apps.escrow import model
from entrepot.kernel.tables import MOMENT, NOW, WALLET

METADATA = sa.MetaData(schema="escrow")
MONEY = sa.NUMERIC[Decimal](18, 6)
HASH = sa.VARCHAR(66)
ACTIVE = sa.text("status = 'active'")
RANDOM_ID = sa.text("gen_random_uuid()")
SEARCHED = "((title_preview::text || ' '::text) || description_preview::text)"
"""What a search looks through, written as PostgreSQL prints it, so that Alembic sees no difference."""
DAY = "((created_at AT TIME ZONE 'UTC'::text)::date - '2000-01-01'::date)"
BLOCKS = f"(ARRAY[{DAY} / 32, {DAY} / 256 + 1000000])"
"""The 32 days, and the 256 days plus a million, in which a listing was made: a search reads one stretch of time."""
WORDS_OF = """
CREATE FUNCTION escrow.words_of(text TEXT) RETURNS TEXT[] IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql
RETURN array_remove(regexp_split_to_array(lower(text), '[^[:alnum:]]+'), '')
"""


@sa.event.listens_for(METADATA, "before_create")
def _make_functions(_metadata: sa.MetaData, connection: sa.Connection, **_: Any) -> None:
    """An index calls it."""
    connection.exec_driver_sql(WORDS_OF)


def enum(kind: type[StrEnum], name: str) -> ENUM:
    """The PostgreSQL enum of a Python one."""
    return ENUM(*(member.value for member in kind), name=name, schema="escrow", metadata=METADATA)


ORDER_STATUS = enum(model.OrderStatus, "order_status")
PRODUCT_STATUS = enum(model.ProductStatus, "product_status")
CATEGORY = enum(model.Category, "product_category")
TIER = enum(model.Tier, "user_tier")
EVIDENCE_TYPE = enum(model.EvidenceType, "evidence_type")
CHAIN = enum(model.ChainName, "chain_type")
TOKEN = enum(model.Token, "token_type")


def profile_key(name: str, **more: Any) -> sa.Column[str]:
    """A column that names a user."""
    return sa.Column(name, WALLET, sa.ForeignKey("escrow.user_profiles.wallet"), **more)


user_profiles = sa.Table(
    "user_profiles",
    METADATA,
    sa.Column("wallet", WALLET, primary_key=True, comment="EIP-55 checksum address"),
    sa.Column("display_name", sa.VARCHAR(50)),
    sa.Column(
        "public_key",
        sa.VARCHAR(88),
        nullable=False,
        comment="NaCl public key, 32 bytes in base64; empty while only the contract has seen this wallet",
    ),
    sa.Column("reputation_score", sa.NUMERIC(6, 2), nullable=False, server_default="0"),
    sa.Column("total_trades", sa.INTEGER, nullable=False, server_default="0"),
    sa.Column("total_as_buyer", sa.INTEGER, nullable=False, server_default="0"),
    sa.Column("total_as_seller", sa.INTEGER, nullable=False, server_default="0"),
    sa.Column("rating", sa.NUMERIC(3, 2), comment="Mean of the reviews, 1.00 to 5.00; null without any"),
    sa.Column("tier", TIER, nullable=False, server_default="new"),
    sa.Column("is_blacklisted", sa.BOOLEAN, nullable=False, server_default=sa.false()),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
    sa.Index("idx_users_tier", "tier"),
    sa.Index("idx_users_rating", sa.text("rating DESC NULLS LAST")),
    sa.Index("idx_users_blacklisted", "wallet", postgresql_where=sa.text("is_blacklisted = true")),
    comment="Users by wallet; nothing else is known of a person.",
)

public_keys = sa.Table(
    "public_keys",
    METADATA,
    profile_key("wallet", primary_key=True),
    sa.Column("since", MOMENT, primary_key=True, server_default=NOW),
    sa.Column("public_key", sa.VARCHAR(88), nullable=False),
    comment="Every public key that a user had (an addition: old messages stay attributable after a rotation).",
)

products = sa.Table(
    "products",
    METADATA,
    sa.Column("id", UUID, primary_key=True, server_default=RANDOM_ID),
    profile_key("seller_wallet", nullable=False),
    sa.Column("title_preview", sa.VARCHAR(100), nullable=False),
    sa.Column("description_preview", sa.VARCHAR(500), nullable=False),
    sa.Column("category", CATEGORY, nullable=False),
    sa.Column("price_usdt", MONEY, nullable=False),
    sa.Column("stock", sa.INTEGER, nullable=False, server_default="1"),
    sa.Column("total_sold", sa.INTEGER, nullable=False, server_default="0"),
    sa.Column("product_hash", HASH, nullable=False, comment="SHA-256 of the good itself; the contract holds it too"),
    sa.Column("status", PRODUCT_STATUS, nullable=False, server_default="active"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("deleted_at", MOMENT),
    # Nobody can keep a wallet from ordering on the contract directly. What comes back is first for those orders.
    sa.Column(
        "oversold",
        sa.INTEGER,
        nullable=False,
        server_default="0",
        comment="Added: orders that want a unit while there is none",
    ),
    sa.CheckConstraint("price_usdt >= 1.0", name="chk_price_min"),
    sa.CheckConstraint("stock >= 0", name="chk_stock_positive"),
    sa.CheckConstraint("total_sold >= 0", name="chk_total_sold_positive"),
    sa.CheckConstraint("oversold >= 0 AND (oversold = 0 OR stock = 0)", name="chk_oversold"),
    # The reference's indexes, with keys appended that let a page be read in its order; two were added.
    sa.Index("idx_products_seller", "seller_wallet", sa.text("created_at DESC"), sa.text("id DESC")),
    sa.Index(
        "idx_products_category",
        "category",
        sa.text("created_at DESC"),
        sa.text("id DESC"),
        "price_usdt",
        postgresql_where=ACTIVE,
    ),
    sa.Index("idx_products_price", "price_usdt", "id", postgresql_where=ACTIVE),
    sa.Index("idx_products_category_price", "category", "price_usdt", "id", postgresql_where=ACTIVE),
    sa.Index("idx_products_created", sa.text("created_at DESC"), sa.text("id DESC"), postgresql_where=ACTIVE),
    sa.Index("idx_products_sold", sa.text("total_sold DESC"), sa.text("id DESC"), postgresql_where=ACTIVE),
    sa.Index(
        "idx_products_search",
        sa.literal_column(SEARCHED).label("words"),
        sa.literal_column(BLOCKS),
        postgresql_ops={"words": "gin_trgm_ops"},
        postgresql_using="gin",
        postgresql_where=ACTIVE,
        # A list of pending entries would make some searches wait while others do not.
        postgresql_with={"fastupdate": "off"},
    ),
    sa.Index(
        "idx_products_words",
        sa.literal_column(f"escrow.words_of{SEARCHED}"),
        postgresql_using="gin",
        postgresql_where=ACTIVE,
        postgresql_with={"fastupdate": "off"},
    ),
    comment="Listings: a public preview only. The good itself never comes here.",
)

words = sa.Table(
    "words",
    METADATA,
    sa.Column("word", sa.TEXT, primary_key=True),
    sa.Index("idx_words_search", "word", postgresql_ops={"word": "gin_trgm_ops"}, postgresql_using="gin"),
    comment="Every word that a listing has ever held: a search finds here what its part of a word can stand for",
)

reservations = sa.Table(
    "reservations",
    METADATA,
    sa.Column("id", UUID, primary_key=True, comment="The order reference in the call data, and the order's id"),
    sa.Column("product_id", UUID, sa.ForeignKey("escrow.products.id"), nullable=False),
    profile_key("buyer_wallet", nullable=False),
    sa.Column("chain", CHAIN, nullable=False),
    sa.Column("token", TOKEN, nullable=False),
    sa.Column("amount", MONEY, nullable=False),
    sa.Column("platform_fee", MONEY, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("expires_at", MOMENT, nullable=False),
    sa.Column("used_at", MOMENT, comment="When the order's event arrived"),
    sa.Index("idx_reservations_product", "product_id", postgresql_where=sa.text("used_at IS NULL")),
    sa.Index("idx_reservations_product_all", "product_id"),
    sa.Index("idx_reservations_buyer", "buyer_wallet"),
    sa.Index("idx_reservations_expires", "expires_at", postgresql_where=sa.text("used_at IS NULL")),
    comment="Stock that a buyer may take in the next minutes (an addition: an order row is made by an event only).",
)

orders = sa.Table(
    "orders",
    METADATA,
    sa.Column("id", UUID, primary_key=True, server_default=RANDOM_ID),
    sa.Column("onchain_order_id", sa.BIGINT, nullable=False, comment="The contract's number; negative when orphaned"),
    sa.Column("chain", CHAIN, nullable=False),
    profile_key("buyer_wallet", nullable=False),
    profile_key("seller_wallet", nullable=False),
    profile_key("arbitrator_wallet"),
    sa.Column("product_id", UUID, sa.ForeignKey("escrow.products.id"), nullable=False),
    sa.Column("token", TOKEN, nullable=False),
    sa.Column("amount", MONEY, nullable=False),
    sa.Column("platform_fee", MONEY, nullable=False),
    sa.Column("status", ORDER_STATUS, nullable=False, server_default="created"),
    sa.Column("product_key_encrypted", sa.TEXT, comment="The good's key, sealed to the buyer's public key (base64)"),
    sa.Column("tx_hash_create", HASH, nullable=False),
    sa.Column("tx_hash_complete", HASH),
    sa.Column("seller_confirmed_at", MOMENT),
    sa.Column("dispute_opened_at", MOMENT),
    sa.Column("dispute_deadline", MOMENT),
    sa.Column("completed_at", MOMENT),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("seller_deadline", MOMENT, nullable=False, comment="Added: the contract's, for the seller to confirm"),
    sa.Column("release_deadline", MOMENT, comment="Added: the contract's, after which anyone may release"),
    sa.Column("default_deadline", MOMENT, comment="Added: the contract's, for a ruling of any arbitrator"),
    sa.Column("draw_block", sa.BIGINT, comment="Added: the contract's, after which an arbitrator may be drawn"),
    sa.Column("delivery_hash", HASH, comment="Added: what the seller confirmed on the chain"),
    sa.Column("cancelled_by", WALLET, comment="Added: only the one who cancelled is charged for it"),
    sa.Column(
        "ruled_in_conflict",
        sa.BOOLEAN,
        comment="Added: whether the arbitrator who ruled was in conflict with a party then; null while none has ruled",
    ),
    sa.Column("block_number", sa.BIGINT, nullable=False, comment="Added: of its last event, for confirmations"),
    sa.Column("is_direct", sa.BOOLEAN, nullable=False, server_default=sa.false(), comment="Added: made around the API"),
    sa.Column("orphaned_at", MOMENT, comment="Added: when a reorganisation took its creation away"),
    sa.CheckConstraint("amount >= 1.0", name="chk_amount_min"),
    sa.CheckConstraint("buyer_wallet != seller_wallet", name="chk_buyer_not_seller"),
    sa.UniqueConstraint("chain", "onchain_order_id", name="uq_onchain_order"),
    sa.Index("idx_orders_buyer", "buyer_wallet", sa.text("created_at DESC"), sa.text("id DESC")),
    sa.Index("idx_orders_seller", "seller_wallet", sa.text("created_at DESC"), sa.text("id DESC")),
    sa.Index("idx_orders_arbitrator", "arbitrator_wallet", postgresql_where=sa.text("arbitrator_wallet IS NOT NULL")),
    sa.Index("idx_orders_product", "product_id"),
    sa.Index("idx_orders_status", "status"),
    sa.Index("idx_orders_chain_status", "chain", "status"),
    sa.Index("idx_orders_created", sa.text("created_at DESC")),
    sa.Index("idx_orders_seller_timeout", "created_at", postgresql_where=sa.text("status = 'created'")),
    sa.Index(
        "idx_orders_buyer_timeout", "seller_confirmed_at", postgresql_where=sa.text("status = 'seller_confirmed'")
    ),
    comment="The mirror of the contract's orders; rows are made and moved by its events only.",
    postgresql_with={"autovacuum_vacuum_scale_factor": "0.05", "autovacuum_analyze_scale_factor": "0.02"},
)

messages = sa.Table(
    "messages",
    METADATA,
    sa.Column("id", UUID, primary_key=True, server_default=RANDOM_ID),
    sa.Column("order_id", UUID, sa.ForeignKey("escrow.orders.id", ondelete="CASCADE"), nullable=False),
    profile_key("sender_wallet", nullable=False),
    sa.Column("ciphertext", sa.TEXT, nullable=False, comment="NaCl box, base64"),
    sa.Column("nonce", sa.VARCHAR(44), nullable=False, comment="24 bytes, base64"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Index("idx_messages_order", "order_id", "created_at"),
    sa.Index("idx_messages_sender", "sender_wallet"),
    comment="End-to-end encrypted messages of an order; the server cannot read them.",
    postgresql_with={"autovacuum_vacuum_scale_factor": "0.05", "autovacuum_analyze_scale_factor": "0.02"},
)

reviews = sa.Table(
    "reviews",
    METADATA,
    sa.Column("id", UUID, primary_key=True, server_default=RANDOM_ID),
    sa.Column("order_id", UUID, sa.ForeignKey("escrow.orders.id"), nullable=False),
    profile_key("reviewer_wallet", nullable=False),
    profile_key("target_wallet", nullable=False),
    sa.Column("rating", sa.SMALLINT, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.CheckConstraint("rating BETWEEN 1 AND 5", name="chk_rating_range"),
    sa.CheckConstraint("reviewer_wallet != target_wallet", name="chk_reviewer_not_target"),
    sa.UniqueConstraint("order_id", "reviewer_wallet", name="uq_one_review_per_order"),
    sa.Index("idx_reviews_target", "target_wallet", sa.text("created_at DESC"), sa.text("id DESC")),
    sa.Index("idx_reviews_order", "order_id"),
    sa.Index("idx_reviews_reviewer", "reviewer_wallet"),
    comment="Ratings after a trade, one by each party.",
)

arbitrators = sa.Table(
    "arbitrators",
    METADATA,
    profile_key("wallet", primary_key=True),
    sa.Column("stake_amount", MONEY, nullable=False, comment="The last stake that sufficed; pool_members has today's"),
    sa.Column("stake_token", WALLET, nullable=False, comment="The token's contract"),
    sa.Column("reputation", sa.SMALLINT, nullable=False, server_default="50", comment="The contract's, 0 to 100"),
    sa.Column("total_resolved", sa.INTEGER, nullable=False, server_default="0"),
    sa.Column("total_earned", MONEY, nullable=False, server_default="0"),
    sa.Column("is_active", sa.BOOLEAN, nullable=False, server_default=sa.true()),
    sa.Column("registered_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
    sa.CheckConstraint("reputation BETWEEN 0 AND 100", name="chk_reputation_range"),
    sa.CheckConstraint("stake_amount >= 500.0", name="chk_stake_min"),
    sa.Index(
        "idx_arbitrators_newest",
        sa.text("registered_at DESC"),
        sa.text("wallet DESC"),
        postgresql_where=sa.text("is_active"),
    ),
    comment="Who arbitrates, a wallet a row: of its pools the one where it counts most, with the counts of all.",
)

pool_members = sa.Table(
    "pool_members",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    profile_key("wallet", primary_key=True),
    sa.Column("stake_amount", MONEY, nullable=False, comment="As the pool has it: 0 once withdrawn, less after a miss"),
    sa.Column("pledged", MONEY, nullable=False, comment="The last stake of at least 500"),
    sa.Column("stake_token", WALLET, nullable=False, comment="The token's contract"),
    sa.Column("reputation", sa.SMALLINT, nullable=False, comment="The pool's, 0 to 100"),
    sa.Column("assigned", sa.INTEGER, nullable=False, comment="Open disputes that wait for its ruling"),
    sa.Column("total_resolved", sa.INTEGER, nullable=False),
    sa.Column("is_active", sa.BOOLEAN, nullable=False, comment="Can be drawn"),
    sa.Column("registered_at", MOMENT, nullable=False, comment="When it joined last"),
    sa.Column("updated_at", MOMENT, nullable=False),
    sa.CheckConstraint("reputation BETWEEN 0 AND 100", name="chk_member_reputation_range"),
    sa.CheckConstraint("pledged >= 500.0", name="chk_member_pledged_min"),
    sa.Index("idx_pool_members_wallet", "wallet"),
    comment="The mirror of each chain's pool (an addition: a wallet may be in several, and hold less than 500).",
)

dispute_evidence = sa.Table(
    "dispute_evidence",
    METADATA,
    sa.Column("id", UUID, primary_key=True, server_default=RANDOM_ID),
    sa.Column("order_id", UUID, sa.ForeignKey("escrow.orders.id"), nullable=False),
    profile_key("submitter_wallet", nullable=False),
    sa.Column("ipfs_hash", sa.VARCHAR(100), nullable=False, comment="CID of the encrypted payload"),
    sa.Column("evidence_type", EVIDENCE_TYPE, nullable=False, server_default="other"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("block_number", sa.BIGINT, nullable=False, comment="Added: of its event, to undo what the chain undoes"),
    sa.UniqueConstraint("order_id", "submitter_wallet", "ipfs_hash", name="uq_evidence_once"),
    sa.Index("idx_evidence_order", "order_id"),
    sa.Index("idx_evidence_submitter", "submitter_wallet"),
    comment="Encrypted evidence on record at the contract; only the parties and the arbitrator can read it.",
)

evidence_uploads = sa.Table(
    "evidence_uploads",
    METADATA,
    sa.Column("order_id", UUID, sa.ForeignKey("escrow.orders.id"), primary_key=True),
    sa.Column("submitter_wallet", WALLET, sa.ForeignKey("escrow.user_profiles.wallet"), primary_key=True),
    sa.Column("ipfs_hash", sa.VARCHAR(100), primary_key=True, comment="CID of the encrypted payload"),
    sa.Column("evidence_type", EVIDENCE_TYPE, nullable=False),
    profile_key("arbitrator_wallet", nullable=False, comment="Whom it is sealed to, beside the parties"),
    sa.Column("size", sa.INTEGER, nullable=False, comment="Bytes of the payload"),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    sa.Index("idx_evidence_uploads_submitter", "submitter_wallet"),
    sa.Index("idx_evidence_uploads_arbitrator", "arbitrator_wallet"),
    comment="Evidence that was handed in here (an addition: on record is only what the contract's events say).",
)

blacklist = sa.Table(
    "blacklist",
    METADATA,
    sa.Column("wallet", WALLET, primary_key=True),
    sa.Column("reason", sa.VARCHAR(200), nullable=False),
    sa.Column("source", sa.VARCHAR(50), nullable=False, server_default="manual", comment="manual, community, tornado"),
    sa.Column("added_by", WALLET),
    sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
    comment="Wallets that may not trade here.",
)

event_sync_cursor = sa.Table(
    "event_sync_cursor",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("contract", WALLET, primary_key=True, comment="Two contracts a chain, so both are the key"),
    sa.Column("last_block", sa.BIGINT, nullable=False),
    sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
    sa.Column("last_hash", HASH, nullable=False, comment="Added: tells a reorganisation"),
    sa.Column("last_block_at", MOMENT, nullable=False, comment="Added: the chain's own time, which deadlines go by"),
    comment="How far each contract's events are mirrored.",
)

contract_events = sa.Table(
    "contract_events",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("contract", WALLET, primary_key=True),
    sa.Column("block_number", sa.BIGINT, primary_key=True),
    sa.Column("log_index", sa.INTEGER, primary_key=True),
    sa.Column("block_hash", HASH, nullable=False),
    sa.Column("block_at", MOMENT, nullable=False),
    sa.Column("tx_hash", HASH, nullable=False),
    sa.Column("name", sa.VARCHAR(50), nullable=False),
    sa.Column("onchain_order_id", sa.BIGINT, comment="Null for events that concern no order"),
    sa.Column("arbitrator_wallet", WALLET, comment="Whom in the pool the event concerns; null for those of the escrow"),
    sa.Column("fields", JSONB, nullable=False),
    sa.Index("idx_contract_events_order", "chain", "contract", "onchain_order_id", "block_number", "log_index"),
    sa.Index(
        "idx_contract_events_arbitrator",
        "chain",
        "contract",
        "arbitrator_wallet",
        "block_number",
        "log_index",
        postgresql_where=sa.text("arbitrator_wallet IS NOT NULL"),
    ),
    comment="Every event of the contracts as it was read (an addition: the mirror is folded from these).",
)

-- The nine tables of the reference, and what was added to them.

CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;

CREATE TYPE escrow.chain_type AS ENUM ('bsc', 'ethereum', 'arbitrum', 'base');

CREATE TYPE escrow.user_tier AS ENUM ('new', 'standard', 'trusted');

CREATE TYPE escrow.product_category AS ENUM ('data', 'accounts', 'tools', 'services', 'other');

CREATE TYPE escrow.product_status AS ENUM ('active', 'paused', 'sold_out', 'deleted');

CREATE TYPE escrow.token_type AS ENUM ('USDT', 'USDC');

CREATE TYPE escrow.order_status AS ENUM ('created', 'seller_confirmed', 'completed', 'disputed', 'resolved_buyer', 'resolved_seller', 'cancelled', 'expired');

CREATE TYPE escrow.evidence_type AS ENUM ('screenshot', 'conversation', 'product_proof', 'other');

CREATE TABLE escrow.blacklist (
    wallet VARCHAR(42) NOT NULL,
    reason VARCHAR(200) NOT NULL,
    source VARCHAR(50) DEFAULT 'manual' NOT NULL,
    added_by VARCHAR(42),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (wallet)
);

COMMENT ON TABLE escrow.blacklist IS 'Wallets that may not trade here.';

COMMENT ON COLUMN escrow.blacklist.source IS 'manual, community, tornado';

CREATE TABLE escrow.contract_events (
    chain escrow.chain_type NOT NULL,
    contract VARCHAR(42) NOT NULL,
    block_number BIGINT NOT NULL,
    log_index INTEGER NOT NULL,
    block_hash VARCHAR(66) NOT NULL,
    block_at TIMESTAMP WITH TIME ZONE NOT NULL,
    tx_hash VARCHAR(66) NOT NULL,
    name VARCHAR(50) NOT NULL,
    onchain_order_id BIGINT,
    arbitrator_wallet VARCHAR(42),
    fields JSONB NOT NULL,
    PRIMARY KEY (chain, contract, block_number, log_index)
);

CREATE INDEX idx_contract_events_arbitrator ON escrow.contract_events (chain, contract, arbitrator_wallet, block_number, log_index) WHERE arbitrator_wallet IS NOT NULL;

CREATE INDEX idx_contract_events_order ON escrow.contract_events (chain, contract, onchain_order_id, block_number, log_index);

COMMENT ON TABLE escrow.contract_events IS 'Every event of the contracts as it was read (an addition: the mirror is folded from these).';

COMMENT ON COLUMN escrow.contract_events.onchain_order_id IS 'Null for events that concern no order';

COMMENT ON COLUMN escrow.contract_events.arbitrator_wallet IS 'Whom in the pool the event concerns; null for those of the escrow';

CREATE TABLE escrow.event_sync_cursor (
    chain escrow.chain_type NOT NULL,
    contract VARCHAR(42) NOT NULL,
    last_block BIGINT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_hash VARCHAR(66) NOT NULL,
    last_block_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (chain, contract)
);

COMMENT ON TABLE escrow.event_sync_cursor IS 'How far each contract''s events are mirrored.';

COMMENT ON COLUMN escrow.event_sync_cursor.contract IS 'Two contracts a chain, so both are the key';

COMMENT ON COLUMN escrow.event_sync_cursor.last_hash IS 'Added: tells a reorganisation';

COMMENT ON COLUMN escrow.event_sync_cursor.last_block_at IS 'Added: the chain''s own time, which deadlines go by';

CREATE TABLE escrow.user_profiles (
    wallet VARCHAR(42) NOT NULL,
    display_name VARCHAR(50),
    public_key VARCHAR(88) NOT NULL,
    reputation_score NUMERIC(6, 2) DEFAULT '0' NOT NULL,
    total_trades INTEGER DEFAULT '0' NOT NULL,
    total_as_buyer INTEGER DEFAULT '0' NOT NULL,
    total_as_seller INTEGER DEFAULT '0' NOT NULL,
    rating NUMERIC(3, 2),
    tier escrow.user_tier DEFAULT 'new' NOT NULL,
    is_blacklisted BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (wallet)
);

CREATE INDEX idx_users_blacklisted ON escrow.user_profiles (wallet) WHERE is_blacklisted = true;

CREATE INDEX idx_users_rating ON escrow.user_profiles (rating DESC NULLS LAST);

CREATE INDEX idx_users_tier ON escrow.user_profiles (tier);

COMMENT ON TABLE escrow.user_profiles IS 'Users by wallet; nothing else is known of a person.';

COMMENT ON COLUMN escrow.user_profiles.wallet IS 'EIP-55 checksum address';

COMMENT ON COLUMN escrow.user_profiles.public_key IS 'NaCl public key, 32 bytes in base64; empty while only the contract has seen this wallet';

COMMENT ON COLUMN escrow.user_profiles.rating IS 'Mean of the reviews, 1.00 to 5.00; null without any';

CREATE TABLE escrow.arbitrators (
    wallet VARCHAR(42) NOT NULL,
    stake_amount NUMERIC(18, 6) NOT NULL,
    stake_token VARCHAR(42) NOT NULL,
    reputation SMALLINT DEFAULT '50' NOT NULL,
    total_resolved INTEGER DEFAULT '0' NOT NULL,
    total_earned NUMERIC(18, 6) DEFAULT '0' NOT NULL,
    is_active BOOLEAN DEFAULT true NOT NULL,
    registered_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (wallet),
    CONSTRAINT chk_reputation_range CHECK (reputation BETWEEN 0 AND 100),
    CONSTRAINT chk_stake_min CHECK (stake_amount >= 500.0),
    FOREIGN KEY(wallet) REFERENCES escrow.user_profiles (wallet)
);

CREATE INDEX idx_arbitrators_newest ON escrow.arbitrators (registered_at DESC, wallet DESC) WHERE is_active;

COMMENT ON TABLE escrow.arbitrators IS 'Who arbitrates, a wallet a row: of its pools the one where it counts most, with the counts of all.';

COMMENT ON COLUMN escrow.arbitrators.stake_amount IS 'The last stake that sufficed; pool_members has today''s';

COMMENT ON COLUMN escrow.arbitrators.stake_token IS 'The token''s contract';

COMMENT ON COLUMN escrow.arbitrators.reputation IS 'The contract''s, 0 to 100';

-- The reference's check on arbitrators stays: what a pool may say below 500 stands here.
CREATE TABLE escrow.pool_members (
    chain escrow.chain_type NOT NULL,
    wallet VARCHAR(42) NOT NULL,
    stake_amount NUMERIC(18, 6) NOT NULL,
    pledged NUMERIC(18, 6) NOT NULL,
    stake_token VARCHAR(42) NOT NULL,
    reputation SMALLINT NOT NULL,
    assigned INTEGER NOT NULL,
    total_resolved INTEGER NOT NULL,
    is_active BOOLEAN NOT NULL,
    registered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (chain, wallet),
    CONSTRAINT chk_member_reputation_range CHECK (reputation BETWEEN 0 AND 100),
    CONSTRAINT chk_member_pledged_min CHECK (pledged >= 500.0),
    FOREIGN KEY(wallet) REFERENCES escrow.user_profiles (wallet)
);

CREATE INDEX idx_pool_members_wallet ON escrow.pool_members (wallet);

COMMENT ON TABLE escrow.pool_members IS 'The mirror of each chain''s pool (an addition: a wallet may be in several, and hold less than 500).';

COMMENT ON COLUMN escrow.pool_members.stake_amount IS 'As the pool has it: 0 once withdrawn, less after a miss';

COMMENT ON COLUMN escrow.pool_members.pledged IS 'The last stake of at least 500';

COMMENT ON COLUMN escrow.pool_members.stake_token IS 'The token''s contract';

COMMENT ON COLUMN escrow.pool_members.reputation IS 'The pool''s, 0 to 100';

COMMENT ON COLUMN escrow.pool_members.assigned IS 'Open disputes that wait for its ruling';

COMMENT ON COLUMN escrow.pool_members.is_active IS 'Can be drawn';

COMMENT ON COLUMN escrow.pool_members.registered_at IS 'When it joined last';

CREATE TABLE escrow.products (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    seller_wallet VARCHAR(42) NOT NULL,
    title_preview VARCHAR(100) NOT NULL,
    description_preview VARCHAR(500) NOT NULL,
    category escrow.product_category NOT NULL,
    price_usdt NUMERIC(18, 6) NOT NULL,
    stock INTEGER DEFAULT '1' NOT NULL,
    total_sold INTEGER DEFAULT '0' NOT NULL,
    product_hash VARCHAR(66) NOT NULL,
    status escrow.product_status DEFAULT 'active' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    oversold INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT chk_price_min CHECK (price_usdt >= 1.0),
    CONSTRAINT chk_stock_positive CHECK (stock >= 0),
    CONSTRAINT chk_total_sold_positive CHECK (total_sold >= 0),
    CONSTRAINT chk_oversold CHECK (oversold >= 0 AND (oversold = 0 OR stock = 0)),
    FOREIGN KEY(seller_wallet) REFERENCES escrow.user_profiles (wallet)
);

CREATE INDEX idx_products_category ON escrow.products (category, created_at DESC, id DESC, price_usdt) WHERE status = 'active';

CREATE INDEX idx_products_category_price ON escrow.products (category, price_usdt, id) WHERE status = 'active';

CREATE INDEX idx_products_created ON escrow.products (created_at DESC, id DESC) WHERE status = 'active';

CREATE INDEX idx_products_price ON escrow.products (price_usdt, id) WHERE status = 'active';

CREATE INDEX idx_products_search ON escrow.products USING gin (
    (title_preview || ' ' || description_preview) gin_trgm_ops,
    (ARRAY[
        ((created_at AT TIME ZONE 'UTC')::date - DATE '2000-01-01') / 32,
        ((created_at AT TIME ZONE 'UTC')::date - DATE '2000-01-01') / 256 + 1000000
    ])
) WITH (fastupdate = off) WHERE status = 'active';

CREATE FUNCTION escrow.words_of(text TEXT) RETURNS TEXT[] IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql
RETURN array_remove(regexp_split_to_array(lower(text), '[^[:alnum:]]+'), '');

COMMENT ON FUNCTION escrow.words_of IS 'The runs of letters and digits of a text, in lower case';

REVOKE ALL ON FUNCTION escrow.words_of FROM PUBLIC;

CREATE INDEX idx_products_words ON escrow.products USING gin (
    escrow.words_of(title_preview || ' ' || description_preview)
) WITH (fastupdate = off) WHERE status = 'active';

CREATE TABLE escrow.words (
    word TEXT NOT NULL,
    PRIMARY KEY (word)
);

CREATE INDEX idx_words_search ON escrow.words USING gin (word gin_trgm_ops);

COMMENT ON TABLE escrow.words IS 'Every word that a listing has ever held: a search finds here what its part of a word can stand for';

CREATE FUNCTION escrow.note_words() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    -- In order, so that two that write the same new words wait for each other and never in a circle.
    INSERT INTO escrow.words
    SELECT DISTINCT unnest(escrow.words_of(new.title_preview || ' ' || new.description_preview)) ORDER BY 1
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

REVOKE ALL ON FUNCTION escrow.note_words FROM PUBLIC;

CREATE TRIGGER note_words AFTER INSERT OR UPDATE OF title_preview, description_preview ON escrow.products
FOR EACH ROW EXECUTE FUNCTION escrow.note_words();

CREATE INDEX idx_products_seller ON escrow.products (seller_wallet, created_at DESC, id DESC);

CREATE INDEX idx_products_sold ON escrow.products (total_sold DESC, id DESC) WHERE status = 'active';

-- With a hundred buckets the planner expects thousands of listings in a range of prices that holds a few.
ALTER TABLE escrow.products ALTER price_usdt SET STATISTICS 1000;

COMMENT ON TABLE escrow.products IS 'Listings: a public preview only. The good itself never comes here.';

COMMENT ON COLUMN escrow.products.product_hash IS 'SHA-256 of the good itself; the contract holds it too';

COMMENT ON COLUMN escrow.products.oversold IS 'Added: orders that want a unit while there is none';

CREATE TABLE escrow.public_keys (
    wallet VARCHAR(42) NOT NULL,
    since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    public_key VARCHAR(88) NOT NULL,
    PRIMARY KEY (wallet, since),
    FOREIGN KEY(wallet) REFERENCES escrow.user_profiles (wallet)
);

COMMENT ON TABLE escrow.public_keys IS 'Every public key that a user had (an addition: old messages stay attributable after a rotation).';

CREATE TABLE escrow.orders (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    onchain_order_id BIGINT NOT NULL,
    chain escrow.chain_type NOT NULL,
    buyer_wallet VARCHAR(42) NOT NULL,
    seller_wallet VARCHAR(42) NOT NULL,
    arbitrator_wallet VARCHAR(42),
    product_id UUID NOT NULL,
    token escrow.token_type NOT NULL,
    amount NUMERIC(18, 6) NOT NULL,
    platform_fee NUMERIC(18, 6) NOT NULL,
    status escrow.order_status DEFAULT 'created' NOT NULL,
    product_key_encrypted TEXT,
    tx_hash_create VARCHAR(66) NOT NULL,
    tx_hash_complete VARCHAR(66),
    seller_confirmed_at TIMESTAMP WITH TIME ZONE,
    dispute_opened_at TIMESTAMP WITH TIME ZONE,
    dispute_deadline TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    seller_deadline TIMESTAMP WITH TIME ZONE NOT NULL,
    release_deadline TIMESTAMP WITH TIME ZONE,
    default_deadline TIMESTAMP WITH TIME ZONE,
    draw_block BIGINT,
    delivery_hash VARCHAR(66),
    cancelled_by VARCHAR(42),
    ruled_in_conflict BOOLEAN,
    block_number BIGINT NOT NULL,
    is_direct BOOLEAN DEFAULT false NOT NULL,
    orphaned_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT chk_amount_min CHECK (amount >= 1.0),
    CONSTRAINT chk_buyer_not_seller CHECK (buyer_wallet != seller_wallet),
    CONSTRAINT uq_onchain_order UNIQUE (chain, onchain_order_id),
    FOREIGN KEY(buyer_wallet) REFERENCES escrow.user_profiles (wallet),
    FOREIGN KEY(seller_wallet) REFERENCES escrow.user_profiles (wallet),
    FOREIGN KEY(arbitrator_wallet) REFERENCES escrow.user_profiles (wallet),
    FOREIGN KEY(product_id) REFERENCES escrow.products (id)
)
 WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX idx_orders_arbitrator ON escrow.orders (arbitrator_wallet) WHERE arbitrator_wallet IS NOT NULL;

CREATE INDEX idx_orders_buyer ON escrow.orders (buyer_wallet, created_at DESC, id DESC);

CREATE INDEX idx_orders_buyer_timeout ON escrow.orders (seller_confirmed_at) WHERE status = 'seller_confirmed';

CREATE INDEX idx_orders_chain_status ON escrow.orders (chain, status);

CREATE INDEX idx_orders_created ON escrow.orders (created_at DESC);

CREATE INDEX idx_orders_product ON escrow.orders (product_id);

CREATE INDEX idx_orders_seller ON escrow.orders (seller_wallet, created_at DESC, id DESC);

CREATE INDEX idx_orders_seller_timeout ON escrow.orders (created_at) WHERE status = 'created';

CREATE INDEX idx_orders_status ON escrow.orders (status);

COMMENT ON TABLE escrow.orders IS 'The mirror of the contract''s orders; rows are made and moved by its events only.';

COMMENT ON COLUMN escrow.orders.onchain_order_id IS 'The contract''s number; negative when orphaned';

COMMENT ON COLUMN escrow.orders.product_key_encrypted IS 'The good''s key, sealed to the buyer''s public key (base64)';

COMMENT ON COLUMN escrow.orders.seller_deadline IS 'Added: the contract''s, for the seller to confirm';

COMMENT ON COLUMN escrow.orders.release_deadline IS 'Added: the contract''s, after which anyone may release';

COMMENT ON COLUMN escrow.orders.default_deadline IS 'Added: the contract''s, for a ruling of any arbitrator';

COMMENT ON COLUMN escrow.orders.draw_block IS 'Added: the contract''s, after which an arbitrator may be drawn';

COMMENT ON COLUMN escrow.orders.delivery_hash IS 'Added: what the seller confirmed on the chain';

COMMENT ON COLUMN escrow.orders.cancelled_by IS 'Added: only the one who cancelled is charged for it';

COMMENT ON COLUMN escrow.orders.ruled_in_conflict IS 'Added: whether the arbitrator who ruled was in conflict with a party then; null while none has ruled';

COMMENT ON COLUMN escrow.orders.block_number IS 'Added: of its last event, for confirmations';

COMMENT ON COLUMN escrow.orders.is_direct IS 'Added: made around the API';

COMMENT ON COLUMN escrow.orders.orphaned_at IS 'Added: when a reorganisation took its creation away';

CREATE TABLE escrow.reservations (
    id UUID NOT NULL,
    product_id UUID NOT NULL,
    buyer_wallet VARCHAR(42) NOT NULL,
    chain escrow.chain_type NOT NULL,
    token escrow.token_type NOT NULL,
    amount NUMERIC(18, 6) NOT NULL,
    platform_fee NUMERIC(18, 6) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(product_id) REFERENCES escrow.products (id),
    FOREIGN KEY(buyer_wallet) REFERENCES escrow.user_profiles (wallet)
);

CREATE INDEX idx_reservations_buyer ON escrow.reservations (buyer_wallet);

CREATE INDEX idx_reservations_expires ON escrow.reservations (expires_at) WHERE used_at IS NULL;

CREATE INDEX idx_reservations_product ON escrow.reservations (product_id) WHERE used_at IS NULL;

CREATE INDEX idx_reservations_product_all ON escrow.reservations (product_id);

COMMENT ON TABLE escrow.reservations IS 'Stock that a buyer may take in the next minutes (an addition: an order row is made by an event only).';

COMMENT ON COLUMN escrow.reservations.id IS 'The order reference in the call data, and the order''s id';

COMMENT ON COLUMN escrow.reservations.used_at IS 'When the order''s event arrived';

CREATE TABLE escrow.dispute_evidence (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    order_id UUID NOT NULL,
    submitter_wallet VARCHAR(42) NOT NULL,
    ipfs_hash VARCHAR(100) NOT NULL,
    evidence_type escrow.evidence_type DEFAULT 'other' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    block_number BIGINT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_evidence_once UNIQUE (order_id, submitter_wallet, ipfs_hash),
    FOREIGN KEY(order_id) REFERENCES escrow.orders (id),
    FOREIGN KEY(submitter_wallet) REFERENCES escrow.user_profiles (wallet)
);

CREATE INDEX idx_evidence_order ON escrow.dispute_evidence (order_id);

CREATE INDEX idx_evidence_submitter ON escrow.dispute_evidence (submitter_wallet);

COMMENT ON TABLE escrow.dispute_evidence IS 'Encrypted evidence on record at the contract; only the parties and the arbitrator can read it.';

COMMENT ON COLUMN escrow.dispute_evidence.ipfs_hash IS 'CID of the encrypted payload';

COMMENT ON COLUMN escrow.dispute_evidence.block_number IS 'Added: of its event, to undo what the chain undoes';

CREATE TABLE escrow.evidence_uploads (
    order_id UUID NOT NULL,
    submitter_wallet VARCHAR(42) NOT NULL,
    ipfs_hash VARCHAR(100) NOT NULL,
    evidence_type escrow.evidence_type NOT NULL,
    arbitrator_wallet VARCHAR(42) NOT NULL,
    size INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (order_id, submitter_wallet, ipfs_hash),
    FOREIGN KEY(order_id) REFERENCES escrow.orders (id),
    FOREIGN KEY(submitter_wallet) REFERENCES escrow.user_profiles (wallet),
    FOREIGN KEY(arbitrator_wallet) REFERENCES escrow.user_profiles (wallet)
);

CREATE INDEX idx_evidence_uploads_arbitrator ON escrow.evidence_uploads (arbitrator_wallet);

CREATE INDEX idx_evidence_uploads_submitter ON escrow.evidence_uploads (submitter_wallet);

COMMENT ON TABLE escrow.evidence_uploads IS 'Evidence that was handed in here (an addition: on record is only what the contract''s events say).';

COMMENT ON COLUMN escrow.evidence_uploads.ipfs_hash IS 'CID of the encrypted payload';

COMMENT ON COLUMN escrow.evidence_uploads.arbitrator_wallet IS 'Whom it is sealed to, beside the parties';

COMMENT ON COLUMN escrow.evidence_uploads.size IS 'Bytes of the payload';

CREATE TABLE escrow.messages (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    order_id UUID NOT NULL,
    sender_wallet VARCHAR(42) NOT NULL,
    ciphertext TEXT NOT NULL,
    nonce VARCHAR(44) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(order_id) REFERENCES escrow.orders (id) ON DELETE CASCADE,
    FOREIGN KEY(sender_wallet) REFERENCES escrow.user_profiles (wallet)
)
 WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX idx_messages_order ON escrow.messages (order_id, created_at);

CREATE INDEX idx_messages_sender ON escrow.messages (sender_wallet);

COMMENT ON TABLE escrow.messages IS 'End-to-end encrypted messages of an order; the server cannot read them.';

COMMENT ON COLUMN escrow.messages.ciphertext IS 'NaCl box, base64';

COMMENT ON COLUMN escrow.messages.nonce IS '24 bytes, base64';

CREATE TABLE escrow.reviews (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    order_id UUID NOT NULL,
    reviewer_wallet VARCHAR(42) NOT NULL,
    target_wallet VARCHAR(42) NOT NULL,
    rating SMALLINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT chk_rating_range CHECK (rating BETWEEN 1 AND 5),
    CONSTRAINT chk_reviewer_not_target CHECK (reviewer_wallet != target_wallet),
    CONSTRAINT uq_one_review_per_order UNIQUE (order_id, reviewer_wallet),
    FOREIGN KEY(order_id) REFERENCES escrow.orders (id),
    FOREIGN KEY(reviewer_wallet) REFERENCES escrow.user_profiles (wallet),
    FOREIGN KEY(target_wallet) REFERENCES escrow.user_profiles (wallet)
);

CREATE INDEX idx_reviews_order ON escrow.reviews (order_id);

CREATE INDEX idx_reviews_reviewer ON escrow.reviews (reviewer_wallet);

CREATE INDEX idx_reviews_target ON escrow.reviews (target_wallet, created_at DESC, id DESC);

COMMENT ON TABLE escrow.reviews IS 'Ratings after a trade, one by each party.';

CREATE SEQUENCE escrow.orphan_numbers AS BIGINT INCREMENT -1 MAXVALUE -1 START -1;

COMMENT ON SEQUENCE escrow.orphan_numbers IS 'Numbers for orders that the chain took back';

-- The one way in which an event may go: the server's role has no DELETE on the table.
CREATE FUNCTION escrow.remove_events_above(of_chain escrow.chain_type, of_contract VARCHAR, above BIGINT)
RETURNS TABLE (order_id BIGINT, arbitrator VARCHAR) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    WITH gone AS (
        DELETE FROM escrow.contract_events
        WHERE chain = of_chain AND contract = of_contract AND block_number > above
        RETURNING onchain_order_id, arbitrator_wallet
    )
    SELECT DISTINCT onchain_order_id, arbitrator_wallet FROM gone
$$;

REVOKE ALL ON FUNCTION escrow.remove_events_above FROM PUBLIC;

COMMENT ON FUNCTION escrow.remove_events_above IS 'Undoes what a reorganisation undid; tells the orders and the arbitrators it touched';

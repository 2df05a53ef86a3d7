-- The kernel's own tables.

CREATE TABLE core.chain_accounts (
    chain VARCHAR(20) NOT NULL,
    address VARCHAR(42) NOT NULL,
    next_nonce BIGINT NOT NULL,
    PRIMARY KEY (chain, address),
    CONSTRAINT chk_chain_accounts_nonce CHECK (next_nonce >= 0)
);

COMMENT ON TABLE core.chain_accounts IS 'The nonce that the next transaction of each sending account takes.';

CREATE TABLE core.chain_transactions (
    id UUID NOT NULL,
    chain VARCHAR(20) NOT NULL,
    sender VARCHAR(42) NOT NULL,
    nonce BIGINT NOT NULL,
    purpose VARCHAR(200) NOT NULL,
    recipient VARCHAR(42) NOT NULL,
    data BYTEA NOT NULL,
    gas BIGINT NOT NULL,
    max_fee NUMERIC(78, 0) NOT NULL,
    max_tip NUMERIC(78, 0) NOT NULL,
    hashes VARCHAR(66)[] NOT NULL,
    state VARCHAR(10) NOT NULL,
    error TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT chk_chain_transactions_state CHECK (state IN ('open', 'mined', 'reverted', 'dropped')),
    CONSTRAINT uq_chain_transactions_nonce UNIQUE (chain, sender, nonce)
);

CREATE UNIQUE INDEX uq_chain_transactions_open_purpose ON core.chain_transactions (chain, purpose) WHERE state = 'open';

COMMENT ON TABLE core.chain_transactions IS 'Every transaction that this server signs, written before it is sent.';

COMMENT ON COLUMN core.chain_transactions.purpose IS 'Why it is sent; sent once while one is open';

COMMENT ON COLUMN core.chain_transactions.max_fee IS 'Wei per gas, of the last attempt';

COMMENT ON COLUMN core.chain_transactions.max_tip IS 'Wei per gas, of the last attempt';

COMMENT ON COLUMN core.chain_transactions.hashes IS 'Of every attempt, oldest first';

CREATE TABLE core.contracts (
    chain VARCHAR(20) NOT NULL,
    name VARCHAR(50) NOT NULL,
    address VARCHAR(42) NOT NULL,
    decimals SMALLINT,
    block BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (chain, name),
    CONSTRAINT chk_contracts_decimals CHECK (decimals BETWEEN 6 AND 18)
);

COMMENT ON TABLE core.contracts IS 'Where this market''s contracts and tokens are, on each chain.';

COMMENT ON COLUMN core.contracts.name IS 'An artefact''s name, or a token''s symbol';

COMMENT ON COLUMN core.contracts.decimals IS 'Of a token; null for any other contract';

COMMENT ON COLUMN core.contracts.block IS 'Where it was deployed; its logs begin here';

CREATE TABLE core.cron_ticks (
    task VARCHAR(100) NOT NULL,
    tick TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    error TEXT,
    PRIMARY KEY (task, tick)
);

CREATE INDEX idx_cron_ticks_started ON core.cron_ticks (started_at);

COMMENT ON TABLE core.cron_ticks IS 'One row for each run of a task: whichever worker inserts it runs it.';

CREATE TABLE core.idempotency_keys (
    wallet VARCHAR(42) NOT NULL,
    key VARCHAR(255) NOT NULL,
    input_hash BYTEA NOT NULL,
    status SMALLINT,
    answer BYTEA,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (wallet, key)
);

CREATE INDEX idx_idempotency_keys_created ON core.idempotency_keys (created_at);

COMMENT ON TABLE core.idempotency_keys IS 'The answer of every command that carried a key, kept in that command''s own transaction.';

COMMENT ON COLUMN core.idempotency_keys.input_hash IS 'SHA-256 of route, path and input';

COMMENT ON COLUMN core.idempotency_keys.status IS 'Null only inside the transaction that makes the answer';

CREATE TABLE core.leases (
    name VARCHAR(200) NOT NULL,
    owner UUID NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (name)
);

COMMENT ON TABLE core.leases IS 'What one process at a time may do; anyone may take a lease that has expired.';

CREATE TABLE core.secrets (
    name VARCHAR(100) NOT NULL,
    sealed BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (name)
);

COMMENT ON TABLE core.secrets IS 'Sealed secrets of the server itself, such as the keeper''s key.';

COMMENT ON COLUMN core.secrets.sealed IS 'AES-256-GCM, the id of its key in front';

CREATE TABLE core.sessions (
    token_hash BYTEA NOT NULL,
    wallet VARCHAR(42) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (token_hash)
);

CREATE INDEX idx_sessions_expires ON core.sessions (expires_at);

CREATE INDEX idx_sessions_wallet ON core.sessions (wallet);

COMMENT ON TABLE core.sessions IS 'Who is signed in. A session ends when its row goes.';

COMMENT ON COLUMN core.sessions.token_hash IS 'SHA-256 of the token; the token itself is nowhere';

CREATE TABLE core.sign_in_nonces (
    nonce VARCHAR(64) NOT NULL,
    wallet VARCHAR(42) NOT NULL,
    issued_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (nonce)
);

CREATE INDEX idx_sign_in_nonces_expires ON core.sign_in_nonces (expires_at);

COMMENT ON TABLE core.sign_in_nonces IS 'Nonces that were given out and not used yet; using one deletes its row.';


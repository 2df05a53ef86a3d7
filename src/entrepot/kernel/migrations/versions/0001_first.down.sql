-- Takes back 0001_first.up.sql.

DROP TABLE core.sign_in_nonces;

DROP TABLE core.sessions;

DROP TABLE core.secrets;

DROP TABLE core.leases;

DROP TABLE core.idempotency_keys;

DROP TABLE core.cron_ticks;

DROP TABLE core.contracts;

DROP TABLE core.chain_transactions;

DROP TABLE core.chain_accounts;

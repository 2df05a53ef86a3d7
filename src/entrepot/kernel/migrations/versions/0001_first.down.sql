-- Takes back 0001_first.up.sql.

DROP FUNCTION core.replication();

DROP FUNCTION core.activity();

DROP TABLE core.notices;

DROP TABLE core.incidents;

DROP FUNCTION core.drop_partition(UUID);

DROP FUNCTION core.freeze_partition(UUID);

DROP FUNCTION core.partitions_of(TEXT);

DROP FUNCTION core.time_of_id(UUID);

DROP FUNCTION core.least_id(TIMESTAMP WITH TIME ZONE);

DROP FUNCTION core.add_partition(TEXT, TEXT, TEXT, TIMESTAMP WITH TIME ZONE, TIMESTAMP WITH TIME ZONE);

DROP TABLE core.system_metrics;

DROP TABLE core.archives;

DROP TABLE core.sign_in_nonces;

DROP TABLE core.sessions;

DROP TABLE core.secrets;

DROP TABLE core.backup_proofs;

DROP TABLE core.backups;

DROP TABLE core.outbox;

DROP FUNCTION core.raise_outbox_floor();

DROP TABLE core.outbox_floor;

DROP TABLE core.leases;

DROP TABLE core.idempotency_keys;

DROP TABLE core.cron_ticks;

DROP TABLE core.contracts;

DROP TABLE core.chain_transactions;

DROP TABLE core.chain_accounts;

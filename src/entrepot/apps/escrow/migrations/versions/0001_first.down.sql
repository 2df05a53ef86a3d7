-- Takes back 0001_first.up.sql.

DROP FUNCTION escrow.remove_events_above;

DROP SEQUENCE escrow.orphan_numbers;

DROP TABLE escrow.reviews;

DROP TABLE escrow.messages;

DROP TABLE escrow.evidence_uploads;

DROP TABLE escrow.dispute_evidence;

DROP TABLE escrow.reservations;

DROP TABLE escrow.orders;

DROP TABLE escrow.public_keys;

DROP TABLE escrow.products;

DROP TABLE escrow.words;

DROP FUNCTION escrow.note_words;

DROP FUNCTION escrow.words_of;

DROP TABLE escrow.pool_members;

DROP TABLE escrow.arbitrators;

DROP TABLE escrow.user_profiles;

DROP TABLE escrow.event_sync_cursor;

DROP TABLE escrow.contract_events;

DROP TABLE escrow.blacklist;

DROP TYPE escrow.chain_type;

DROP TYPE escrow.user_tier;

DROP TYPE escrow.product_category;

DROP TYPE escrow.product_status;

DROP TYPE escrow.token_type;

DROP TYPE escrow.order_status;

DROP TYPE escrow.evidence_type;

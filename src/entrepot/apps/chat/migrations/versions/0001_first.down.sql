-- Takes back 0001_first.up.sql.

DROP TABLE chat.one_time_keys;

DROP TABLE chat.invitations;

DROP TABLE chat.group_members;

DROP TABLE chat.cursors;

DROP TABLE chat.conversation_months;

DROP TABLE chat.presence;

DROP TABLE chat.key_log;

DROP TABLE chat.key_claims;

DROP TABLE chat.groups;

DROP TABLE chat.devices;

DROP TABLE chat.conversations;

DROP TABLE chat.blocks;

DROP TABLE chat.users;

DROP TABLE chat.messages;

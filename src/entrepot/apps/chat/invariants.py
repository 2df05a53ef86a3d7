"""What is always true of chat's data; each statement answers with the rows of which it is not."""

INVARIANTS = {
    "the roster of a pair is how often the keys of the two have changed": """
        SELECT c.id, c.roster FROM chat.conversations c
        JOIN chat.users a ON a.id = c.first_id JOIN chat.users b ON b.id = c.second_id
        WHERE c.roster <> a.keys_version + b.keys_version
    """,
    "a pair is silent if and only if one has blocked the other": """
        SELECT c.id, c.is_silent FROM chat.conversations c
        JOIN chat.users a ON a.id = c.first_id JOIN chat.users b ON b.id = c.second_id
        WHERE c.is_silent <> EXISTS (
            SELECT FROM chat.blocks k WHERE (k.user_id, k.blocked_wallet)
                IN ((a.id, b.wallet_address), (b.id, a.wallet_address))
        )
    """,
    "every version of a wallet's keys stands in the log once": """
        SELECT u.id, u.keys_version FROM chat.users u LEFT JOIN chat.key_log l ON l.user_id = u.id AND l.version > 0
        GROUP BY u.id HAVING count(l.version) <> u.keys_version OR count(DISTINCT l.version) <> u.keys_version
            OR coalesce(max(l.version), 0) <> u.keys_version
    """,
    "no one-time key is kept of a device that is gone": """
        SELECT device_id FROM chat.one_time_keys k JOIN chat.devices d ON d.id = k.device_id
        WHERE d.removed_at IS NOT NULL OR k.key_id > d.last_key_id
    """,
    "the messages of a conversation are numbered from 1 to its last, each number once": """
        SELECT conversation_id, seq FROM chat.messages m JOIN chat.conversations c ON c.id = m.conversation_id
        GROUP BY conversation_id, seq, c.last_seq HAVING count(*) > 1 OR seq NOT BETWEEN 1 AND c.last_seq
    """,
    "no number is missing but of what has disappeared or lies in an archive": """
        SELECT c.id, c.last_seq, count(m.id) FROM chat.conversations c
        LEFT JOIN chat.messages m ON m.conversation_id = c.id
        WHERE NOT EXISTS (
            SELECT FROM core.archives WHERE (app, table_name) = ('chat', 'messages') AND state IN ('removed', 'expired')
        )
        GROUP BY c.id HAVING count(m.id) <> c.last_seq
            AND NOT coalesce(bool_or(m.event ->> 'kind' = 'keeps_for'), false)
    """,
    "the newest message of a conversation is the one that it names": """
        SELECT c.id FROM chat.conversations c JOIN chat.messages m ON (m.conversation_id, m.seq) = (c.id, c.last_seq)
        WHERE (c.last_id, c.last_at) IS DISTINCT FROM (m.id, m.timestamp)
    """,
    "nobody has read, or begins to read, beyond the last message": """
        SELECT k.conversation_id, k.user_id FROM chat.cursors k JOIN chat.conversations c ON c.id = k.conversation_id
        WHERE k.delivered_seq > c.last_seq OR k.read_seq > k.delivered_seq
            OR k.from_seq NOT BETWEEN 1 AND c.last_seq + 1
    """,
    "every message lies in a month in which its conversation is known to have it": """
        SELECT m.conversation_id, m.seq FROM chat.messages m JOIN chat.conversations c ON c.id = m.conversation_id
        LEFT JOIN chat.conversation_months o ON o.conversation_id = c.id
            AND o.month = date_trunc('month', core.time_of_id(m.id), 'UTC') AT TIME ZONE 'UTC'
        WHERE o.month IS NULL OR m.seq < o.first_seq OR (m.seq > o.last_seq AND o.month <> c.month)
    """,
    "a pair has the cursors of the two, and its messages are from the one to the other": """
        SELECT c.id FROM chat.conversations c LEFT JOIN chat.cursors k ON k.conversation_id = c.id
        WHERE c.first_id IS NOT NULL
        GROUP BY c.id HAVING array_agg(k.user_id ORDER BY k.user_id) <> ARRAY[c.first_id, c.second_id]
        UNION ALL
        SELECT c.id FROM chat.conversations c JOIN chat.messages m ON m.conversation_id = c.id
        WHERE (least(m.sender_id, m.receiver_id), greatest(m.sender_id, m.receiver_id))
            IS DISTINCT FROM (c.first_id, c.second_id) AND c.first_id IS NOT NULL
    """,
    "a group has as many members as it says, and they alone read it": """
        SELECT g.id FROM chat.groups g
        WHERE g.members <> (SELECT count(*) FROM chat.group_members WHERE group_id = g.id)
        UNION ALL
        SELECT coalesce(m.group_id, k.conversation_id) FROM chat.group_members m
        FULL JOIN (
            SELECT k.* FROM chat.cursors k JOIN chat.groups g ON g.id = k.conversation_id
        ) k ON (k.conversation_id, k.user_id) = (m.group_id, m.user_id)
        WHERE m.group_id IS NULL OR k.conversation_id IS NULL
    """,
    "a group has one owner while it lives, and afterwards nobody": """
        SELECT g.id FROM chat.groups g LEFT JOIN chat.group_members m ON m.group_id = g.id
        GROUP BY g.id HAVING CASE WHEN g.deleted_at IS NULL
            THEN array_agg(m.user_id) FILTER (WHERE m.role = 'owner') IS DISTINCT FROM ARRAY[g.owner_id]
            ELSE count(m.user_id) > 0 END
    """,
}

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
}

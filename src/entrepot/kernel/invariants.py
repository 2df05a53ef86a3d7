"""What is always true of the kernel's own data; each statement answers with the rows of which it is not."""

INVARIANTS = {
    "an account's next nonce is above all that it used": """
        SELECT t.chain, t.sender, t.nonce, a.next_nonce FROM core.chain_transactions t
        LEFT JOIN core.chain_accounts a ON a.chain = t.chain AND a.address = t.sender
        WHERE a.next_nonce IS NULL OR t.nonce >= a.next_nonce
    """,
    "a transaction has an end if and only if it is no longer open": """
        SELECT id, state, ended_at FROM core.chain_transactions WHERE (state = 'open') <> (ended_at IS NULL)
    """,
    "an answer that is kept has a status": """
        SELECT wallet, key FROM core.idempotency_keys WHERE status IS NULL
    """,
    "a session and a nonce end after they began": """
        SELECT wallet, created_at, expires_at FROM core.sessions WHERE expires_at <= created_at
        UNION ALL SELECT wallet, issued_at, expires_at FROM core.sign_in_nonces WHERE expires_at <= issued_at
    """,
    "a backup ends where it begins, or later": """
        SELECT id, start_lsn, end_lsn FROM core.backups
        WHERE end_lsn::pg_lsn < start_lsn::pg_lsn OR ended_at < began_at
    """,
}

"""Entrepôt: one self-hosted back end, on PostgreSQL, for trade between wallets."""

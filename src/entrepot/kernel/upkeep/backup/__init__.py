"""Backups: taken whole or by difference, carried on by the archive of the WAL, and proven by restoring them."""

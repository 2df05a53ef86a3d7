"""PostgreSQL: pools, doors, statements and migrations."""

"""The cache, with a real PostgreSQL, a real Redis and real processes."""

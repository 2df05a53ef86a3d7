"""Tests: real PostgreSQL, a real EVM node, real HTTP."""

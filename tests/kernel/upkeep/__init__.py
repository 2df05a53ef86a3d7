"""Tests of upkeep: migrations, partitions, retention, backups."""

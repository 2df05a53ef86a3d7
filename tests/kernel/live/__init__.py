"""Tests of the outbox and of live streams, without any app of the house."""

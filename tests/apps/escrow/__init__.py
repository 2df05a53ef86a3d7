"""Tests of escrow."""

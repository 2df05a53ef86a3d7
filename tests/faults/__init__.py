"""Faults: processes killed, blocks taken back, and what must be true afterwards."""

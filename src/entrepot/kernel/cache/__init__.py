"""Answers that are kept for a while, in the process and in Redis, and never beyond a write that was heard of."""

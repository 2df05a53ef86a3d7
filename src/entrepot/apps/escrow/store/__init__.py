"""All SQL of escrow: one function, one statement."""

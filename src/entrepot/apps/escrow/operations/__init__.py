"""What can be done in escrow: one function each."""

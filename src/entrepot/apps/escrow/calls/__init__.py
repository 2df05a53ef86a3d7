"""What each call of escrow takes and answers; the structs of an operation's signature."""

"""What can be done in chat: one function each."""

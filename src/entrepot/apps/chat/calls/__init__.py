"""What each call of chat takes and answers; the structs of an operation's signature."""

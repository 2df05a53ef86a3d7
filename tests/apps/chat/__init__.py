"""Chat, against a real database and over real HTTP."""

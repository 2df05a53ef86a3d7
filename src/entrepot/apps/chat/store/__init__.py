"""All SQL of chat: one function, one statement."""

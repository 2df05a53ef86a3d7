"""What the house measures, of what it warns, and whom."""

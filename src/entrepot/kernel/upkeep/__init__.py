"""What keeps the data safe, small and fast."""

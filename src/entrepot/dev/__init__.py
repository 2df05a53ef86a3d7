"""What a developer or a demonstration needs on one machine."""

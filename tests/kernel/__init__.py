"""The kernel, part by part, as its users see it."""

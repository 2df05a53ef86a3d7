"""The applications; each is found by its folder, and none knows another."""

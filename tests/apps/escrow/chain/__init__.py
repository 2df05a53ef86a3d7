"""The arbitrators' pool on a real chain: its mirror, its part in disputes, and its audit."""

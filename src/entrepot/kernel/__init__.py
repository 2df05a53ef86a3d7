"""What every application stands on; it imports none of them."""

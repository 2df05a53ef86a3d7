"""Chat: wallet-to-wallet messages that the server cannot read."""

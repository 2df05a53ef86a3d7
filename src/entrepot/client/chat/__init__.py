"""The chat's part of the client: sealed end to end, followed over a stream that comes back by itself."""

"""Access to the API server: the client that sends a caller's token, the index of ids, and the caches."""

"""Reads what a snapshot needs, from the cache and by requests. It writes nothing to the API server."""

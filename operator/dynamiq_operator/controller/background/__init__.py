"""Reads in the background what the API server does not have: pods, the recorder, smoke tests. It writes nothing to the API server."""

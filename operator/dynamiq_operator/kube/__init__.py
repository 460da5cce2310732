"""Sends requests to the API server and turns its answers into objects or errors, for the operator and all surfaces."""

"""Calls of an App through the API."""

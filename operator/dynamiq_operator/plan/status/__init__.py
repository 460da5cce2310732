"""Derives the statuses of an App and of its rows."""

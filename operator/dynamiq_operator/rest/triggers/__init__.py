"""Triggers of an App, their runs and events."""

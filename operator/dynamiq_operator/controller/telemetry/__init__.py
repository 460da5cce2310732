"""Exports metrics, and limits the log. It changes nothing."""

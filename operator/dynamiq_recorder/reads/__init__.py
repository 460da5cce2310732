"""Converts what the store returns to the answers that every surface shows."""

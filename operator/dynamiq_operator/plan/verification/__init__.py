"""Verifies a version before it is live: which requests its pods get before callers reach them, and the result of the answers."""

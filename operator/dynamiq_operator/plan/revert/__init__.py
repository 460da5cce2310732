"""Automatic revert: watches a row that went live for a while, and restores the last good row if too many of its runs fail."""

"""Automatic revert: watches a row that went live for a while, and deploys the last good row again if too many of its runs fail."""

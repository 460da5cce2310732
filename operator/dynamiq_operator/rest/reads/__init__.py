"""The reads that several resources have in common, each with the caller's token."""

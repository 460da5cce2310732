"""Reads and writes the claims by which an App holds its hostname."""

"""Serves the journal over HTTP: for pods, which accept, claim and save runs, and for readers of runs."""

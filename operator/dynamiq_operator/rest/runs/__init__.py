"""Runs, their figures and their verdicts: what the recorder has of an App, asked with the caller's own token."""

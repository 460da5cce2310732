"""Runs, their figures and their comparisons: what the recorder has of an App, requested with the caller's own token."""

"""Streams of events about one App, or about the Apps of a project: what changed, read with the caller's token."""

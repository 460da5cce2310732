"""Streams of events about one App, or about the Apps of a project: changes, read with the caller's token."""

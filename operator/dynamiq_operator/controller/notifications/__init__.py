"""Telling sinks outside of the cluster what became of rows: in the background, within bounds, and never in the way of a deploy."""

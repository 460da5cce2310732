"""Notifies sinks outside the cluster of what happens to rows: in the background, within limits, and without delaying a deploy."""

"""The recorder over HTTP: the way in for runs, and the way out."""

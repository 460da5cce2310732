"""Apps: list, create, read, delete."""

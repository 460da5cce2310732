"""The statuses of an App and of its rows."""

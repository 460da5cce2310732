"""Access Keys of an App: list, create and show once, revoke."""

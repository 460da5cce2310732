"""The rows of an App as values: the watched ones with their life cycle, and the ledger of all rows."""

"""The rows of an App as values: those that are watched, with their life, and the ledger of all that there ever were."""

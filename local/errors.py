"""The one error that this package raises for what a user can act on."""


class LocalError(Exception):
    """A cluster could not be started, found or stopped; the message says what to do."""

"""Defines the one error of this package, for problems that a user can act on."""


class LocalError(Exception):
    """A cluster that could not be started, found or stopped; the message names the remedy."""

"""Defines the error of this package, for problems that a user can act on."""


class LocalError(Exception):
    """A cluster, an image or a file that could not be started, made or found; the message names the remedy."""

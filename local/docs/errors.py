"""Defines the one error of the documentation's build."""

from local.errors import LocalError


class DocsError(LocalError):
    """A site that could not be built, or is wrong; the message names the place."""

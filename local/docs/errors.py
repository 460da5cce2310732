"""The one error of the documentation's build."""

from local.errors import LocalError


class DocsError(LocalError):
    """The site could not be built, or is wrong; the message says where."""

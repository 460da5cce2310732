"""`kubectl dynamiq`: history, deploy, rollback, promote and the rest from a terminal."""

from __future__ import annotations


def main() -> int:
    """The plugin's entry."""
    raise NotImplementedError

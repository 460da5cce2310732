"""Reads a release's section of `CHANGELOG.md`."""

from __future__ import annotations

import re

from local.errors import LocalError

UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## \[(?P<name>[^\]]+)\].*$", re.MULTILINE)


class ChangelogError(LocalError):
    """A changelog without the version."""


def section(text: str, version: str) -> str:
    """Returns the section of a version, with its heading. Raises ChangelogError if there is none."""
    sections = _sections(text)
    if version not in sections:
        raise ChangelogError(
            f"CHANGELOG.md has no section [{version}]: name its section [{UNRELEASED}] so, with the date, and begin a new one"
        )
    return sections[version]


def unreleased(text: str) -> str:
    """Returns the section of no version yet, without its heading; empty if there is none."""
    return _sections(text).get(UNRELEASED, "").partition("\n")[2].strip()


def notes(text: str, version: str) -> str:
    """Returns a release's notes: the unreleased changes, which the release has, too, then its section. Raises ChangelogError."""
    own = section(text, version)
    pending = unreleased(text)
    return (f"## Not in a version of its own\n\n{pending}\n\n" if pending else "") + own


def _sections(text: str) -> dict[str, str]:
    headings = list(_HEADING.finditer(text))
    ends = [each.start() for each in headings[1:]] + [len(text)]
    return {each["name"]: text[each.start() : end].strip() + "\n" for each, end in zip(headings, ends, strict=True)}

"""What a release says of its changes: its section of `CHANGELOG.md`."""

from __future__ import annotations

import re

UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## \[(?P<name>[^\]]+)\].*$", re.MULTILINE)


class ChangelogError(Exception):
    """The changelog does not tell of the version."""


def section(text: str, version: str) -> str:
    """What stands under the heading of a version, with it. Raises ChangelogError where there is none."""
    sections = _sections(text)
    if version not in sections:
        raise ChangelogError(
            f"CHANGELOG.md has no section [{version}]: name its section [{UNRELEASED}] so, with the date, and begin a new one"
        )
    return sections[version]


def unreleased(text: str) -> str:
    """What is of no version yet, without the heading; empty where there is nothing."""
    return _sections(text).get(UNRELEASED, "").partition("\n")[2].strip()


def notes(text: str, version: str) -> str:
    """A release's own notes: its section, and before it what the changelog calls unreleased, since the release has that, too. Raises ChangelogError."""
    own = section(text, version)
    rest = unreleased(text)
    return (f"## Not in a version of its own\n\n{rest}\n\n" if rest else "") + own


def _sections(text: str) -> dict[str, str]:
    headings = list(_HEADING.finditer(text))
    ends = [each.start() for each in headings[1:]] + [len(text)]
    return {each["name"]: text[each.start() : end].strip() + "\n" for each, end in zip(headings, ends, strict=True)}

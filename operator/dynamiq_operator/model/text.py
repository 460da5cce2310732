"""Text of users on a terminal or in a log, and names as JSON has them."""

from __future__ import annotations


def on_one_line(text: str, keep: str = "") -> str:
    """Text that cannot begin a line, move the cursor or colour: control and format characters are escaped, except those of `keep`."""
    return "".join(letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in text)


def in_camel_case(name: str) -> str:
    """`created_by` is `createdBy`."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)

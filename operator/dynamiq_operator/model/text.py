"""Text of users on a terminal or in a log, names as JSON has them, and commands of the plugin as hints."""

from __future__ import annotations


def on_one_line(text: str, keep: str = "") -> str:
    """Text that cannot begin a line, move the cursor or colour: control and format characters are escaped, except those of `keep`."""
    return "".join(letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in text)


def plugin_command(words: str, namespace: str, context: str | None = None) -> str:
    """Returns a command of the plugin, in backticks, as one can paste it: `` `kubectl dynamiq history support -n demo` ``."""
    return f"`kubectl dynamiq {words} -n {namespace}{f' --context {context}' if context else ''}`"


def in_camel_case(name: str) -> str:
    """`created_by` is `createdBy`."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)

"""Formats users' text for a terminal or log, names as in JSON, and commands of the plugin as hints."""

from __future__ import annotations


def on_one_line(text: str, keep: str = "") -> str:
    """Escapes control and format characters, except those of `keep`, so that text cannot begin a line, move the cursor or set colours."""
    return "".join(letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in text)


def plugin_command(words: str, namespace: str, context: str | None = None) -> str:
    """Returns a command of the plugin in backticks, ready to paste: `` `kubectl dynamiq history support -n demo` ``."""
    return f"`kubectl dynamiq {words} -n {namespace}{f' --context {context}' if context else ''}`"


def in_camel_case(name: str) -> str:
    """Returns a name in camelCase: `created_by` is `createdBy`."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)

"""What the parsers of all commands are made of: their help, the options that several have, and what a value may be."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

PROG = "kubectl dynamiq"
EXITS = "exit codes: 0 done, 1 it failed or was refused, 2 wrong usage, 130 interrupted"
FEW_CHOICES = 8
NEAR = 0.7
"""How alike a word has to be for `did you mean`, by difflib's ratio."""
LIMIT_MOST = 100_000
KUBECTL = "kubectl's own flags work here, too: -n, --context, --kubeconfig, --as, --as-group, --token, --request-timeout and the rest"


class Parser(argparse.ArgumentParser):
    """`check`: what is wrong with options that fit one by one and not together; empty where nothing is."""

    check: Callable[[argparse.Namespace], str] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed = super().parse_known_args(args, namespace)
        if self.check is not None and (wrong := self.check(parsed[0])):
            self.error(wrong)
        return parsed

    def error(self, message: str) -> NoReturn:
        """Ends with one sentence and the next step, in place of the whole usage."""
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raises ArgumentError for a word that is none of the choices: it names the nearest ones, or, of few, all."""
        if action.choices is None or value in action.choices:
            return
        known = [str(each) for each in action.choices]
        near = difflib.get_close_matches(str(value), known, n=2, cutoff=NEAR)
        instead = f"did you mean {' or '.join(near)}?" if near else f"use {', '.join(known)}" if len(known) <= FEW_CHOICES else ""
        raise argparse.ArgumentError(action, f"unknown: {value}{f'; {instead}' if instead else ''}")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses the whole command line; an unknown option is named with the nearest one of the command."""
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(f"unknown argument: {' '.join(rest)}{_nearest(self, parsed, rest[0])}")
        return parsed


def command(commands: Any, name: str, says: str, more: str, examples: tuple[str, ...], exits: str = EXITS) -> Parser:
    shown = "\n".join(f"  {PROG} {name} {example}".rstrip() for example in examples)
    made: Parser = commands.add_parser(
        name,
        help=says,
        description=f"{says[0].upper()}{says[1:]}.{' ' + more if more else ''}",
        epilog=f"examples:\n{shown}\n\n{exits}\n{KUBECTL}",
        formatter_class=_Wrapped,
        allow_abbrev=False,
    )
    return made


def _nearest(parser: argparse.ArgumentParser, parsed: argparse.Namespace, given: str) -> str:
    """Returns `; did you mean --message?` where an option of the command is near; empty where none is."""
    commands: Any = next((action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)), {})
    chosen = commands.get(getattr(parsed, "command", None), parser)
    near = (
        difflib.get_close_matches(given.partition("=")[0], chosen._option_string_actions, n=2, cutoff=NEAR) if given.startswith("-") else []
    )
    return f"; did you mean {' or '.join(near)}?" if near else ""


class _Wrapped(argparse.RawDescriptionHelpFormatter):
    """Wraps the description, which is one paragraph, and leaves the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def app(to: argparse.ArgumentParser) -> None:
    to.add_argument("app", metavar="APP", help="name of the App")


def output(to: argparse.ArgumentParser, *formats: str) -> None:
    known = (*formats, "json", "yaml")
    to.add_argument(
        "-o",
        "--output",
        type=lambda text: _format(text, known),
        metavar="FORMAT",
        help=f"how to print it: {', '.join(known)} or jsonpath=TEMPLATE (default: for people)",
    ).choices_shown = (*known, "jsonpath=")  # type: ignore[attr-defined]


def limit(to: argparse.ArgumentParser, says: str) -> None:
    to.add_argument("--limit", type=_limit, metavar="COUNT", help=says)


def _limit(text: str) -> int:
    return _whole(text, 1, LIMIT_MOST)


def _whole(text: str, least: int, most: int, unit: str = "") -> int:
    """Returns a whole number within bounds. Raises ArgumentTypeError."""
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be {least} to {most}{unit}, got {text}")
    return int(text)


def add_preview_flags(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--preview", "--dry-run", action="store_true", help="show what would change, and end: it takes the right to read, and no more"
    )
    to.add_argument("-y", "--yes", action="store_true", help="do not ask; without a terminal nobody can be asked, and it is needed")
    output(to, "name")


def _format(text: str, known: tuple[str, ...]) -> str:
    """A format of `-o`; a template is read before anything is done. Raises ArgumentTypeError."""
    if text in known:
        return text
    if not text.startswith("jsonpath="):
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(known)} and jsonpath=TEMPLATE")
    from dynamiq_operator.cli import jsonpath

    try:
        jsonpath.parsed(text.removeprefix("jsonpath="))
    except jsonpath.BadTemplate as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def version(text: str) -> str:
    if not text.startswith("v") or not text[1:].isdecimal() or text[1] == "0":
        raise argparse.ArgumentTypeError(f"{text} is no version: v and a number from 1, such as v7")
    return text


def version_to_restore(text: str) -> str:
    """Returns the version of `rollback --to`. Raises ArgumentTypeError, which names --to-row for what looks like a row."""
    number = text.removeprefix("#")
    if number.isdecimal():
        raise argparse.ArgumentTypeError(
            f"{text} is no version: --to v{number} takes the newest row of v{number}, --to-row {number} takes row #{number}"
        )
    return version(text)


def count(text: str) -> int:
    return _whole(text, 1, 1000)


def seconds(least: int, most: int) -> Callable[[str], int]:
    return lambda text: _whole(text, least, most, " seconds")


def duration(text: str) -> float:
    from dynamiq_operator.cli.transport import parse_duration

    if not (found := parse_duration(text)):
        raise argparse.ArgumentTypeError(f"{text} is no duration, such as 90s or 5m")
    return found


def moment(text: str, now: datetime | None = None) -> str:
    """A time as RFC 3339, in UTC: of `1h` or `7d`, so long ago; of a date, its begin in UTC, in which one without a zone is, too.

    A number alone is none: kubectl would take 2026 for seconds, and whoever writes it means a year. Raises ArgumentTypeError.
    """
    from dynamiq_operator.cli.transport import parse_duration

    said = f"{text} is no time: write how long ago (90s, 1h, 7d), a date (2026-11-24), or a time (2026-11-24T22:22:45Z; without a zone it is UTC)"
    if text.isdecimal():
        raise argparse.ArgumentTypeError(said)
    days = re.fullmatch(r"(\d{1,5})d(.*)", text)
    rest = parse_duration(days[2] if days else text)
    try:
        if rest is not None or (days is not None and not days[2]):
            found = (now or datetime.now(UTC)) - timedelta(days=int(days[1]) if days else 0, seconds=rest or 0)
        else:
            given = datetime.fromisoformat(text)
            found = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(said) from None
    return found.isoformat(timespec="microseconds").replace("+00:00", "Z")

"""The parts that the parsers of all commands share: help, common options, and types of values."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from dynamiq_operator.model.journal import CALLBACKS_MOST

PROG = "kubectl dynamiq"
EXITS = "exit codes: 0 done, 1 it failed or was refused, 2 wrong usage, 130 interrupted"
NO_OP_EXITS = "exit codes: 0 done, or done already, 1 it failed or was refused, 2 wrong usage, or no terminal and no --yes, 130 interrupted"
FEW_CHOICES = 8
NEAR = 0.7
"""The least similarity, by difflib's ratio, of a word that `did you mean` suggests."""
LIMIT_MOST = 100_000
KUBECTL = "kubectl's own flags work here, too: -n, --context, --kubeconfig, --as, --as-group, --token, --request-timeout and the rest"


class Parser(argparse.ArgumentParser):
    """A parser that can check its options together, and gets its arguments when it is used.

    `check`: returns what is wrong with options that are valid one by one; empty if nothing is.
    `add_arguments`: called once, before the first use.
    """

    check: Callable[[argparse.Namespace], str] | None = None
    add_arguments: Callable[[Parser], None] | None = None

    def complete(self) -> None:
        """Adds the arguments unless they were added before."""
        if (add_arguments := self.add_arguments) is not None:
            self.add_arguments = None
            add_arguments(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.complete()
        parsed = super().parse_known_args(args, namespace)
        if self.check is not None and (wrong := self.check(parsed[0])):
            self.error(wrong)
        return parsed

    def error(self, message: str) -> NoReturn:
        """Prints one sentence and the next step instead of the whole usage, and exits."""
        self.exit(2, f"error: {message}; see `{self.prog} --help`\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raises ArgumentError for an unknown choice. It names the nearest choices, or all if they are few."""
        if action.choices is None or value in action.choices:
            return
        known = [str(each) for each in action.choices]
        near = difflib.get_close_matches(str(value), known, n=2, cutoff=NEAR)
        instead = f"did you mean {' or '.join(near)}?" if near else f"use {', '.join(known)}" if len(known) <= FEW_CHOICES else ""
        raise argparse.ArgumentError(action, f"unknown: {value}{f'; {instead}' if instead else ''}")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses the whole command line; for an unknown option the error names the nearest one of the command."""
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(f"unknown argument: {' '.join(rest)}{_nearest(self, parsed, rest[0])}")
        return parsed


def add_command(commands: Any, name: str, summary: str, add_arguments: Callable[[Parser], None]) -> None:
    description = f"{summary[0].upper()}{summary[1:]}."
    made: Parser = commands.add_parser(name, help=summary, description=description, formatter_class=_Wrapped, allow_abbrev=False)
    made.add_arguments = add_arguments


def describe(command: Parser, more: str, examples: tuple[str, ...], exits: str = EXITS) -> None:
    """Adds details, examples and exit codes to the help of a command."""
    shown = "\n".join(f"  {command.prog} {example}".rstrip() for example in examples)
    command.description = f"{command.description} {more}".rstrip()
    command.epilog = f"examples:\n{shown}\n\n{exits}\n{KUBECTL}"


def _nearest(parser: argparse.ArgumentParser, parsed: argparse.Namespace, argument: str) -> str:
    """Returns `; did you mean --message?` if an option of the command is near; empty if none is."""
    commands: Any = next((action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)), {})
    chosen = commands.get(getattr(parsed, "command", None), parser)
    near = (
        difflib.get_close_matches(argument.partition("=")[0], chosen._option_string_actions, n=2, cutoff=NEAR)
        if argument.startswith("-")
        else []
    )
    return f"; did you mean {' or '.join(near)}?" if near else ""


class _Wrapped(argparse.RawDescriptionHelpFormatter):
    """A formatter of help that wraps the description, one paragraph, and keeps the examples as they are."""

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
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be {least} to {most}{unit}, got {text}")
    return int(text)


def add_preview_flags(to: argparse.ArgumentParser) -> None:
    to.add_argument("--preview", "--dry-run", action="store_true", help="show what would change, and end; the right to read is enough")
    to.add_argument("-y", "--yes", action="store_true", help="do not ask; needed without a terminal")
    output(to, "name")


def _format(text: str, known: tuple[str, ...]) -> str:
    """Parses a format of `-o`; checks a template before anything is done. Raises ArgumentTypeError."""
    if text in known:
        return text
    if not text.startswith("jsonpath="):
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(known)} or jsonpath=TEMPLATE, got {text}")
    from dynamiq_operator.cli import jsonpath

    try:
        jsonpath.parsed(text.removeprefix("jsonpath="))
    except jsonpath.BadTemplate as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def version(text: str) -> str:
    if not text.startswith("v") or not text[1:].isdecimal() or text[1] == "0":
        raise argparse.ArgumentTypeError(f"must be v and a number from 1, such as v7, got {text}")
    return text


def version_to_restore(text: str) -> str:
    """Returns the version of `rollback --to`. Raises ArgumentTypeError, which names --to-row if the text looks like a row."""
    number = text.removeprefix("#")
    if number.isdecimal():
        raise argparse.ArgumentTypeError(
            f"{text} is not a version: --to v{number} takes the newest row of v{number}, --to-row {number} takes row #{number}"
        )
    return version(text)


def count(text: str) -> int:
    return _whole(text, 1, 1000)


def callback(text: str) -> int:
    return _whole(text, 0, CALLBACKS_MOST - 1)


def seconds(least: int, most: int) -> Callable[[str], int]:
    return lambda text: _whole(text, least, most, " seconds")


def duration(text: str) -> float:
    from dynamiq_operator.cli.transport import parse_duration

    if not (parsed := parse_duration(text)):
        raise argparse.ArgumentTypeError(f"must be a duration such as 90s or 5m, got {text}")
    return parsed


def moment(text: str, now: datetime | None = None) -> str:
    """Returns a time as RFC 3339, in UTC, from a duration ago (`1h`, `7d`), a date or a time.

    A date means its begin. The zone is UTC unless given. Raises ArgumentTypeError.
    """
    from dynamiq_operator.cli.transport import parse_duration

    problem = f"{text} is not a time: write how long ago (90s, 1h, 7d), a date (2026-11-24), or a time (2026-11-24T22:22:45Z; without a zone it is UTC)"
    # kubectl would take 2026 for seconds, but whoever writes it means a year.
    if text.isdecimal():
        raise argparse.ArgumentTypeError(problem)
    days = re.fullmatch(r"(\d{1,5})d(.*)", text)
    rest = parse_duration(days[2] if days else text)
    try:
        if rest is not None or (days is not None and not days[2]):
            parsed = (now or datetime.now(UTC)) - timedelta(days=int(days[1]) if days else 0, seconds=rest or 0)
        else:
            local = datetime.fromisoformat(text)
            parsed = local.astimezone(UTC) if local.tzinfo else local.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(problem) from None
    return parsed.isoformat(timespec="microseconds").replace("+00:00", "Z")

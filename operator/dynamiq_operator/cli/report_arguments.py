"""The commands about the past, a report of deploys and what was live at a time, and their help."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from dynamiq_operator.cli import parsing
from dynamiq_operator.model.manifests import TIME_END, parse_time
from dynamiq_operator.model.text import in_camel_case
from dynamiq_operator.views.audited import COLUMNS

REPORT_EXITS = (
    "exit codes: 0 done, and every history fits; 1 it failed or was refused, or a row of a history does not fit, which standard error says;"
    " 2 wrong usage; 130 interrupted"
)
AT_EXITS = "exit codes: 0 done; 1 it failed or was refused; 2 wrong usage; 3 of one App, nothing was live then, or it is not known; 130 interrupted"


def add(commands: Any) -> None:
    _report(commands)
    _at(commands)


def _report(commands: Any) -> None:
    fields = ", ".join(in_camel_case(column.key) for column in COLUMNS)
    report = parsing.command(
        commands,
        "report",
        "report the deploys of a time: by whom, approved by whom, how they ended, and whether nobody changed the histories",
        "Every deploy that began in the time, the earliest first. Of each App whose rows are read, the digest of every row is computed anew, as"
        " `verify` does; so those of other times count, too. -o csv is for spreadsheets: text that one would run as a formula has an apostrophe"
        f" before it. -o md is a document. -o json has since, until, fits, says, histories, and deploys with these fields: {fields}.",
        (
            "--since 2026-11-01 --until 2026-12-01",
            "--since 30d -A -o csv | tee deploys.csv",
            "support --since 7d -o md",
            "--since 24h -A -o jsonpath='{.says}'",
        ),
        REPORT_EXITS,
    )
    report.check = _wrong_of_report
    _which(report)
    report.add_argument(
        "--since", type=_moment, metavar="TIME", help="begun since so long ago, such as 7d, or at this time or date, or later"
    )
    report.add_argument("--until", type=_moment, metavar="TIME", help="begun before that (default: now)")
    parsing.output(report, "csv", "md")


def _at(commands: Any) -> None:
    at = parsing.command(
        commands,
        "at",
        "show what was live at a time",
        "A time is a date, 2026-11-24T22:22:45Z, or how long ago: 90m, 7d. What retention has let go is not known any more, and of an App that was"
        " deleted nothing is. `verify` says whether the rows that tell it are what they were.",
        ("support 2026-11-24T18:20:50Z", "3h -A", "support 2026-11-24 -o jsonpath='{.row.version} {.row.flowHash}'"),
        AT_EXITS,
    )
    at.check = _wrong_of_at
    _which(at)
    at.add_argument("time", metavar="TIME", help="the time: so long ago, or a time or date")
    parsing.limit(at, "show at most so many Apps (default: all)")
    parsing.output(at)


def _which(to: argparse.ArgumentParser) -> None:
    to.add_argument("app", metavar="APP", nargs="?", help="of this App alone")
    to.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")


def _moment(text: str) -> str:
    """Parses a time as `parsing.moment` does, without a fraction of zeros. Raises ArgumentTypeError."""
    parsed = parsing.moment(text).replace(".000000Z", "Z")
    if parsed >= TIME_END:
        raise argparse.ArgumentTypeError(f"{text} is not before {TIME_END}")
    return parsed


def _wrong_of_report(options: argparse.Namespace) -> str:
    if options.since is not None and parse_time(options.since) > datetime.now(UTC):
        return "--since is still to come"
    if options.since is not None and options.until is not None and parse_time(options.since) >= parse_time(options.until):
        return "--since is not before --until"
    return _wrong_of_which(options)


def _wrong_of_at(options: argparse.Namespace) -> str:
    if options.app is not None and options.app[:1].isdigit():  # TIME APP, the order of older versions: no App's name begins with a digit
        options.app, options.time = options.time, options.app
    try:
        options.time = _moment(options.time)
    except argparse.ArgumentTypeError as error:
        return f"argument TIME: {error}"
    if parse_time(options.time) > datetime.now(UTC):
        return "that time is still to come"
    return _wrong_of_which(options)


def _wrong_of_which(options: argparse.Namespace) -> str:
    return "an App is in one namespace: name it by -n, without -A" if options.app is not None and options.all_namespaces else ""

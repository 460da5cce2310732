"""The commands about runs, and their help."""

from __future__ import annotations

import argparse
import re
from typing import Any

from dynamiq_operator.cli import parsing
from dynamiq_operator.cli.parsing import moment
from dynamiq_operator.model.recorder import RunSort, RunStatus

SORTS = {sort.name.lower(): sort for sort in RunSort}
SHOWN = 25
OVERTAKEN, WATCHED_MOST = 500, 5_000
"""For --watch: the known runs in a row after which a check ends, and the most runs that a check reads."""
UID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
CONTENT = "with inputs, outputs and texts of errors, where the App records them and you may read them (dynamiq-deployer)"
COMPARE_EXITS = (
    "exit codes: 0 done, 1 it failed or was refused, 2 wrong usage, 130 interrupted; with --exit-code also 3 it regressed, 4 too few runs"
    " to say, or nothing to compare it with"
)


def add(commands: Any) -> None:
    _runs(commands)
    _run(commands)
    _compare(commands)
    _sessions(commands)
    _score(commands)
    _delete_runs(commands)


def _runs(commands: Any) -> None:
    runs = parsing.command(
        commands,
        "runs",
        "show the runs of an App, the newest first",
        "TOKENS are those of the input and of the output; a cost of which a part is not known begins with ≥. -o wide adds version, models,"
        " session, user, tags and the reason of a failure. -o jsonl is an export, the oldest first: every run that the options take, whole and on a"
        " line of its own, as it is read. --watch looks every two seconds, or waits as long as a look takes where that is more. It does not see a run that"
        f" ends over a day after it began, or after {OVERTAKEN} that began later, nor more than {WATCHED_MOST} at a time.",
        (
            "support --since 1h --status failed --status timed_out",
            "support --row 12 --sort slowest --limit 10",
            "support --session s-81 -o wide",
            "support --min-duration 5s --model gpt-4o -o json",
            "support --since 7d --content -o jsonl | gzip > runs.jsonl.gz",
            "support --watch",
            "--app-id 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 --user-id u-7",
        ),
    )
    runs.check = _wrong_of_runs
    _app_or_id(runs)
    runs.add_argument("--row", metavar="ROW", help="of this row, by its sequence (12) or its name")
    runs.add_argument("--version", metavar="VERSION", help="of this version, such as v4")
    runs.add_argument("--status", action="append", choices=[each.value for each in RunStatus], metavar="STATUS", help=_statuses())
    _whose(runs)
    runs.add_argument("--trigger", metavar="NAME", help="started by this trigger")
    runs.add_argument("--tag", action="append", metavar="TAG", help="with this tag; repeatable: with each of them")
    runs.add_argument("--model", metavar="MODEL", help="that called this model")
    runs.add_argument("--error", metavar="TEXT", help="with this in the error's text, of any case")
    _when(runs)
    runs.add_argument("--min-duration", type=parsing.duration, metavar="TIME", help="that took so long, or longer, such as 500ms or 5s")
    runs.add_argument("--min-cost", type=_amount, metavar="USD", help="that cost so much, or more, such as 0.05")
    runs.add_argument("--sort", choices=list(SORTS), metavar="ORDER", help=f"{', '.join(SORTS)} (default: newest)")
    parsing.limit(runs, f"show so many (default: {SHOWN}; of -o jsonl all)")
    runs.add_argument("--content", action="store_true", help=f"of -o jsonl: {CONTENT}")
    runs.add_argument("-w", "--watch", action="store_true", help="go on, and print each run when it has ended")
    parsing.output(runs, "wide", "name", "jsonl")


def _run(commands: Any) -> None:
    run = parsing.command(
        commands,
        "run",
        "show one run: its figures, and its nodes with their times, tokens and cost",
        "A run is named by its id: X-Dynamiq-Run-Id of the App's answer, or the first column of `runs`.",
        (
            "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11",
            "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 --content",
            "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 -o json",
        ),
    )
    run.add_argument("run", type=_run_id, metavar="RUN", help="id of the run")
    run.add_argument("--content", action="store_true", help=CONTENT)
    _of_several(run)
    parsing.output(run)


def _compare(commands: Any) -> None:
    compare = parsing.command(
        commands,
        "compare",
        "say whether a row made an App slower, dearer or more often fail, by its runs",
        "Without a row it is the live one; without a second one it is compared with the row before it that went live. A ratio over 1 is more than"
        " before; that of 1 within its 95 % interval may be chance. A row with fewer than 30 runs is not judged, nor its"
        " p95 with fewer than 60.",
        ("support", "support 12", "support 12 9", "support 12 --exit-code", "support -o jsonpath='{.verdict}'"),
        COMPARE_EXITS,
    )
    parsing.app(compare)
    compare.add_argument("row", metavar="ROW", nargs="?", help="the row to judge, by its sequence or name (default: the live one)")
    compare.add_argument("baseline", metavar="ROW", nargs="?", help="the row to compare it with (default: the one before that went live)")
    compare.add_argument("--exit-code", action="store_true", help="end with 3 where it regressed, with 4 where nothing can be said")
    parsing.output(compare)


def _sessions(commands: Any) -> None:
    sessions = parsing.command(
        commands,
        "sessions",
        "show the sessions of an App, that of the newest run first",
        "A session is what callers named one, by X-Dynamiq-Session-Id.",
        ("support --since 24h", "support --user-id u-7 -o json"),
    )
    parsing.app(sessions)
    sessions.add_argument("--user-id", metavar="USER", help="of this user")
    _when(sessions)
    parsing.limit(sessions, f"show so many (default: {SHOWN})")
    parsing.output(sessions, "name")


def _score(commands: Any) -> None:
    score = parsing.command(
        commands,
        "score",
        "say what you think of a run, as a number",
        "A second score of the same name by you takes the first one's place. `compare` has their mean by row.",
        ("9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 helpful 1", "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 tone -0.5 --comment 'too short'"),
    )
    score.add_argument("run", type=_run_id, metavar="RUN", help="id of the run")
    score.add_argument("name", metavar="NAME", help="of what is scored, such as helpful")
    score.add_argument("value", type=_number, metavar="VALUE", help="a number")
    score.add_argument("--comment", metavar="TEXT", help="why")
    _of_several(score)
    parsing.output(score)


def _delete_runs(commands: Any) -> None:
    delete = parsing.command(
        commands,
        "delete-runs",
        "delete runs of an App for good, with their contents and scores",
        "It shows how many there are, and asks.",
        (
            "support --before 720h --preview",
            "support --before 2026-11-01",
            "support --user-id u-7 --yes",
            "--app-id 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 --user-id u-7",
        ),
        f"{parsing.EXITS}; 2 also where there is no terminal and no --yes",
    )
    delete.check = _wrong_of_app
    _app_or_id(delete)
    chosen = delete.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--before", type=moment, metavar="TIME", help="that began before this time or date, or longer ago, such as 30d")
    _whose(chosen)
    parsing.add_preview_flags(delete)


def _of_several(to: argparse.ArgumentParser) -> None:
    to.add_argument("--app-id", type=_app_id, metavar="UID", help="of several Apps with a run of this id, the uid of the one that is meant")


def _app_or_id(to: argparse.ArgumentParser) -> None:
    to.add_argument("app", metavar="APP", nargs="?", help="name of the App")
    to.add_argument(
        "--app-id",
        type=_app_id,
        metavar="UID",
        help="in place of APP, the uid of one that is gone: for those who may list, or delete, apps/runs in every namespace",
    )


def _wrong_of_app(options: argparse.Namespace) -> str:
    if (options.app is None) is (options.app_id is None):
        return "name the App, or one that is gone by --app-id" + ("" if options.app is None else ", and not both")
    return ""


def _wrong_of_runs(options: argparse.Namespace) -> str:
    is_export = options.output == "jsonl" and not options.watch
    if is_export and options.sort is not None:
        return "-o jsonl has the oldest run first: it takes no --sort"
    if options.content and not is_export:
        return "--content is of an export: give -o jsonl, without --watch"
    if options.app_id is not None and options.row is not None:
        return "the rows of an App that is gone are gone, too: --app-id takes no --row"
    return _wrong_of_app(options)


def _whose(to: Any) -> None:
    to.add_argument("--session", "--session-id", dest="session", metavar="SESSION", help="of this session, as the App's caller named it")
    to.add_argument("--user-id", metavar="USER", help="of this user, as the App's caller named them")


def _when(to: argparse.ArgumentParser) -> None:
    to.add_argument("--since", type=moment, metavar="TIME", help="from so long ago on, such as 1h or 7d, or from this time or date on")
    to.add_argument("--until", type=moment, metavar="TIME", help="before that")


def _statuses() -> str:
    return f"that ended so: {', '.join(RunStatus)}; repeatable"


def _run_id(text: str) -> str:
    if re.fullmatch(UID, text) is None:
        raise argparse.ArgumentTypeError(f"{text} is no id of a run: `kubectl dynamiq runs APP` shows them")
    return text.lower()


def _app_id(text: str) -> str:
    if re.fullmatch(UID, text) is None:
        raise argparse.ArgumentTypeError(f"{text} is no id of an App: it was its metadata.uid, and is the app_id of each of its runs")
    return text.lower()


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) <= 1e12:
        raise argparse.ArgumentTypeError(f"{text} is no number")
    return number


def _amount(text: str) -> float:
    if (amount := _number(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than nothing")
    return amount

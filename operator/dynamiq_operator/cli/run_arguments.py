"""The arguments that commands about runs share."""

from __future__ import annotations

import argparse
import re
from typing import Any

from dynamiq_operator.cli import parsing

SHOWN, SHORT = 25, 8
"""Runs of a list, and letters of an id that is shortened."""
UID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
UID_LENGTH = 36
CONTENT = "with inputs, outputs and texts of errors, where the App records them and you may read them (dynamiq-deployer)"

DENIED = "you may not read inputs and outputs: ask for the role dynamiq-deployer (get apps/runcontents)"


def add_app_id(to: argparse.ArgumentParser) -> None:
    to.add_argument("--app-id", type=app_id, metavar="UID", help="the uid of the App, needed if several Apps have a run of this id")


def add_app_or_id(to: argparse.ArgumentParser) -> None:
    to.add_argument("app", metavar="APP", nargs="?", help="name of the App")
    to.add_argument(
        "--app-id",
        type=app_id,
        metavar="UID",
        help="in place of APP, the uid of a deleted one; you need the right to list, or delete, apps/runs in every namespace",
    )


def wrong_of_app(options: argparse.Namespace) -> str:
    if (options.app is None) is (options.app_id is None):
        return "name the App, or a deleted one by --app-id" + ("" if options.app is None else ", not both")
    return ""


def add_callers(to: Any) -> None:
    to.add_argument("--session", "--session-id", dest="session", metavar="SESSION", help="of this session, as the App's caller named it")
    to.add_argument("--user-id", metavar="USER", help="of this user, as the App's caller named them")


def add_period(to: argparse.ArgumentParser) -> None:
    to.add_argument("--since", type=parsing.moment, metavar="TIME", help="since how long ago, such as 1h or 7d, or since a time or date")
    to.add_argument("--until", type=parsing.moment, metavar="TIME", help="before that")


def run_id(text: str) -> str:
    if re.fullmatch(UID, text) is None:
        raise argparse.ArgumentTypeError(f"{text} is not the id of a run: `kubectl dynamiq runs APP` shows them")
    return text.lower()


def run_id_or_begin(text: str) -> str:
    """Parses the id of a run, or the begin of one as `questions` prints it."""
    if re.fullmatch(UID, text) is None and re.fullmatch(f"[0-9a-fA-F-]{{{SHORT},35}}", text) is None:
        raise argparse.ArgumentTypeError(
            f"{text} is not the id of a run, nor its first {SHORT} letters: `kubectl dynamiq questions` shows them"
        )
    return text.lower()


def app_id(text: str) -> str:
    if re.fullmatch(UID, text) is None:
        raise argparse.ArgumentTypeError(f"{text} is not the id of an App: it was its metadata.uid, and is the app_id of each of its runs")
    return text.lower()


def number(text: str) -> float:
    try:
        parsed = float(text)
    except ValueError:
        parsed = float("nan")
    if not abs(parsed) <= 1e12:
        raise argparse.ArgumentTypeError(f"{text} is not a number")
    return parsed

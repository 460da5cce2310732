"""The arguments that commands about the past share."""

from __future__ import annotations

import argparse

from dynamiq_operator.cli import parsing
from dynamiq_operator.model.manifests import TIME_END


def add_apps(to: argparse.ArgumentParser) -> None:
    to.add_argument("app", metavar="APP", nargs="?", help="only of this App")
    to.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")


def moment(text: str) -> str:
    """Parses a time as `parsing.moment` does, without a fraction of zeros. Raises ArgumentTypeError."""
    parsed = parsing.moment(text).replace(".000000Z", "Z")
    if parsed >= TIME_END:
        raise argparse.ArgumentTypeError(f"{text} is not before {TIME_END}")
    return parsed


def wrong_of_apps(options: argparse.Namespace) -> str:
    return "an App is in one namespace: name it by -n, without -A" if options.app is not None and options.all_namespaces else ""

"""`questions`: prints the open questions of background runs: of an App, of all Apps of a namespace, or of all namespaces."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import quote

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import parsing, run_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, age, safe
from dynamiq_operator.cli.recorder import JOURNAL, NoRecorder, NotThere, RecorderClient, path_of
from dynamiq_operator.kube.api import METADATA, pages_at
from dynamiq_operator.model.manifests import API_VERSION
from dynamiq_operator.views import background_runs as view
from dynamiq_operator.views.runs import at_second

COLUMNS = ("APP", "RUN", "QUESTION", "NODE", "TYPE", "AGE", "PROMPT")
WIDE = ("KEY", "SESSION", "USER", "EXPIRES")
Where = tuple[str, str, str]
"""An App: namespace, name, uid."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "RUN is short, and `answer` takes it as it is. PROMPT is the first line of the question: `run APP ID` has all of it. -o wide has"
        " whole ids, the caller's key, session and user, and when the run fails without an answer.",
        ("", "support", "-A", "support -o wide", "support -o json"),
    )
    command.check = _wrong
    command.add_argument("app", metavar="APP", nargs="?", help="name of the App (default: all of the namespace)")
    command.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")
    parsing.limit(command, f"most of each App to show (default: {run_arguments.SHOWN})")
    parsing.output(command, "wide")


def _wrong(options: argparse.Namespace) -> str:
    return "name an App, or give -A, not both" if options.app and options.all_namespaces else ""


def run(context: CommandContext) -> int:
    options = context.options
    journal = RecorderClient(context, JOURNAL)
    most = options.limit or run_arguments.SHOWN
    found = [
        {"namespace": namespace, "app": app, **each}
        for namespace, app, uid in _apps(context, journal)
        for each in _of_app(context, journal, uid, most)
    ]
    found.sort(key=lambda each: str(each["asked_at"]))
    if context.print_data(found):
        return 0
    if not found:
        where = options.app or ("any namespace" if options.all_namespaces else f"namespace {context.namespace}")
        context.err.lines([f"no background run of {safe(where)} asks a person"])
        return 0
    is_wide, now = options.output == "wide", datetime.now(UTC)
    header = [*(["NAMESPACE"] if options.all_namespaces else []), *COLUMNS, *(WIDE if is_wide else ())]
    rows = [_cells(each, now, is_wide, options.all_namespaces) for each in found]
    context.out.lines(Table(header, rows, context.out, cut="" if is_wide else "PROMPT").lines())
    return 0


def _apps(context: CommandContext, journal: RecorderClient) -> Iterator[Where]:
    """Yields the Apps whose questions are to be shown."""
    options = context.options
    if options.app:
        yield context.namespace, options.app, journal.uid(options.app)
        return
    try:
        # Who may list runs everywhere learns by one request which Apps have questions; others read each App.
        counts = journal.data("/v1/open")
    except NoRecorder:
        raise
    except Refusal:
        yield from _every_app(context)
        return
    apps = {(str(each["namespace"]), str(each["app"]), str(each["app_uid"])) for each in counts if each.get("questions")}
    yield from (each for each in apps if options.all_namespaces or each[0] == context.namespace)


def _every_app(context: CommandContext) -> Iterator[Where]:
    where = "" if context.options.all_namespaces else f"/namespaces/{quote(context.namespace, safe='')}"
    for page in pages_at(context.api, f"/apis/{API_VERSION}{where}/apps", accept=METADATA):
        for item in page["items"] or ():
            meta = item["metadata"]
            yield meta["namespace"], meta["name"], meta["uid"]


def _of_app(context: CommandContext, journal: RecorderClient, uid: str, most: int) -> list[dict[str, Any]]:
    try:
        return list(islice(journal.paged(f"{path_of(uid)}/questions", (), most), most))
    except NotThere:
        # Of all Apps, some may be for others; the one that was named is an error.
        if context.options.app:
            raise
        return []


def _cells(each: view.Data, now: datetime, is_wide: bool, everywhere: bool) -> list[str]:
    run_id = str(each["run_id"])
    cells = [each["namespace"]] if everywhere else []
    cells += [each["app"], run_id if is_wide else run_id[: run_arguments.SHORT], each["id"], each["name"] or each["node"], each["type"]]
    cells += [age(each["asked_at"], now), view.first_line(each)]
    cells += [each["key"], each["session_id"], each["user_id"], at_second(each["expires_at"])] if is_wide else []
    return [safe(cell or "") for cell in cells]

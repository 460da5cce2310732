"""`run`: prints one run: its figures, its nodes as a tree, and with --content inputs and outputs.

A background run has its events and its callbacks, which --send-again sends again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from urllib.parse import quote

from dynamiq_operator.cli import background_runs, parsing, run_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, indented, safe
from dynamiq_operator.cli.recorder import NoRecorder, NotThere, RecorderClient
from dynamiq_operator.kube.api import METADATA, pages_at
from dynamiq_operator.kube.app_objects import uid_of
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.model.manifests import API_VERSION
from dynamiq_operator.views import runs as view

COLUMNS = ("NODE", "STATUS", "BEGAN", "TIME", "TOKENS", "COST", "MODEL")
WHY_NOT = {
    "denied": run_arguments.DENIED,
    "not_recorded": "inputs, outputs and error texts are not recorded: set App.spec.runs.content to record them",
}
INDENT = 2
ALL = -1
"""Value of --send-again without a number."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "A run is named by its id: X-Dynamiq-Run-Id of the App's answer, or the first column of `runs`. With APP it is a background run of"
        " that App with its events and callbacks, and the recorded run once the journal has deleted it. A callback shows its host, its state"
        " (pending, delivered or failed), how often it was tried, when it is tried next, and the last answer. --send-again needs update"
        " apps/runs and asks nothing: a receiver tells a repeat by its header webhook-id, which stays the same.",
        (
            "support 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11",
            "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11",
            "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 --content",
            "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 -o json",
            "support 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 --send-again",
            "support 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 --send-again 1",
        ),
        "exit codes: 0 done; 1 it failed or was refused, such as --send-again for a run that has not ended, or has no callbacks; 2 wrong usage;"
        " 130 interrupted",
    )
    command.add_argument("app", metavar="APP", nargs="?", help="name of the App, for a background run")
    command.add_argument("run", type=run_arguments.run_id, metavar="RUN", help="id of the run")
    command.add_argument("--content", action="store_true", help=run_arguments.CONTENT)
    command.add_argument(
        "--send-again",
        type=parsing.callback,
        nargs="?",
        const=ALL,
        metavar="N",
        help="send the callbacks of a background run that has ended again, at once: all, or the one of this number",
    )
    run_arguments.add_app_id(command)
    command.check = _wrong
    parsing.output(command)


def _wrong(options: argparse.Namespace) -> str:
    if options.app and options.app_id:
        return "name the App, or its id by --app-id, not both"
    if options.send_again is not None and options.app is None:
        return "--send-again needs the App before the run: only background runs have callbacks"
    return "leave out --content: --send-again prints callbacks" if options.send_again is not None and options.content else ""


def run(context: CommandContext) -> int:
    if context.options.send_again is not None:
        return background_runs.send_again(context)
    if context.options.app is None:
        return _recorded(context, context.options.app_id)
    try:
        return background_runs.show(context)
    except (NoRecorder, NotThere) as error:
        # The journal deletes a run after its end, and has none that was not in the background.
        try:
            return _recorded(context, uid_of(context.api, context.namespace, context.options.app))
        except (NoRecorder, NotThere):
            raise error from None


def _recorded(context: CommandContext, app_id: str | None) -> int:
    options = context.options
    query = [("include", "content")] if options.content else []
    query += [("app_id", app_id)] if app_id is not None else []
    run_ = RecorderClient(context).data(f"/v1/runs/{options.run}", query)
    if context.print_data(run_):
        return 0
    header = _header(run_, _app_name(context, run_["app_id"]))
    context.out.lines(f"{name:<10} {safe(value)}" for name, value in header if value not in (None, "", view.UNKNOWN))
    context.out.lines(_nodes(context, run_))
    if options.content:
        context.out.lines(_contents(run_))
    return 0


def _app_name(context: CommandContext, uid: str) -> str:
    """Returns the App's name; its uid if the caller cannot list the namespace's Apps, or it is in another one.

    The recorder knows no names.
    """
    path = f"/apis/{API_VERSION}/namespaces/{quote(context.namespace, safe='')}/apps"
    try:
        metas = (item["metadata"] for page in pages_at(context.api, path, accept=METADATA) for item in page["items"] or ())
        return next((str(meta["name"]) for meta in metas if meta["uid"] == uid), uid)
    except ApiError:  # the run is shown without the name
        return uid


def _header(run_: view.Data, app: str) -> Iterator[tuple[str, str | None]]:
    why = run_["error"] or run_["reason"]
    row, version = view.row_of(run_), run_["workflow_version"]
    yield "run", run_["id"]
    yield "app", app
    yield "status", f"{run_['status']}: {why}" if why else run_["status"]
    yield "began", run_["started_at"]
    yield "took", _took(run_)
    yield "row", f"{version} ({row})" if version and run_["sequence"] else version or row
    yield "tokens", view.tokens(run_)
    yield "cost", _cost(run_)
    yield "models", ", ".join(run_["models"])
    yield "trigger", run_["trigger"]
    yield "session", run_["session_id"]
    yield "user", run_["user_id"]
    yield "tags", ", ".join(run_["tags"])
    yield "trace", run_["trace_id"]
    for score in run_["scores"]:
        yield "score", f"{score['name']} {score['value']:g} by {score['by']}{': ' + score['comment'] if score['comment'] else ''}"


def _took(run_: view.Data) -> str:
    first, busy = run_["first_chunk_ms"], run_.get("busy_ms")  # a recorder of the version before knows no busy_ms
    of_pods = f", of which pods were busy {view.milliseconds(busy)}" if busy is not None else ""
    return (
        view.milliseconds(run_["duration_ms"]) + of_pods + (f", first part after {view.milliseconds(first)}" if first is not None else "")
    )


def _cost(run_: view.Data) -> str:
    shown, unpriced = view.dollars(run_["cost_usd"], run_["unpriced_calls"]), run_["unpriced_calls"]
    return f"{shown} ({unpriced} call{'s' if unpriced != 1 else ''} without a price)" if unpriced else shown


def _nodes(context: CommandContext, run_: view.Data) -> Iterator[str]:
    if not run_["nodes_kept"]:
        yield ""
        yield "its nodes were deleted: retention keeps them for a shorter time than runs"
        return
    rows = [_cells(depth, node) for depth, node in view.in_tree(run_["nodes"])]
    if rows:
        yield ""
        yield from Table(COLUMNS, rows, context.out, cut="NODE", status="STATUS").lines()


def _cells(depth: int, node: view.Data) -> list[str]:
    line = f" in line {node['error_line']}" if node.get("error_line") else ""  # a recorder of the version before knows none
    raised = [f"{node['error_type']}{line}"] if node["error_type"] else []
    notes = [*raised, *(["cached"] if node["cached"] else []), *([f"{node['attempts']} attempts"] if node["attempts"] > 1 else [])]
    name = safe(node["name"] or node["node_id"]) + (f" ({', '.join(notes)})" if notes else "")
    cost = view.dollars(node["cost_usd"], 0)
    times = [f"+{view.milliseconds(node['offset_ms'])}", view.milliseconds(node["duration_ms"])]
    return [" " * INDENT * depth + name, safe(node["status"]), *times, view.tokens(node), cost, safe(node["model"] or "")]


def _contents(run_: view.Data) -> Iterator[str]:
    if run_["content"] != "included":
        yield ""
        yield WHY_NOT.get(run_["content"], safe(run_["content"]))
        return
    for title, part in (("run", run_), *((f"node {safe(node['name'] or node['node_id'])}", node) for node in run_["nodes"])):
        for name in ("input", "output", "error"):
            if part.get(name) is not None:
                yield ""
                yield f"{title}: {name}"
                yield indented(part[name])

"""Reads background runs and conversations from the journal and prints them: open ones as a table, and one run with its events."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import run_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, indented, safe
from dynamiq_operator.cli.recorder import JOURNAL, NotInstalled, Query, RecorderClient, path_of
from dynamiq_operator.kube.api import pages_at
from dynamiq_operator.kube.errors import ApiError
from dynamiq_operator.model.manifests import API_VERSION
from dynamiq_operator.views import background_runs as view
from dynamiq_operator.views.runs import UNKNOWN, at_second

if TYPE_CHECKING:
    from dynamiq_operator.actions.deploy import PreviewedDeploy

COLUMNS = ("RUN", "ACCEPTED", "STATUS", "ROW", "NODE", "ATTEMPTS")
WIDE = ("KEY", "TRIGGER", "SESSION", "USER", "TAGS")
EVENTS = ("SEQ", "TIME", "EVENT", "NODE")
CALLBACKS = ("CALLBACK", "HOST", "STATE", "TRIES", "NEXT", "LAST")
CONVERSATIONS = ("ROW", "OPEN", "RECENT", "MOVED", "LAST TURN")
EVENTS_MOST = 500
"""Events of a request."""
OPEN = ("open", "true")
FIRST = [("page_size", "1")]
COUNT_WITHIN, COUNT_LATE = 5.0, 0.3
"""Seconds for a request of a count, and those that a preview waits for the count once it is made itself."""


class OpenRuns:
    """The open background runs, questions and conversations of an App, counted in a thread while a preview is made.

    They are unknown if that fails.

    `namespace`: of the App, if it is not the command's own. `late`: seconds that the preview waits for the number.
    """

    def __init__(self, context: CommandContext, namespace: str | None = None, late: float | None = None) -> None:
        self._context, self._namespace, self._late = context, namespace, late
        self._count: view.OpenRunCount | None = None
        self._is_installed = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def added_to(self, plan: PreviewedDeploy) -> PreviewedDeploy:
        """Returns the plan with the number in its preview, if it means something for these runs, and there is a journal."""
        if not plan.preview.moves_on:
            return plan
        self._thread.join(COUNT_LATE if self._late is None else self._late)
        return replace(plan, preview=plan.preview.with_open_runs(self._count)) if self._is_installed else plan

    def _run(self) -> None:
        context = self._context
        try:
            namespace = quote(self._namespace or context.namespace, safe="")
            path = f"/apis/{API_VERSION}/namespaces/{namespace}/apps/{quote(context.options.app, safe='')}"
            journal = RecorderClient(context, JOURNAL, within=COUNT_WITHIN)
            journal.reach()
            _, raw = context.api.exchange("GET", path, headers={}, within=COUNT_WITHIN)
            manifest = json.loads(raw)
            app = path_of(manifest["metadata"]["uid"])
            runs = journal.count(f"{app}/runs", [OPEN])
            self._count = view.OpenRunCount(runs)
            now, questions, conversations = datetime.now(UTC), None, None
            if manifest["spec"].get("sessions") is not None:
                conversations = journal.request("GET", f"{app}/sessions")
                self._count = view.OpenRunCount.read(runs, questions, now, conversations)
            if runs:
                questions = journal.request("GET", f"{app}/questions", FIRST)
                self._count = view.OpenRunCount.read(runs, questions, now, conversations)
        except NotInstalled:
            self._is_installed = False
        except Exception:
            # The preview is whole without the numbers, and the command reports why nothing can be reached.
            return


def show_open(context: CommandContext, query: Query) -> int:
    """Prints the background runs of an App that have not ended; returns the exit code."""
    options = context.options
    journal = RecorderClient(context, JOURNAL)
    runs = list(journal.paged(f"{journal.chosen_app()}/runs", [OPEN, *query], options.limit or run_arguments.SHOWN))
    if context.print_data(runs, (safe(each["id"]) for each in runs)):
        return 0
    if not runs:
        matching = " that matches these options" if len(query) > 1 else ""
        context.err.lines([f"no background run of {safe(options.app or options.app_id)} is open{matching}"])
        return 0
    rows, is_wide = _rows(context), options.output == "wide"
    header = [*COLUMNS, *(WIDE if is_wide else ())]
    cells = [_cells(each, rows, is_wide) for each in runs]
    context.out.lines(Table(header, cells, context.out, cut="" if is_wide else "NODE", status="STATUS").lines())
    return 0


def show(context: CommandContext) -> int:
    """Prints one background run with its events; returns the exit code. Raises what the client of the journal raises."""
    options = context.options
    journal = RecorderClient(context, JOURNAL)
    path = f"{journal.app(options.app)}/runs/{options.run}"
    run = journal.data(path)
    events = list(_events(journal, path))
    if context.print_data({**run, "events": events}):
        return 0
    details = view.details(run, _rows(context))
    context.out.lines(f"{name:<10} {safe(value)}" for name, value in details if value not in (None, "", UNKNOWN))
    for request in run.get("input_requests") or ():
        context.out.lines(["", *map(safe, view.request_lines(request))])
    context.out.lines(_callbacks(context, run))
    shown = [[*map(safe, view.event_cells(each))] for each in events if view.is_shown(each)]
    context.out.lines(["", *Table(EVENTS, shown, context.out, cut="NODE").lines()])
    if len(shown) < len(events):
        context.out.lines(["", f"{len(events) - len(shown)} events with parts of texts are left out: -o json has them"])
    if options.content:
        context.out.lines(_contents(run))
    return 0


def send_again(context: CommandContext) -> int:
    """Has the callbacks of an ended run sent again, all or the one of `--send-again`, and prints them; returns the exit code."""
    options = context.options
    journal = RecorderClient(context, JOURNAL)
    number = options.send_again if options.send_again >= 0 else None
    run = journal.change(f"{journal.app(options.app)}/runs/{options.run}", "callbacks", {"n": number})
    if not run["callbacks"]:
        raise Refusal(f"nothing was sent: run {run['id']} has no callbacks")
    if not context.print_data(run):
        count = len(run["callbacks"]) if number is None else 1
        context.err.lines([f"{view.counted(count, 'callback')} of {safe(run['id'])} {'is' if count == 1 else 'are'} sent again"])
        context.out.lines(_callbacks(context, run))
    return 0


def _callbacks(context: CommandContext, run: view.Data) -> Iterator[str]:
    """Yields the callbacks of a run as a table; nothing if it has none. A journal of the version before knows none."""
    if callbacks := run.get("callbacks"):
        yield ""
        cells = [[*map(safe, view.callback_cells(each, has_ended=run["ended_at"] is not None))] for each in callbacks]
        yield from Table(CALLBACKS, cells, context.out, cut="LAST", status="STATE").lines()


def show_conversations(context: CommandContext) -> int:
    """Prints the open conversations of an App by the row that answers them; returns the exit code."""
    options = context.options
    journal = RecorderClient(context, JOURNAL)
    counts = sorted(journal.data(f"{journal.app(options.app)}/sessions"), key=lambda each: -(each["sequence"] or 0))
    if context.print_data(counts, (safe(each["pins"]) for each in counts)):
        return 0
    if not counts:
        context.err.lines([f"no conversation of {safe(options.app)} is open"])
        return 0
    rows = _rows(context)
    context.out.lines(Table(CONVERSATIONS, [[*map(safe, view.conversation_cells(each, rows))] for each in counts], context.out).lines())
    return 0


def _events(journal: RecorderClient, path: str) -> Iterator[dict[str, Any]]:
    """Yields all events that a run has now."""
    after = 0
    while True:
        events = journal.data(f"{path}/events", [("after", str(after)), ("limit", str(EVENTS_MOST))])
        yield from events
        if len(events) < EVENTS_MOST:
            return
        after = events[-1]["sequence"]


def _rows(context: CommandContext) -> dict[str, str]:
    """Returns the App's rows by their pins; empty if the caller may not list rows, or the App was deleted."""
    if context.options.app is None:
        return {}
    path = f"/apis/{API_VERSION}/namespaces/{quote(context.namespace, safe='')}/deployments"
    try:
        return view.rows_by_pins(
            raw for page in pages_at(context.api, path, field=f"spec.app={context.options.app}") for raw in page["items"]
        )
    except ApiError:  # the runs are shown with their pins
        return {}


def _cells(run: view.Data, rows: dict[str, str], is_wide: bool) -> list[str]:
    status = view.waits_for(run) or run["status"]
    cells = [run["id"], at_second(run["accepted_at"]), status, view.row_of(run, rows), run["node"], str(run["attempts"])]
    cells += [run["key"], run["trigger"], run["session_id"], run["user_id"], ",".join(run["tags"])] if is_wide else []
    return [safe(cell or "") for cell in cells]


def _contents(run: view.Data) -> Iterator[str]:
    # Each run has an input, so the caller may not read it.
    if run["input"] is None:
        yield from ("", run_arguments.DENIED)
    for name in ("input", "output"):
        if run[name] is not None:
            yield from ("", f"run: {name}", indented(run[name]))

"""Formats background runs as text. Pure. It reads the journal's responses without models, so that the plugin starts fast."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.model.manifests import Manifest, parse_time
from dynamiq_operator.views.runs import UNKNOWN, at_second, milliseconds

Data = Mapping[str, Any]
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))
APPROVAL = "approval_request"
PROMPT_MOST = 60
"""Letters of a prompt in a list."""


@dataclass(frozen=True)
class ConversationCount:
    """The open conversations of a version. `sequence`: of its newest row; None if unknown."""

    pins: str
    sequence: int | None
    count: int


@dataclass(frozen=True)
class OpenRunCount:
    """The open background runs of an App: how many, and how many questions of theirs wait for a person. None if that is unknown.

    `oldest`: when the oldest of these questions was asked. `seconds`: how long ago. `conversations`: open ones by version; None if they are
    unknown, or the App has none.
    """

    runs: int
    questions: int | None = None
    oldest: str | None = None
    seconds: float = 0
    conversations: tuple[ConversationCount, ...] | None = None

    @classmethod
    def read(
        cls, runs: int, questions: Mapping[str, Any] | None, now: datetime, conversations: Mapping[str, Any] | None = None
    ) -> OpenRunCount:
        """Returns the counts by the journal's number of runs, its first page of questions, and its conversations.

        Raises what a page of another form raises.
        """
        counted = None
        if conversations is not None:
            counted = tuple(
                ConversationCount(each["pins"], each["sequence"], int(each["sessions"]))
                for each in conversations["data"]
                if each["sessions"]
            )
        if questions is None:
            return cls(runs, conversations=counted)
        oldest = next((str(each["asked_at"]) for each in questions["data"]), None)
        waited = (now - parse_time(oldest)).total_seconds() if oldest is not None else 0
        return cls(runs, int(questions["pagination"]["total_count"]), oldest, waited, counted)


def ago(seconds: float) -> str:
    """Returns a time that has passed in its largest unit: `3 days`, `less than a minute`."""
    unit, size = next(((unit, size) for unit, size in UNITS if seconds >= size), ("", 1))
    count = int(seconds // size)
    return f"{count} {unit}{'s' if count != 1 else ''}" if unit else "less than a minute"


def rows_by_pins(rows: Iterable[Manifest]) -> dict[str, str]:
    """Returns the newest row of each pins, such as `v2 (#12)`."""
    specs = [raw["spec"] for raw in rows if raw["spec"].get("pinned") and raw["spec"].get("sequence")]
    specs.sort(key=lambda spec: spec["sequence"])
    return {stored_digest(spec["pinned"]): f"{spec['pinned']['workflowVersion']} (#{spec['sequence']})" for spec in specs}


def row_of(run: Data, rows: Mapping[str, str]) -> str:
    """Returns the row that a run is executed on; its pins if no row has them."""
    return rows.get(run["pins"], run["pins"])


def counted(count: int, what: str) -> str:
    """Returns a number with its noun: `1 conversation`, `2 conversations`."""
    return f"{count} {what}{'s' if count != 1 else ''}"


def finishing_in_words(version: Data) -> str:
    """Returns an earlier version of `status.finishing` with what goes on there: `v2 (#12): 14 background runs, 2 wait, 3 conversations`."""
    return f"{version['version']} (#{version['sequence']}): {open_in_words(version)}"


def open_in_words(version: Data) -> str:
    """Returns the open runs and conversations of an earlier version of `status.finishing`."""
    waiting, held, conversations = (version.get(name) or 0 for name in ("waiting", "held", "sessions"))
    runs = sum(version.get(name) or 0 for name in ("queued", "running")) + waiting + held
    parts = [counted(runs, "background run")] if runs or not conversations else []
    parts += [f"{waiting} wait{'s' if waiting == 1 else ''}"] if waiting else []
    parts += [f"{held} {'is' if held == 1 else 'are'} held"] if held else []
    parts += [counted(conversations, "conversation")] if conversations else []
    return ", ".join(parts)


def waits_for(run: Data) -> str | None:
    """Returns what an open run waits for, such as `waits for a person`; None if it does not wait. A journal of the version before knows none."""
    if run["state"] == "held":
        return f"held: {run.get('hold_reason') or 'unknown'}"
    if run["state"] != "waiting":
        return None
    return "waits for a person" if run.get("awaiting_input") else f"waits until {at_second(run.get('resume_at'))}"


def state_of(run: Data) -> str:
    """Returns the status of a run, and why or when it ends: `failed: no such invoice`."""
    if (waits := waits_for(run)) is not None:
        return waits
    error = run.get("error") or {}
    why = error.get("message") or error.get("code") or run["reason"]
    if why is not None and why != run["status"]:
        return f"{run['status']}: {why}"
    return f"{run['status']}, canceled at its next node" if run["cancel_requested"] and run["ended_at"] is None else str(run["status"])


def details(run: Data, rows: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yields names and values of what is known of a run."""
    yield "run", run["id"]
    yield "app", run["app"]
    yield "status", state_of(run)
    yield "accepted", at_second(run["accepted_at"])
    yield "began", at_second(run["started_at"])
    yield "ended", at_second(run["ended_at"])
    yield "took", milliseconds(run["busy_ms"]) if run["started_at"] else UNKNOWN
    yield "row", row_of(run, rows)
    yield "node", run["node"]
    yield "paused", at_second(run.get("paused_at"))
    yield "attempts", f"{run['attempts']} interrupted since its last progress" if run["attempts"] else UNKNOWN
    for name in ("key", "trigger", "session_id", "user_id"):
        yield name.removesuffix("_id"), run[name]
    yield "tags", ", ".join(run["tags"])


def request_lines(request: Data) -> Iterator[str]:
    """Yields a question to a person, whole: its text, the params to be approved, and the options to choose from."""
    yield f"{request['id']} ({request['type']}) of node {request.get('name') or request['node']}, asked at {at_second(request['asked_at'])}"
    if request.get("expires_at"):
        yield f"  fails without an answer at {at_second(request['expires_at'])}"
    questions = request.get("questions") or ()
    if request.get("prompt") is None and not questions:
        yield "  its text is for who may read inputs and outputs (get apps/runcontents)"
    # The bar shows where the text begins and ends: it may imitate the lines below it.
    yield from (f"  | {line}" for line in (request["prompt"].split("\n") if request.get("prompt") else ()))
    for name, value in (request.get("params") or {}).items():
        editable = " (editable)" if name in (request.get("editable_params") or ()) else ""
        yield f"  {name}{editable}: {json.dumps(value, ensure_ascii=False)}"
    if request.get("params_omitted"):
        yield "  its params are too large to be shown"
    for each in questions:
        yield f"  {each['id']}: {each['question']}" + (" (several may be chosen)" if each.get("multi_select") else "")
        for option in each.get("options") or ():
            yield f"    {option['label']}" + (f": {option['description']}" if option.get("description") else "")
        if each.get("allow_custom_answer"):
            yield "    or a text of your own"


def first_line(request: Data) -> str:
    """Returns the first line of a question, shortened."""
    text = request.get("prompt") or next((each["question"] for each in request.get("questions") or ()), "")
    line = str(next((line for line in str(text).splitlines() if line.strip()), ""))
    return line if len(line) <= PROMPT_MOST else f"{line[: PROMPT_MOST - 1]}…"


def callback_cells(callback: Data, *, has_ended: bool) -> list[str]:
    """Returns a callback's number, host, state, tries, the time of its next try, and the result of its last one.

    `has_ended`: its run has ended, so that it is sent.
    """
    status, error, last = callback["status"], callback["error"], callback["last_at"]
    result = ", ".join([*([f"HTTP {status}"] if status is not None else []), *([str(error)] if error else [])])
    following = at_second(callback["next_at"]) if has_ended else "when the run ends"
    cells = [str(callback["n"]), str(callback["host"]), str(callback["state"]), str(callback["tries"])]
    return [*cells, following, f"{at_second(last)} {result}".strip() if last is not None else UNKNOWN]


def conversation_cells(version: Data, rows: Mapping[str, str]) -> list[str]:
    """Returns the row of a version, how many of its conversations are open, are recent and were moved, and when the last turn was."""
    sequence = version["sequence"]
    row = rows.get(version["pins"]) or (f"#{sequence}" if sequence is not None else str(version["pins"]))
    return [row, str(version["sessions"]), str(version["recent"]), str(version["moved"]), at_second(version["last_turn"])]


def is_shown(event: Data) -> bool:
    """Returns False for parts of a streamed text, which are many."""
    return not str(event["type"]).endswith(".delta")


def event_cells(event: Data) -> list[str]:
    """Returns an event's number, time, type, and node. A later attempt has its number."""
    kind, attempt = str(event["type"]), event["data"].get("attempt")
    node = event["data"].get("id") if kind.startswith("node.") else None
    about = " ".join([*([str(node)] if node else []), *([f"(attempt {attempt})"] if attempt not in (None, 1) else [])])
    return [str(event["sequence"]), at_second(event["timestamp"]), kind, about]

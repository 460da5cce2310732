"""The protocol of a watch, without a request: which one is next, from where, and after which pause."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, HTTP_ROUTES, ROWS
from dynamiq_operator.kube.watching import BRIEF, WATCH_FOR, WatchState

AT_ONCE = BRIEF / 2


def event(kind: str = "MODIFIED", version: object = "9", **more: Any) -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {"name": "chat", "resourceVersion": version}, **more}}


def refused(code: int) -> dict[str, Any]:
    return {"type": "ERROR", "object": {"code": code, "reason": "x", "message": "told"}}


@dataclass
class Loop:
    """A loop without requests, on a clock of its own."""

    state: WatchState
    now: float = 100.0

    def attempt(self, act: Callable[[], object], lasts: float = 0.0) -> float:
        """Makes an attempt of `lasts` seconds; returns the pause before it."""
        pause = self.state.wait(self.now, 1.0)
        self.now += pause
        self.state.begin(self.now)
        self.now += lasts
        try:
            act()
        except errors.ApiError as error:
            self.state.failed(error, self.now)
        return pause

    def list(self, version: str = "5") -> float:
        return self.attempt(lambda: setattr(self.state, "version", version))

    def watch(self, *events: Any, error: errors.ApiError | None = None, lasts: float = WATCH_FOR) -> float:
        def act() -> None:
            for each in events:
                self.state.delivered(self.state.parse(json.dumps(each).encode() if not isinstance(each, bytes) else each))
            if error is not None:
                raise error
            self.state.ended(self.now)

        return self.attempt(act, lasts)


def loop(*, is_costly: bool = False) -> Loop:
    """Returns a loop of which the list was taken at version 5."""
    made = Loop(WatchState(APPS, is_costly=is_costly))
    made.list()
    return made


def test_the_query_of_a_watch_continues_from_a_version_with_the_selectors_of_its_resource() -> None:
    state = WatchState(HTTP_ROUTES, "demo", lasts=9)
    selector = {"labelSelector": "app.kubernetes.io/managed-by=dynamiq-operator"}
    assert state.query() == {"watch": "true", "timeoutSeconds": 9, **selector}
    state.version = "7"
    resumes = {"allowWatchBookmarks": "true", "resourceVersion": "7"}
    assert state.query() == {"watch": "true", **resumes, "timeoutSeconds": 9, **selector}
    rows = WatchState(ROWS, "demo").query()
    assert rows == {"watch": "true", "timeoutSeconds": 6, "fieldSelector": "status.phase!=Superseded,status.phase!=Failed"}


LOST = ""
"""Everything has to be listed again."""
HTTP = {status: errors.from_status(status, "", "told") for status in (400, 401, 403, 404, 410, 429, 503)}
UNANSWERED = errors.Unavailable("cut")
ENDS = [
    pytest.param({"events": [event(version="8"), event("DELETED", "9")]}, "9", "9", id="its last event"),
    pytest.param({"events": [event("BOOKMARK", "12")]}, "12", "12", id="a bookmark"),
    pytest.param({"events": []}, "5", "5", id="silence"),
    pytest.param({"events": [event(version="8"), b'{"type": "ADD']}, LOST, LOST, id="no JSON"),
    pytest.param({"events": [[]]}, LOST, LOST, id="a list"),
    pytest.param({"events": [event("HELLO")]}, LOST, LOST, id="no type"),
    pytest.param({"events": [event(version="abc")]}, LOST, LOST, id="no version"),
    pytest.param({"events": [{"type": "ADDED", "object": {"metadata": {"resourceVersion": "9"}}}]}, LOST, LOST, id="no name"),
    pytest.param({"events": [{"type": "ADDED", "object": {"metadata": {"resourceVersion": "9"}, "rows": []}}]}, "9", "9", id="a table"),
    pytest.param({"events": [refused(410)]}, LOST, LOST, id="410 in it"),
    pytest.param({"events": [refused(500)]}, LOST, "5", id="500 in it"),
    pytest.param({"events": [{"type": "ERROR", "object": {}}]}, LOST, LOST, id="an error without a code"),
    pytest.param({"error": HTTP[410]}, LOST, LOST, id="410"),
    pytest.param({"error": HTTP[400]}, LOST, LOST, id="400"),
    pytest.param({"error": HTTP[403]}, LOST, "5", id="403"),
    pytest.param({"error": HTTP[401]}, LOST, "5", id="401"),
    pytest.param({"error": HTTP[404]}, LOST, "5", id="404"),
    pytest.param({"error": HTTP[503]}, "5", "5", id="503"),
    pytest.param({"error": HTTP[429]}, "5", "5", id="429"),
    pytest.param({"error": UNANSWERED}, "5", "5", id="no answer"),
    pytest.param({"events": [event(version="8")], "error": UNANSWERED}, "8", "8", id="cut after an event"),
]


@pytest.mark.parametrize(("end", "resumes", "resumes_if_lists_are_costly"), ENDS)
def test_the_next_attempt_resumes_where_the_watch_ended_or_lists(
    end: dict[str, Any], resumes: str, resumes_if_lists_are_costly: str
) -> None:
    for is_costly, version in ((False, resumes), (True, resumes_if_lists_are_costly)):
        each = loop(is_costly=is_costly)
        each.watch(*end.get("events", ()), error=end.get("error"), lasts=BRIEF)
        assert each.state.version == version, is_costly


def test_pauses_grow_from_the_second_failure_on_up_to_the_most_and_begin_with_the_attempt() -> None:
    each = loop()
    assert [each.watch(error=UNANSWERED, lasts=0) for _ in range(8)] == pytest.approx([0, 0, 0.2, 0.4, 0.8, 1.6, 2, 2])
    each.attempt(lambda: (_ for _ in ()).throw(UNANSWERED), lasts=1.5)
    assert each.state.wait(each.now, 1.0) == pytest.approx(0.5), "it waited for an answer so long"
    assert each.state.wait(each.now - 1.5, 0.7) == pytest.approx(1.4), "a random share of it"


def test_a_watch_that_ended_at_once_without_an_event_has_failed() -> None:
    each = loop()
    assert [each.watch(lasts=AT_ONCE) for _ in range(3)] == pytest.approx([0, 0, 0.2 - AT_ONCE if AT_ONCE < 0.2 else 0])
    before = each.state.answers
    each.watch(event(), lasts=0)
    assert each.state.answers == before + 2, "one with an event has not"


def test_a_list_does_not_end_a_series_of_failures_and_an_event_does(caplog: pytest.LogCaptureFixture) -> None:
    """A cluster may allow lists, and no watches: without a pause each list would follow the last one at once."""
    each, pauses = loop(), []
    for _ in range(4):
        each.watch(error=HTTP[403], lasts=0)
        pauses.append(each.list())
    assert pauses == pytest.approx([0, 0.2, 0.4, 0.8])
    each.watch(event())
    assert "is read again, after 4 failures" in caplog.text
    each.watch(error=UNANSWERED, lasts=0)
    assert each.watch() == 0


def test_a_watch_that_the_api_server_did_not_end_is_resumed_at_once() -> None:
    each = loop()
    assert [each.watch(error=UNANSWERED, lasts=WATCH_FOR + 1) for _ in range(4)] == [0] * 4
    assert each.state.version == "5"
    assert [each.watch(error=UNANSWERED, lasts=0) for _ in range(2)] == [0, 0], "it is no failure"
    each.watch(error=HTTP[410], lasts=WATCH_FOR + 1)
    assert each.state.version == LOST


@pytest.mark.parametrize(
    ("events", "error", "answers"),
    [
        pytest.param([event()], None, 2, id="an event, and the end of a watch"),
        pytest.param([], HTTP[503], 1, id="an error"),
        pytest.param([], HTTP[410], 0, id="an expired version, after which a list counts"),
        pytest.param([], UNANSWERED, 0, id="no answer"),
    ],
)
def test_answers_count_and_silence_does_not(events: list[dict[str, Any]], error: errors.ApiError | None, answers: int) -> None:
    each = loop()
    each.watch(*events, error=error, lasts=BRIEF)
    assert each.state.answers == answers


@pytest.mark.parametrize("status", [503, 410])
def test_the_first_failure_of_a_watch_is_no_news(status: int, caplog: pytest.LogCaptureFixture) -> None:
    each = loop()
    each.watch(error=HTTP[status], lasts=0)
    assert not caplog.records
    each.watch(error=HTTP[503], lasts=0)
    assert "cannot be read, trying again: told" in caplog.text

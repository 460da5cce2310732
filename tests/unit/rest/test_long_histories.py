"""Reading the ended rows of long histories ahead, over a scripted API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.rest.deployments import long_histories, rows
from dynamiq_operator.rest.kube import row_cache
from tests.support import factories as make
from tests.support.rest_stage import RestStage
from tests.support.scripted import failure

LONG = 150


def _row(number: int) -> str:
    return f"chat-{number * 7919 % 100_003}"


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> Iterator[RestStage]:
    """Yields a stage whose App has a long history, all ended but the newest row; its list has two pages."""
    monkeypatch.setattr(rows, "LISTED_MOST", 100)
    with RestStage() as stage:
        known = [stage.object(ROWS, name) for name in ("chat-a", "chat-b")]
        for number in range(3, LONG + 1):
            made = make.live(number, "v2") if number == LONG else make.superseded(number, "v1")
            known.append(stage.put(make.row_manifest(_row(number), make.of_app("chat"), made, make.created(number))))
        selected = {"fieldSelector": "spec.app=chat", "limit": "100"}
        first = {"metadata": {"resourceVersion": "9", "continue": "x"}, "items": known[:100]}
        second = {"metadata": {"resourceVersion": "9"}, "items": known[100:]}
        stage.script.on("GET", ROWS.path("demo"), first, query=selected).on(
            "GET", ROWS.path("demo"), second, query=selected | {"continue": "x"}
        )
        yield stage


def _requests(stage: RestStage, since: int) -> list[str]:
    return [sent.path for sent in stage.script.sent[since:] if sent.path.startswith(ROWS.path("demo"))]


def _history(stage: RestStage) -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}/deployments"


def test_a_page_that_nobody_has_read_reads_no_row_that_has_ended(long: RestStage) -> None:
    long_histories.read_ahead(long.context, threading.Event())
    for page in (2, 3, 5):
        before = len(long.script.sent)
        answer = long.get(f"{_history(long)}?page={page}")
        newest = LONG - (page - 1) * 25
        assert [each["sequence"] for each in answer] == list(range(newest, newest - 25, -1))
        assert _requests(long, before) == [ROWS.path("demo")], "one list, which proves that the caller may list rows"


def test_what_is_read_ahead_is_shown_to_no_caller_who_may_not_list_rows(long: RestStage) -> None:
    long_histories.read_ahead(long.context, threading.Event())
    long.script.on("GET", ROWS.path("demo"), failure(403, "Forbidden"))
    assert long.call("GET", f"{_history(long)}?page=2").error(404)["code"] == "not_found"


def test_a_history_is_read_ahead_once(long: RestStage) -> None:
    for expected in ([ROWS.path("demo")] * 2, []):
        before = len(long.script.sent)
        long_histories.read_ahead(long.context, threading.Event())
        assert _requests(long, before) == expected


def test_a_short_history_is_not_read_ahead(long: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LISTED_MOST", LONG)
    before = len(long.script.sent)
    long_histories.read_ahead(long.context, threading.Event())
    assert _requests(long, before) == []


def test_no_more_is_read_ahead_than_the_cache_holds(long: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "BYTES_MOST", 20_000)
    before = len(long.script.sent)
    for _ in range(2):
        long_histories.read_ahead(long.context, threading.Event())
    assert _requests(long, before) == [ROWS.path("demo")]
    answer = long.get(f"{_history(long)}?page=3")
    assert [each["sequence"] for each in answer] == list(range(LONG - 50, LONG - 75, -1))


def test_a_history_that_cannot_be_listed_is_read_when_somebody_asks(long: RestStage) -> None:
    long.script.on("GET", ROWS.path("demo"), failure(410, "Expired"), query={"continue": "x"})
    long_histories.read_ahead(long.context, threading.Event())
    answer = long.get(f"{_history(long)}?page=6")
    assert [each["sequence"] for each in answer] == list(range(LONG - 125, LONG - 150, -1))

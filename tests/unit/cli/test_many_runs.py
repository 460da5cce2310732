"""Lists of runs with many, short or empty pages, and a watch: each run is printed once, on whichever page it is."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from dynamiq_operator.cli import new_runs, patience
from dynamiq_operator.cli.commands import runs
from dynamiq_operator.cli.new_runs import NewRuns
from dynamiq_operator.cli.recorder import PROXY, Query, RecorderClient
from tests.support import factories as given
from tests.support import scripted_recorder as made
from tests.support.scripted import Reply
from tests.support.scripted_plugin import CtrlC, ScriptedPlugin
from tests.support.scripted_recorder import FAILED_RUN, RUN
from tests.support.waiting import eventually

RUNS = f"{PROXY}/v1/apps/{given.an_app().meta.uid}/runs"
BEGUN = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture(autouse=True)
def app(plugin: ScriptedPlugin) -> None:
    """Sets up App chat and a recorder."""
    plugin.app(given.stored(given.app_manifest()))
    plugin.records()


def test_many_runs_come_in_pages(plugin: ScriptedPlugin) -> None:
    first = made.a_page(*(made.a_run(),) * 500, total=600, cursor="more")
    plugin.script.on("GET", RUNS, first).on("GET", RUNS, made.a_page(*(made.a_run(),) * 100), query={"cursor": "more"})
    assert len(plugin("runs", "chat", "--limit", "600", "-o", "name").out.splitlines()) == 600
    assert [dict(sent.pairs)["page_size"] for sent in plugin.script.recorded] == ["500", "100"]


def test_pages_that_are_short_or_empty_are_no_end(plugin: ScriptedPlugin) -> None:
    few = made.a_page(made.a_run(), total=1, cursor="b")
    plugin.script.on("GET", RUNS, made.a_page(total=0, cursor="a")).on("GET", RUNS, few, query={"cursor": "a"})
    plugin.script.on("GET", RUNS, made.a_page(made.a_failed_run(), made.a_run(), made.a_run(), cursor="c"), query={"cursor": "b"})
    assert plugin("runs", "chat", "--limit", "4", "-o", "name").out.splitlines() == [RUN, FAILED_RUN, RUN, RUN]
    assert [dict(sent.pairs)["page_size"] for sent in plugin.script.recorded] == ["4", "4", "3"]


def test_a_cursor_that_leads_nowhere_is_followed_once(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", RUNS, made.a_page(cursor="a"))
    assert "no run of chat" in plugin("runs", "chat").err
    assert len(plugin.script.recorded) == 2


def test_a_long_search_shows_its_progress(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST", 0.05)
    printed = threading.Event()

    def late(_: object) -> dict[str, object]:
        printed.wait(0.3)  # nobody sets it: the answer comes late
        return made.a_page()

    plugin.script.on("GET", RUNS, made.a_page(made.a_run(), cursor="a")).on("GET", RUNS, late, query={"cursor": "a"})

    def said_aloud() -> bool:
        done = plugin("runs", "chat", "-o", "name")
        assert (done.code, done.out) == (0, f"{RUN}\n")
        return re.match(r"(reading the runs, \d found, \d+ s so far\n)+", done.err) is not None

    eventually("it says how far it is", said_aloud)  # a machine at a stand may say it too late


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the wait between two reads of a watch."""
    monkeypatch.setattr(runs, "EVERY", 0.01)


def numbered(*numbers: int) -> list[dict[str, Any]]:
    """Returns runs by their start, one each 100 microseconds of the last hour, newest first."""
    times = {number: f"{BEGUN + timedelta(microseconds=100 * number):%Y-%m-%dT%H:%M:%S.%f}Z" for number in numbers}
    return [made.a_run(id=f"11111111-0000-4000-8000-{number:012}", started_at=times[number]) for number in sorted(numbers, reverse=True)]


def ids(runs: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in runs]


@pytest.mark.usefixtures("at_once")
def test_watching_prints_each_run_once_when_it_comes(plugin: ScriptedPlugin, ctrl_c: CtrlC) -> None:
    now, later = made.a_page(*numbered(1, 2)), made.a_page(*numbered(1, 2, 3))
    plugin.script.on("GET", RUNS, now, now, later, ctrl_c(Reply(body=later)))
    done = plugin("runs", "chat", "--watch", "-o", "name")
    assert (done.code, done.out.splitlines()) == (130, ids(numbered(3, 2, 1))[::-1])


@pytest.mark.usefixtures("at_once")
def test_watching_takes_no_run_that_was_there_for_a_new_one(plugin: ScriptedPlugin, ctrl_c: CtrlC) -> None:
    """Runs that were already there are not new: neither those after the shown ones, nor those after the first reads. Run 701 ends late."""
    first, shown = made.a_page(*numbered(*range(600, 1600, 2)), cursor="old"), made.a_page(*numbered(*range(1550, 1600, 2)), cursor="old")
    later = made.a_page(*numbered(701, *range(602, 1600, 2)), cursor="old")
    plugin.script.on("GET", RUNS, first, shown, later, ctrl_c(Reply(body=later)))
    plugin.script.on("GET", RUNS, made.a_page(*numbered(*range(2, 602, 2))), query={"cursor": "old"})
    done = plugin("runs", "chat", "--watch", "-o", "name")
    assert done.out.splitlines() == [*ids(numbered(*range(1550, 1600, 2)))[::-1], *ids(numbered(701))]
    assert dict(plugin.script.recorded[-1].pairs)["from"] == numbered(600)[0]["started_at"]


@pytest.mark.usefixtures("at_once")
def test_a_long_watch_forgets_the_oldest_and_prints_none_of_them_again(
    plugin: ScriptedPlugin, ctrl_c: CtrlC, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_runs, "REMEMBERED", 4)
    pages = [made.a_page(*numbered(*range(2, count, 2))) for count in (5, 5, 7, 9, 11, 13)]
    late = made.a_page(*numbered(1, 11, *range(2, 13, 2)))
    plugin.script.on("GET", RUNS, *pages, late, ctrl_c(Reply(body=late)))
    done = plugin("runs", "chat", "--watch", "-o", "name")
    assert done.out.splitlines() == [*ids(numbered(*range(2, 13, 2)))[::-1], *ids(numbered(11))]


@pytest.mark.usefixtures("at_once")
def test_watching_finds_more_new_runs_than_a_page_has_and_those_that_ended_late(plugin: ScriptedPlugin, ctrl_c: CtrlC) -> None:
    now = made.a_page(*numbered(1, 3))
    first, second = made.a_page(*numbered(*range(201, 701)), cursor="more"), made.a_page(*numbered(*range(1, 201)))
    plugin.script.on("GET", RUNS, now, now, first, ctrl_c(Reply(body=first)))
    plugin.script.on("GET", RUNS, second, query={"cursor": "more"})
    done = plugin("runs", "chat", "--watch", "-o", "name")
    assert done.out.splitlines() == ids(numbered(1, 3))[::-1] + ids(numbered(2, *range(4, 701)))[::-1]


class ListingRecorder:
    """A recorder with these runs that notes the start of each requested time range."""

    def __init__(self, *runs: dict[str, Any]) -> None:
        self.runs, self.asked = list(runs), list[str]()

    def listed(self, path: str, query: Query, most: int) -> Iterator[dict[str, Any]]:
        self.asked.append(dict(query)["from"])
        yield from self.runs


@pytest.mark.parametrize("since", [[], [("from", "2026-11-20T10:00:00.000000Z")]], ids=["all", "since then"])
def test_watching_a_rare_filter_looks_no_further_back_the_longer_it_goes_on(since: Query) -> None:
    """A run that started a day ago and has ended since the last read is still found."""
    began = now = datetime(2026, 11, 27, 10, tzinfo=UTC)
    recorder = ListingRecorder()
    new = NewRuns(cast(RecorderClient, recorder), "/runs", since, now=lambda: now)
    for hours in (1, 2, 48):
        now = began + timedelta(hours=hours)
        assert new.read() == []
    recorder.runs = [made.a_run(started_at="2026-11-28T10:00:01.000000Z")]
    now += timedelta(seconds=2)
    assert new.read() == recorder.runs
    assert [begin[:16] for begin in recorder.asked] == [
        "2026-11-26T10:00",
        "2026-11-26T10:00",
        "2026-11-26T11:00",
        "2026-11-26T12:00",
        "2026-11-28T10:00",
    ]


def test_watching_finds_a_background_run_that_waited_for_days() -> None:
    now = datetime(2026, 11, 27, 10, tzinfo=UTC)
    times = {"started_at": "2026-11-20T10:00:00.000000Z", "ended_at": "2026-11-27T10:00:01.500000Z"}
    background, old = made.a_run(**times, busy_ms=750.0), made.a_run(**times, busy_ms=86_500_000.0)
    recorder = ListingRecorder()
    new = NewRuns(cast(RecorderClient, recorder), "/runs", [], now=lambda: now)
    recorder.runs = [background, old]
    assert (new.read(), new.read()) == ([background], [])
    assert new_runs._place(background) == "2026-11-27T10:00:00.750000Z"


class SlowTime:
    """A clock that advances while the code waits. Ctrl-C ends the command after more than `waits` waits."""

    def __init__(self, waits: int) -> None:
        self.now, self.waits, self.waited = 0.0, waits, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        if len(self.waited) == self.waits:
            raise KeyboardInterrupt
        self.waited.append(seconds)
        self.now += seconds


def test_a_slow_recorder_is_read_at_most_half_of_the_time(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    time, reads = SlowTime(waits=4), iter((30.0, 0.5, 7.0))

    def read(_: NewRuns) -> list[dict[str, Any]]:
        time.now += next(reads, 0.0)
        return []

    monkeypatch.setattr(runs, "time", time)
    monkeypatch.setattr(NewRuns, "read", read)
    plugin.script.on("GET", RUNS, made.a_page())
    assert (plugin("runs", "chat", "--watch").code, time.waited) == (130, [2.0, 30.0, 2.0, 7.0])

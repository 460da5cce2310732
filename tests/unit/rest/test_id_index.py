"""The index of ids over a scripted API server: it lists, watches, and lists again for an unknown id."""

from __future__ import annotations

import itertools
import threading
import time
import tracemalloc
import uuid
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes import client as kubernetes

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import METADATA, METADATA_ONE, PAGE, TABLE
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.kube import id_index
from dynamiq_operator.rest.kube.client import ApiServer
from dynamiq_operator.rest.kube.entries import owned_by
from dynamiq_operator.rest.kube.id_index import WAITING_MOST, IdIndex
from tests.support.rest_stage import UNKNOWN, RestStage
from tests.support.scripted import Answer, Reply, Script, ScriptedServer, Sent, failure, listed
from tests.support.waiting import IN_TIME

PATH = APPS.path()
PATIENCE = IN_TIME
ROW_BYTES_MOST = 700


def _app(name: str, version: int = 1, **meta: Any) -> Manifest:
    return {"metadata": {"name": name, "namespace": "demo", "uid": f"uid-of-{name}", "resourceVersion": str(version), **meta}}


def _event(kind: str, made: Manifest) -> Manifest:
    return {"type": kind, "object": made}


def _watch(*events: Any) -> Reply:
    return Reply(stream=events)


def _index(server: ScriptedServer) -> IdIndex:
    """Returns an index over a server, which nothing updates yet."""
    configuration = kubernetes.Configuration()
    configuration.host = server.url
    return IdIndex(ApiServer(configuration).own)


@contextmanager
def _watching(script: Script, *watches: Answer) -> Iterator[IdIndex]:
    """Yields the index of Apps after these watches, one after the other, once the next watch has begun."""
    came, ends, over = threading.Event(), threading.Event(), threading.Event()

    def last(_: Sent) -> Reply:
        came.set()
        return Reply(stream=(None for _ in iter(over.wait, True)))

    script.on("GET", PATH, *watches, last, query={"watch": "true"})
    with ScriptedServer(script) as server:
        index = _index(server)
        thread = threading.Thread(target=index.of(APPS).run, args=(ends,), daemon=True)
        thread.start()
        try:
            assert came.wait(PATIENCE), script.sent
            yield index
        finally:
            ends.set()
            over.set()
            thread.join(PATIENCE)
            assert not thread.is_alive()


def _watched_from(script: Script) -> list[str]:
    return [sent.query["resourceVersion"] for sent in script.sent if "watch" in sent.query]


def test_the_index_follows_the_events_of_a_watch(caplog: pytest.LogCaptureFixture) -> None:
    script = Script().on("GET", PATH, listed(_app("a"), _app("b"), version="5"))
    bookmark = _event("BOOKMARK", {"metadata": {"resourceVersion": "12"}})
    events = [_event("ADDED", _app("c", 10)), _event("DELETED", _app("a", 11)), _event("MODIFIED", _app("b", 11)), bookmark]
    with _watching(script, _watch(*events)) as index:
        assert {entry.name for entry in index.of(APPS).all()} == {"b", "c"}
        assert index.of(APPS).named("demo", "c") == index.find(APPS, "uid-of-c")
        assert _watched_from(script) == ["5", "12"], "it goes on from where it was"
        assert {sent.headers["Accept"] for sent in script.sent} == {METADATA, METADATA_ONE}
        assert len(script.bodies("GET", PATH)) == 3, "everything is listed once"
    assert not caplog.records


@pytest.mark.parametrize(
    ("expired", "logged"),
    [
        (failure(410, "Expired", "too old resource version"), "too old resource version"),
        (Reply(410, b""), f"GET {PATH}: HTTP 410"),
        (_watch(_event("ERROR", {"code": 410, "reason": "Expired", "message": "too old resource version"})), "too old resource version"),
        (_watch({"type": "ADDED", "object": {"kind": "nothing of ours"}}), "apps"),
    ],
)
def test_after_a_gap_everything_is_listed_again(expired: Reply, logged: str, caplog: pytest.LogCaptureFixture) -> None:
    script = Script().on("GET", PATH, listed(_app("a"), version="5"), listed(_app("b", 8), version="9"))
    with _watching(script, expired) as index:
        assert [entry.name for entry in index.of(APPS).all()] == ["b"]
        assert _watched_from(script) == ["5", "9"]
    messages = [record.message for record in caplog.records if "apps" in record.message]
    assert [message for message in messages if logged in message]


@pytest.mark.parametrize("broken", [Reply(cut=True), _watch(b'{"type": "ADDED", "obj'), failure(503, "ServiceUnavailable")])
def test_a_watch_that_breaks_goes_on_from_where_it_was(broken: Reply) -> None:
    script = Script().on("GET", PATH, listed(_app("a"), version="5"))
    with _watching(script, broken) as index:
        assert [entry.name for entry in index.of(APPS).all()] == ["a"]
        assert set(_watched_from(script)) == {"5"}


def test_a_list_that_fails_is_tried_again() -> None:
    script = Script().on("GET", PATH, failure(503, "ServiceUnavailable"), listed(_app("a"), version="5"))
    with _watching(script) as index:
        assert [entry.name for entry in index.of(APPS).all()] == ["a"]
        assert index.of(APPS).listed.is_set()
        assert not index.is_ready, "the other kinds were not listed"


def test_an_older_list_takes_nothing_out_that_came_after_it() -> None:
    script = Script().on("GET", PATH, listed(version="5"))
    with _watching(script) as index:
        index.of(APPS).put(_app("new", 9))
        index.of(APPS).list()
        assert index.find(APPS, "uid-of-new") is not None


# Unknown ids.


def test_an_object_that_another_replica_just_created_is_found(stage: RestStage) -> None:
    made = {**_app("new", 9, uid=UNKNOWN, creationTimestamp="2026-11-24T12:00:00Z"), "spec": {"workflow": "chat"}}
    stage.script.on("GET", PATH, listed(made))
    stage.script.on("GET", APPS.path("demo", "new"), made)
    assert stage.get(f"/v1/apps/{UNKNOWN}")["name"] == "new"


def test_an_unknown_id_is_answered_after_a_slow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "FIND_WITHIN", 12.0)

    def slow(_: Sent) -> Manifest:
        time.sleep(3.2)  # four times as long is more than who asks next would wait
        return listed(version="6")

    script = Script().on("GET", PATH, listed(version="5"), slow, listed(version="7"))
    with _watching(script) as index:
        assert [index.find(APPS, UNKNOWN) for _ in range(2)] == [None, None]


def test_an_id_that_cannot_be_searched_is_not_reported_as_unknown(stage: RestStage) -> None:
    stage.script.on("GET", PATH, failure(503, "ServiceUnavailable", "away"))
    assert "away" in stage.call("GET", f"/v1/apps/{UNKNOWN}").error(503)["message"]


def test_a_row_takes_little_memory() -> None:
    """10,000 Apps with 20 rows each are to fit into 250 MiB, of which the program itself takes 100."""
    index, apps = IdIndex(ApiServer(kubernetes.Configuration()).own).of(ROWS), 100
    tracemalloc.start()
    try:
        for app, sequence in itertools.product(range(apps), range(1, 21)):
            number = 1_000_000 + 20 * app + sequence
            created = f"2026-11-24T12:{app % 60:02d}:{sequence:02d}Z"
            meta = {"uid": str(uuid.uuid4()), "creationTimestamp": created, "ownerReferences": [{"kind": "App", "uid": f"uid-of-{app}"}]}
            pinned = {"createdAt": created, "workflowVersion": "v1", "runtime": {"version": "1.0.0"}}
            spec = {"app": f"chat-{app}", "sequence": sequence, "createdBy": "anna@example.com", "message": f"{sequence}", "pinned": pinned}
            index.put({**_app(f"chat-{app}-{number:x}", number, **meta), "spec": spec, "status": {"phase": "Superseded"}})
        bytes_taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert index.count([owned_by("demo", f"uid-of-{app}") for app in range(apps)]) == 20 * apps
    assert bytes_taken / (20 * apps) < ROW_BYTES_MOST


def test_a_limited_number_of_unknown_ids_is_searched_at_once(stage: RestStage) -> None:
    may_answer = threading.Event()

    def slow(_: Sent) -> Manifest:
        assert may_answer.wait(PATIENCE)
        return listed()

    stage.script.on("GET", PATH, slow)
    before = len(stage.script.bodies("GET", PATH))
    with ThreadPoolExecutor(WAITING_MOST + 1) as pool:
        futures = [pool.submit(stage.context.index.find, APPS, f"uid-{number}") for number in range(WAITING_MOST + 1)]
        done, waiting = wait(futures, PATIENCE, FIRST_COMPLETED)
        (refused,) = done
        with pytest.raises(errors.Unavailable, match="too many"):
            refused.result()
        may_answer.set()
        assert [each.result(PATIENCE) for each in waiting] == [None] * WAITING_MOST
    assert len(stage.script.bodies("GET", PATH)) - before <= 2, "they share a list"


@pytest.mark.parametrize(
    ("told", "lists"),
    [
        (_event("BOOKMARK", {"metadata": {"resourceVersion": "9"}}), 1),
        (_event("BOOKMARK", {"metadata": {"resourceVersion": "8"}}), 2),
        (_event("ERROR", {"code": 410, "reason": "Expired", "message": "too old resource version"}), 2),
        (_event("ADDED", {"kind": "nothing of ours"}), 2),
    ],
)
def test_a_watch_that_ends_early_does_not_prove_that_an_id_is_unknown(told: Any, lists: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of many objects reads the missed changes in one short watch. If that does not reach the end, it lists."""
    monkeypatch.setattr(id_index, "LISTED_MOST", 0)
    monkeypatch.setattr(id_index, "CATCH_UP_SECONDS", 60)
    script = Script().on("GET", PATH, listed(_app("a"), version="5"), listed(_app("a"), _app("b", 9), version="9"))
    script.on("GET", PATH, listed(_app("a"), version="9"), query={"limit": "1"})
    script.on("GET", PATH, _watch(told), query={"watch": "true"})
    with ScriptedServer(script) as server:
        index = _index(server)
        index.of(APPS).list()
        assert (index.find(APPS, "uid-of-b") is not None) is (lists == 2)
        assert _watched_from(script) == ["5"]
        assert sum(sent.query.get("limit") == str(PAGE) for sent in script.sent) == lists


# Rows: their order and end are not in their metadata.


def _table(*rows: tuple[str, str, int | None, str], columns: bool = True, version: int = 9) -> Manifest:
    """Returns rows as the API server prints them: name, App, sequence, phase. A watch names the columns once."""
    return {
        "metadata": {"resourceVersion": str(version)},
        "columnDefinitions": [{"name": name} for name in ("Name", "APP", "SEQ", "STATUS")] if columns else None,
        "rows": [{"cells": list(row), "object": _app(row[0], version)} for row in rows],
    }


def test_rows_are_in_the_order_of_their_sequence_whatever_they_are_called() -> None:
    rows = IdIndex(ApiServer(kubernetes.Configuration()).own).of(ROWS)
    every = [("b", 2), ("d", None), ("a", 3), ("c", 1)]
    for name, sequence in every:
        rows.put({**_app(name, creationTimestamp="2026-11-24T12:00:00Z"), "spec": {"app": "chat", "sequence": sequence}})

    def names(begin: int, size: int, *, newest_first: bool = True) -> str:
        return "".join(entry.name for entry in rows.part(("demo/chat", "of-nobody"), begin, size, newest_first=newest_first)[0])

    assert [names(0, 9), names(0, 2), names(2, 2), names(4, 9), names(0, 9, newest_first=False)] == ["dabc", "da", "bc", "", "cbad"]
    owner = [{"kind": "App", "uid": "uid-of-chat"}]
    rows.put({**_app("a", 2, ownerReferences=owner), "spec": {"app": "chat", "sequence": 3}})
    rows.put({**_app("c", 2, ownerReferences=owner), "spec": {"app": "chat", "sequence": 1}})
    both = rows.part((owned_by("demo", "uid-of-chat"), "demo/chat"), 0, 9, newest_first=True)
    assert ("".join(entry.name for entry in both[0]), both[1]) == ("dabc", 4)
    rows.remove("uid-of-d")
    assert names(0, 9) == "b"


def test_a_row_that_failed_without_a_number_is_older_than_all_that_have_one() -> None:
    """Its App was not created in time, and may exist since."""
    rows = IdIndex(ApiServer(kubernetes.Configuration()).own).of(ROWS)
    created = "2026-11-24T12:00:00Z"
    rows.put({**_app("early", creationTimestamp=created), "spec": {"app": "chat"}})
    rows.put({**_app("first", creationTimestamp=created), "spec": {"app": "chat", "sequence": 1}})

    def shown() -> list[str]:
        return [entry.name for entry in rows.part(("demo/chat",), 0, 9, newest_first=True)[0]]

    assert shown() == ["early", "first"]
    rows.put({**_app("early", 2, creationTimestamp=created), "spec": {"app": "chat"}, "status": {"phase": "Failed"}})
    assert shown() == ["first", "early"]


@pytest.mark.parametrize("first", [(), (_event("BOOKMARK", _table(("", "", None, ""), version=10)),)], ids=["a row", "a bookmark"])
def test_rows_are_listed_and_watched_as_they_are_printed(first: tuple[Any, ...]) -> None:
    came, over = threading.Event(), threading.Event()

    def last(_: Sent) -> Reply:
        came.set()
        return Reply(stream=(None for _ in iter(over.wait, True)))

    path, ends = ROWS.path(), threading.Event()
    events = (
        *first,  # the first event has the names of the columns, whatever it is
        _event("ADDED", _table(("b", "chat", None, "Pending"), columns=not first, version=10)),
        _event("MODIFIED", _table(("b", "chat", 2, "Live"), columns=False, version=11)),
        _event("MODIFIED", _table(("a", "chat", 1, "Superseded"), columns=False, version=12)),
        _event("BOOKMARK", _table(("", "", None, ""), columns=False, version=13)),
        _event("DELETED", _table(("c", "chat", 3, "Failed"), columns=False, version=14)),
    )
    script = Script().on("GET", path, _table(("a", "chat", 1, "Live"), ("c", "chat", 3, "Failed")))
    script.on("GET", path, _watch(*events), last, query={"watch": "true"})
    with ScriptedServer(script) as server:
        rows = _index(server).of(ROWS)
        thread = threading.Thread(target=rows.run, args=(ends,), daemon=True)
        thread.start()
        try:
            assert came.wait(PATIENCE), script.sent
            found, total = rows.part(("demo/chat",), 0, 9, newest_first=True)
            assert [(row.name, row.sequence, row.is_closed) for row in found] == [("b", 2, False), ("a", 1, True)]
            assert total == 2
        finally:
            ends.set()
            over.set()
            thread.join(PATIENCE)
    assert _watched_from(script) == ["9", "14"]
    assert {sent.headers["Accept"] for sent in script.sent} == {TABLE}, "the index has no whole row"


def _present_until(version: int) -> Manifest:
    """Returns the bookmark after all that was present, in a watch of tables."""
    table = _table(("", "", None, ""), columns=False, version=version)
    table["rows"][0]["object"] = {"metadata": {"resourceVersion": str(version), "annotations": {"k8s.io/initial-events-end": "true"}}}
    return _event("BOOKMARK", table)


BEGINNING = (
    _event("ADDED", _table(("a", "chat", 1, "Superseded"), version=4)),
    _event("ADDED", _table(("b", "chat", 2, "Live"), columns=False, version=5)),
    _event("ADDED", _table(("c", "chat", 3, "Pending"), columns=False, version=6)),
    _event("DELETED", _table(("b", "chat", 2, "Live"), columns=False, version=7)),
    _event("MODIFIED", _table(("c", "chat", 3, "Live"), columns=False, version=8)),
)


@pytest.mark.parametrize(
    ("present", "pages"),
    [
        (_watch(*BEGINNING, _present_until(9)), 1),
        (failure(422, "Invalid", "sendInitialEvents is forbidden for watch"), 2),
        (_watch(*BEGINNING), 2),
        (_watch(*BEGINNING, _event("BOOKMARK", _table(("", "", None, ""), columns=False, version=9))), 2),
        (_watch(*BEGINNING[:2], _event("ERROR", {"code": 500, "reason": "InternalError", "message": "too slow"})), 2),
        (Reply(cut=True), 2),
    ],
    ids=["all", "unknown there", "ends early", "another bookmark", "error", "cut"],
)
def test_more_than_a_page_comes_by_one_watch_and_else_in_pages(present: Reply, pages: int) -> None:
    first = _table(("a", "chat", 1, "Superseded"))
    first["metadata"]["continue"] = "more"
    script = Script().on("GET", ROWS.path(), first)
    script.on("GET", ROWS.path(), _table(("c", "chat", 3, "Live")), query={"continue": "more"})
    script.on("GET", ROWS.path(), present, query={"watch": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"})
    with ScriptedServer(script) as server:
        rows = _index(server).of(ROWS)
        assert rows.list() == "9"
        found, _ = rows.part(("demo/chat",), 0, 9, newest_first=True)
    assert [(row.name, row.sequence, row.row and row.row.phase) for row in found] == [("c", 3, "Live"), ("a", 1, "Superseded")]
    assert sum("limit" in sent.query for sent in script.sent) == pages


def test_a_listener_gets_each_change_once(stage: RestStage) -> None:
    heard: list[tuple[str, int, bool]] = []
    index = stage.context.index.of(APPS)
    index.listen(lambda entry, is_deleted: heard.append((entry.name, entry.version, is_deleted)))
    for version in (7, 7, 6, 8):
        index.put(_app("new", version))
    index.remove("uid-of-new")
    index.remove("uid-of-new")
    index.put(_app("new", 9))
    assert heard == [("new", 7, False), ("new", 8, False), ("new", 8, True)]

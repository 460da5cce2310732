"""Lists the documented requests of an App's hostname, by hand from the product's contract, each with what has to come of it.

Each field is served, and then reaches the flow or the answer, or it is refused by its name. `check` sends one case to an App whose flow is
READS, with the Access Key KEY and the origin ORIGIN.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.support.flows import a_flow
from tests.support.runtime import DEADLINE, events_in

KEY, ORIGIN = "key-of-the-app", "https://app.example.com"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
"""A token of the management API, by its shape."""
READS = a_flow(
    "def run(d):\n    shown = dict(d)\n    if 'files' in d:\n"
    "        shown['files'] = [[f.name, f.content_type, f.read().decode()] for f in d['files']]\n"
    "    if d.get('fails'):\n        raise ValueError('on purpose')\n    return shown\n"
)
"""A flow that answers with what it was given, as `result`, with names, types and texts of files."""
SESSION = "0b6c1c0e-7a3f-4b9e-9a52-6f2f6f1d8f10"
UPLOAD = (("input", '{"input": "hi"}'), ("stream", "false"))
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
Part = tuple[str, str] | tuple[str, str, bytes]
"""Name and text of a form's part; or name, name of a file, and its content."""


@dataclass(frozen=True)
class Case:
    """One request; `raw` in place of a JSON `body`. `reaches`: what the flow is given. `code`, `names`: of the refusal, and a field that its details name.

    `run`: fields of the run in the answer. `events`: names of the events that it answers with. `sent`: headers of the answer.
    """

    name: str
    method: str = "POST"
    path: str = "/"
    body: Any = None
    raw: bytes | None = None
    form: tuple[Part, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = KEY
    status: int = 200
    reaches: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None
    names: str | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    sent: Mapping[str, str] = field(default_factory=dict)


def _refused(name: str, field_name: str, value: Any, *, status: int = 400, code: str = "bad_request", **others: Any) -> Iterator[Case]:
    """Yields a field that is refused by name, on both paths."""
    for path in ("/", "/v1/runs"):
        body = {"input": {}, field_name: value, **others}
        yield Case(f"{name}, {path}", path=path, body=body, status=status, code=code, names=field_name)


def _wrong_callback(names: str, **callback: Any) -> Iterator[Case]:
    """Yields a callback that is refused by the name of its part, on both paths."""
    for path in ("/", "/v1/runs"):
        body = {"input": {}, "execution_mode": "async", "callbacks": [{"url": "https://b.example"}, callback]}
        name = f"callback with {names} {str(callback.get(names))[:40]!r}, {path}"
        yield Case(name, path=path, body=body, status=400, code="bad_request", names=f"callbacks.1.{names}")


WRONG_URLS = (
    *(
        "http://a.example",
        "a.example",
        "https://user@a.example/",
        "https://a.example/#part",
        "https://a.example:0/",
        "https://a.example:70000/",
    ),
    *("https://a.example\\@b.example/", "https://a .example/", "https://a.example/\n", "https://ä.example/", "https://a..example/"),
    *("https://127.0.0.1/", "https://10.0.0.1:8443/", "https://169.254.169.254/latest", "https://[::1]/", "https://[::ffff:127.0.0.1]/"),
    *(
        "https://[64:ff9b::a00:1]/",
        "https://[fd00::1]/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
    ),
    *("https://a.example/" + "x" * 2048, ""),
)
"""Texts that are no URL of a callback."""


def _without_journal(method: str, path: str) -> Case:
    """Returns a request that only a pod with a journal serves."""
    return Case(f"{method} {path}", method, path, status=501, code="no_journal", names="background")


def _unserved(method: str, path: str, template: str) -> Case:
    return Case(f"{method} {template}", method, path, status=501, code="not_served", names=f"{method} {template}")


def _both(name: str, **options: Any) -> Iterator[Case]:
    """Yields a request that is served on both paths; on `/v1/runs` the run has what reaches the flow, too."""
    for path in ("/", "/v1/runs"):
        yield Case(f"{name}, {path}", path=path, **options)


CASES: tuple[Case, ...] = (
    # Keys
    Case("no key", key=None, body={"input": {}}, status=401, code="unauthorized", sent={"WWW-Authenticate": "Bearer"}),
    Case("wrong key", key="another", body={"input": {}}, status=401, code="unauthorized"),
    Case("management token", key=TOKEN, body={"input": {}}, status=403, code="forbidden"),
    Case("no key, run", path="/v1/runs", key=None, body={"input": {}}, status=401, code="unauthorized"),
    # Validation and media types
    Case("another media type", headers={"Content-Type": "application/xml"}, body={"input": {}}, status=415, code="not_json"),
    Case("no object", body=[1], status=400, code="bad_request", names="body"),
    Case("no input", body={"stream": False}, status=400, code="bad_request", names="input"),
    *_refused("input is no object", "input", "text"),
    *_refused("unknown field", "temperature", 0.5),
    Case("unknown path", "POST", "/v1/nothing", body={}, status=404, code="not_found"),
    # POST / and POST /v1/runs, JSON
    *_both("input", body={"input": {"question": "Hello?", "n": 1}}, reaches={"question": "Hello?", "n": 1}),
    Case("run", path="/v1/runs", body={"input": {}}, run={"status": "completed", "reason": "succeeded", "input_requests": []}),
    *_both("stream is false", body={"input": {"n": 1}, "stream": False}, reaches={"n": 1}),
    Case("stream", body={"input": {"n": 1}, "stream": True}, reaches={"n": 1}, events=("message", "result")),
    Case("stream by Accept", headers={"Accept": "text/event-stream"}, body={"input": {"n": 1}}, reaches={"n": 1}, events=("message", "result")),
    Case("stream of a run", path="/v1/runs", body={"input": {"n": 1}, "stream": True}, reaches={"n": 1}, events=("run.started", "run.completed")),
    *_refused("stream is no bool", "stream", "yes"),
    *_both("user", body={"input": {}, "user_id": "ada"}, reaches={"user_id": "ada"}),
    *_both("session", body={"input": {}, "session_id": SESSION}, reaches={"session_id": SESSION}),
    Case("ids in a run", path="/v1/runs", body={"input": {}, "user_id": "ada", "session_id": SESSION}, run={"user_id": "ada", "session_id": SESSION}),
    *_both("ids in the input, too", body={"input": {"user_id": "ada"}, "user_id": "ada"}, reaches={"user_id": "ada"}),
    *_refused("user is no text", "user_id", 7),
    *_refused("session is empty", "session_id", ""),
    *_refused("session has a line break", "session_id", "a\nb"),
    *_refused("session is blank", "session_id", "  "),
    Case("user of a header", path="/v1/runs", headers={"X-Dynamiq-User-Id": "bob"}, body={"input": {}}, run={"user_id": "bob"}),
    Case("a number that JSON lacks", headers={"Content-Type": "application/json"}, raw=b'{"input": {"n": 1e999}}', status=400, code="bad_request", names="body"),
    *_refused("session differs", "session_id", "one", input={"session_id": "another"}),
    Case("user differs from its header", headers={"X-Dynamiq-User-Id": "bob"}, body={"input": {}, "user_id": "ada"}, status=400, code="bad_request", names="user_id"),
    *_both("chat history", body={"input": {}, "chat_history": [{"role": "user", "content": "hi"}]}, reaches={"chat_history": [{"role": "user", "content": "hi"}]}),
    *_refused("chat history is no list", "chat_history", "hi"),
    *_both("last node's output", body={"input": {"n": 1}, "last_node_output": True}, reaches={"n": 1}),
    *_refused("last node's output is no bool", "last_node_output", "true"),
    *_both("error on a node's failure", body={"input": {"n": 1}, "error_on_node_failure": True}, reaches={"n": 1}),
    *_refused("no error on a node's failure", "error_on_node_failure", False, status=501, code="not_served"),
    Case("in the background", path="/v1/runs", body={"input": {}, "background": True}, status=501, code="no_journal", names="background"),
    *_both("asynchronous", body={"input": {}, "execution_mode": "async"}, status=501, code="no_journal", names="background"),
    Case("in the background, /", body={"input": {}, "background": True}, status=400, code="bad_request", names="background"),
    *_both("not in the background", body={"input": {"n": 1}, "background": False}, reaches={"n": 1}),
    *_refused("stream in the background", "stream", True, background=True),
    *_refused("unknown mode", "execution_mode", "later"),
    *_both("callbacks", body={"input": {}, "execution_mode": "async", "callbacks": [{"url": "https://a.example"}]}, status=501, code="no_journal", names="background"),
    Case("callbacks of a run in the background", path="/v1/runs", body={"input": {}, "background": True, "callbacks": [{"url": "https://a.example"}]}, status=501, code="no_journal", names="background"),
    *(each for url in WRONG_URLS for each in _wrong_callback("url", url=url)),
    *_wrong_callback("auth", url="https://a.example", auth={"type": "basic", "token": "t"}),
    *_wrong_callback("auth", url="https://a.example", auth={"type": "bearer", "token": "two words"}),
    *_wrong_callback("metadata", url="https://a.example", metadata=[1]),
    *_wrong_callback("metadata", url="https://a.example", metadata={"text": "x" * 4096}),
    *_wrong_callback("method", url="https://a.example", method="PUT"),
    *_refused("callbacks of a synchronous run", "callbacks", [{"url": "https://a.example"}]),
    *_refused("six callbacks", "callbacks", [{"url": "https://a.example"}] * 6, execution_mode="async"),
    *_refused("files as JSON", "files", [{"name": "a.txt"}]),
    *_refused("files by id", "file_ids", [SESSION], status=501, code="not_served"),
    *_refused("file ids are no list", "file_ids", "x"),
    # Failures
    Case("a run that fails", path="/v1/runs", body={"input": {"fails": True}}, status=500, code="node_failed", run={"status": "failed", "reason": "failed", "output": None}),
    Case("a call that fails", body={"input": {"fails": True}}, status=500, code="node_failed"),
    Case("a stream that fails", path="/v1/runs", body={"input": {"fails": True}, "stream": True}, events=("run.started", "run.failed")),
    # Forms
    *_both("form", form=UPLOAD, reaches={"input": "hi"}),
    *_both("form with ids", form=(*UPLOAD, ("user_id", "ada"), ("session_id", SESSION)), reaches={"user_id": "ada", "session_id": SESSION}),
    Case("form of a browser without ids", form=(*UPLOAD, ("user_id", "undefined"), ("session_id", "undefined")), reaches={"input": "hi"}),
    *_both("form with a history", form=(*UPLOAD, ("chat_history", '[{"role": "user"}]')), reaches={"chat_history": [{"role": "user"}]}),
    *_both("form with files", form=(*UPLOAD, ("files", "a.txt", b"one"), ("files", "b.csv", b"1,2")), reaches={"files": [["a.txt", "text/plain", "one"], ["b.csv", "text/csv", "1,2"]]}),
    Case("form, streamed", form=(UPLOAD[0], ("stream", "true")), reaches={"input": "hi"}, events=("message", "result")),
    Case("form without input", form=(("stream", "true"),), status=400, code="bad_request", names="input"),
    Case("form with an unknown part", form=(*UPLOAD, ("colour", "red")), status=400, code="bad_request", names="colour"),
    Case("form with a wrong bool", form=(UPLOAD[0], ("stream", "1")), status=400, code="bad_request", names="stream"),
    Case("form with input that is no JSON", form=(("input", "{"),), status=400, code="bad_request", names="input"),
    Case("form with a program", form=(*UPLOAD, ("files", "a.txt", b"\x7fELF" + b"\0" * 60)), status=400, code="bad_request", names="files[0]"),
    *_both("form, asynchronous", form=(*UPLOAD, ("execution_mode", "async"), ("callbacks", '[{"url": "https://a.example"}]')), status=501, code="no_journal", names="background"),
    *_both("form with callbacks that are no JSON", form=(*UPLOAD, ("execution_mode", "async"), ("callbacks", "[")), status=400, code="bad_request", names="callbacks"),
    Case("form in the background", form=(*UPLOAD, ("background", "true")), path="/v1/runs", status=501, code="no_journal", names="background"),
    # Browsers
    Case("preflight", "OPTIONS", key=None, headers=PREFLIGHT, status=204, sent={"Access-Control-Allow-Origin": ORIGIN, "Vary": "Origin"}),
    Case("preflight of a run", "OPTIONS", "/v1/runs", key=None, headers=PREFLIGHT, status=204, sent={"Access-Control-Allow-Origin": ORIGIN}),
    Case("preflight of another origin", "OPTIONS", key=None, headers={**PREFLIGHT, "Origin": "https://b.example"}, status=403, code="origin_not_allowed"),
    *_both("call of a page", headers={"Origin": ORIGIN}, body={"input": {"n": 1}}, reaches={"n": 1}, sent={"Access-Control-Allow-Origin": ORIGIN}),
    Case("call of a page without a key", key=None, headers={"Origin": ORIGIN}, body={"input": {}}, status=401, code="unauthorized", sent={"Access-Control-Allow-Origin": ORIGIN}),
    Case("call of another page", headers={"Origin": "https://b.example"}, body={"input": {}}, status=403, code="origin_not_allowed"),
    Case("form of another page", headers={"Origin": "null"}, form=UPLOAD, status=403, code="origin_not_allowed"),
    Case("probe of another page", "GET", "/readyz", key=None, headers={"Origin": "https://b.example"}),
    Case("WebSocket of runs", "GET", "/v1/runs", headers={"Upgrade": "websocket", "Connection": "Upgrade"}, status=501, code="not_served", names="WebSocket"),
    Case("WebSocket", "GET", headers={"Upgrade": "websocket", "Connection": "Upgrade"}, status=501, code="not_served", names="WebSocket"),
    # Calls that later versions serve
    _unserved("POST", "/v1/files", "/v1/files"),
    _without_journal("GET", "/v1/runs?status=completed&page=2&page_size=10"),
    _without_journal("GET", f"/v1/runs/{SESSION}"),
    _without_journal("POST", f"/v1/runs/{SESSION}/cancel"),
    _without_journal("POST", f"/v1/runs/{SESSION}/input"),
    _without_journal("GET", f"/v1/runs/{SESSION}/events"),
    _without_journal("GET", f"/v1/runs/{SESSION}/stream?after_sequence=3"),
    _unserved("GET", "/v1/requirements", "/v1/requirements"),
    _unserved("GET", "/v1/requirements/status?user_id=ada", "/v1/requirements/status"),
    _unserved("POST", "/v1/connect/tokens", "/v1/connect/tokens"),
    _unserved("DELETE", f"/v1/requirements/{SESSION}/connections?user_id=ada", "/v1/requirements/{id}/connections"),
)  # fmt: skip


def check(url: str, case: Case) -> None:
    """Sends a case to the App at `url`, which has no slash at its end, and asserts what has to come of it."""
    headers = dict(case.headers) | ({"Authorization": f"Bearer {case.key}"} if case.key else {})
    options: dict[str, Any] = {}
    if case.form:
        options["files"] = [(part[0], (None, part[1]) if len(part) == 2 else (part[1], part[2])) for part in case.form]
    elif case.body is not None or case.raw is not None:
        options["data"] = case.raw or json.dumps(case.body)
        headers = {"Content-Type": "application/json"} | headers
    answer = requests.request(case.method, url + case.path, headers=headers, timeout=DEADLINE, **options)
    assert answer.status_code == case.status, (case.name, answer.text)
    assert {name: answer.headers.get(name) for name in case.sent} == case.sent, case.name
    if answer.headers.get("Content-Type", "").startswith("text/event-stream"):
        _check_events(case, events_in(answer.content.decode()))
    elif answer.content:
        _check_body(case, answer.json())


def _check_body(case: Case, body: Any) -> None:
    error = body.get("error", {})
    assert error.get("code") == case.code, (case.name, body)
    assert case.names is None or case.names in error["details"], (case.name, error)
    run = body.get("data") or {}
    assert {name: run.get(name) for name in case.run} == case.run, case.name
    if case.reaches:
        result = (run["output"] if case.path == "/v1/runs" else body)["result"]
        assert {name: result.get(name) for name in case.reaches} == case.reaches, case.name


def _check_events(case: Case, events: list[tuple[str, Any]]) -> None:
    assert tuple(name for name, _ in events) == case.events, case.name
    last = events[-1][1]
    if case.path == "/v1/runs":
        assert [each["sequence"] for _, each in events] == list(range(1, len(events) + 1))
        assert all(name == each["type"] and uuid.UUID(each["id"]) and each["timestamp"] for name, each in events)
        assert last["data"]["object"] == "run"
    if case.reaches:
        result = (last["data"]["output"] if case.path == "/v1/runs" else last)["result"]
        assert {name: result.get(name) for name in case.reaches} == case.reaches, case.name

"""Traces of an outside SDK: the App's own port forwards them to the recorder with the pod's token, never with the caller's key."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dynamiq_runtime.recorder_client import Recorder, Trust
from tests.support.recorder import Told, recording
from tests.support.runtime import DEADLINE, ECHO, Answer, Served, serving
from tests.support.waiting import eventually
from tests.unit.support.certificates import self_signed

RUNS = json.dumps({"runs": [{"id": "1", "name": "žluť"}]}).encode()
JSON = {"Content-Type": "application/json"}


def sent(served: Served, body: bytes = RUNS, **headers: str) -> Answer:
    return served.request("POST", "/v1/traces", body, {**JSON, "Authorization": "Bearer right", **headers})


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "default").write_text("right")
    (tmp_path / "token").write_text("pod-token")
    return {"DYNAMIQ_APP_ID": "uid-1", "DYNAMIQ_ACCESS_KEYS_DIR": str(tmp_path / "keys"), "DYNAMIQ_RECORDER_TOKEN": str(tmp_path / "token")}


def test_traces_go_on_to_the_recorder_with_the_pods_token(tmp_path: Path, keys: dict[str, str]) -> None:
    with recording() as recorder, serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url, **keys) as served:
        answer = sent(served)
        assert (answer.status, answer.body) == (200, {"partialSuccess": {}})
        assert sent(served, gzip.compress(RUNS), **{"Content-Encoding": "gzip"}).status == 200
        assert sent(served, b"\x0a", **{"Content-Type": "application/x-protobuf"}).status == 200
        assert [sent(served, Authorization="Bearer wrong").status, served.request("POST", "/v1/traces", RUNS, JSON).status] == [401, 401]
        assert [post.body for post in recorder.posts] == [RUNS, RUNS, b"\x0a"]
        assert {(post.headers["authorization"], post.headers["x-dynamiq-app-id"]) for post in recorder.posts} == {
            ("Bearer pod-token", "uid-1")
        }
        assert [post.headers["content-type"] for post in recorder.posts] == [JSON["Content-Type"]] * 2 + ["application/x-protobuf"]
        assert served.activity["runs"] == {"succeeded": 0, "failed": 0, "refused": 2}


def test_runs_of_a_public_app_cannot_be_sent(tmp_path: Path) -> None:
    """Callers of a public App show no key: anybody could send traces."""
    with recording() as recorder, serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        answer = sent(served)
        assert (answer.status, answer.body["error"]["code"], recorder.posts) == (403, "public_app", [])
        assert served.run({"n": 1}).status == 200


def test_responses_of_the_recorder_are_forwarded_but_for_errors_about_the_pod(tmp_path: Path, keys: dict[str, str]) -> None:
    with recording() as recorder, serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url, **keys) as served:
        recorder.told = Told(429, {"Retry-After": "7"})
        answer = sent(served)
        assert (answer.status, answer.headers["Retry-After"], answer.body["error"]["code"]) == (429, "7", "told")
        recorder.told = Told(400)
        assert sent(served).status == 400
        recorder.told = Told(401)
        answer = sent(served)
        assert (answer.status, answer.body["error"]["code"], answer.headers["Retry-After"]) == (503, "recorder_refuses", "5")
        assert served.activity["runs"] == {"succeeded": 0, "failed": 0, "refused": 0}


def test_a_missing_recorder_is_reported_at_once(tmp_path: Path, keys: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=f"http://127.0.0.1:{taken.getsockname()[1]}", **keys) as served:
            answer = sent(served)
            assert (answer.status, answer.body["error"]["code"], answer.headers["Retry-After"]) == (503, "recorder_away", "5")
    with serving(tmp_path, ECHO, **keys) as served:
        answer = sent(served)
        assert (answer.status, answer.body["error"]["code"]) == (501, "no_recorder")


def test_a_body_that_is_too_large_is_refused_and_so_is_one_that_only_grows_when_it_is_read(tmp_path: Path, keys: dict[str, str]) -> None:
    with recording() as recorder, serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url, **keys) as served:
        assert sent(served, b"x" * (8 << 20)).status == 200
        assert sent(served, gzip.compress(b"x" * (9 << 20)), **{"Content-Encoding": "gzip"}).status == 413
        assert len(recorder.posts) == 1


def test_a_recorder_that_does_not_answer_is_given_up_and_runs_go_on_meanwhile(tmp_path: Path, keys: dict[str, str]) -> None:
    with recording() as recorder, serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url, **keys) as served, ThreadPoolExecutor(6) as pool:
        recorder.told = Told(seconds=DEADLINE)
        began = time.monotonic()
        waiting = [pool.submit(sent, served) for _ in range(6)]
        eventually("some are under way", lambda: len(recorder.posts) >= 4, DEADLINE)
        assert served.run({"n": 1}, key="right").status == 200
        assert [answer.result().status for answer in waiting] == [503] * 6
        assert time.monotonic() - began < DEADLINE, "they waited until the recorder answered"


@contextlib.contextmanager
def unfinished(served: Served, senders: int, missing: int, length: int) -> Iterator[None]:
    """Opens `senders` calls with the right key that have sent all but the last `missing` of `length` bytes, and wait."""
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\nContent-Length: {length}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(senders):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=DEADLINE))
            with contextlib.suppress(ConnectionError):  # one too many is answered before its end
                connection.sendall(head + b"x" * (length - missing))
        yield


def test_callers_with_slow_bodies_block_no_other(tmp_path: Path, keys: dict[str, str]) -> None:
    with (
        recording() as recorder,
        serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url, **keys) as served,
        unfinished(served, 20, 10, 100),
    ):
        assert [sent(served).status for _ in range(3)] == [200] * 3


def test_bodies_are_bounded_by_what_they_hold_together(tmp_path: Path, keys: dict[str, str]) -> None:
    with recording() as recorder, serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url, **keys) as served:
        with contextlib.ExitStack() as slow:

            def refused() -> Answer | None:
                if (answer := sent(served)).status == 503:
                    return answer
                # Four fit. One that gets no place, or is given up since the machine is busy, is followed by another.
                slow.enter_context(unfinished(served, 1, 1, 8 << 20))
                return None

            answer = eventually("no more is taken", refused, DEADLINE)
            assert (answer.body["error"]["code"], answer.headers["Retry-After"]) == ("busy", "5")
        eventually("it is, when they have left", lambda: sent(served).status == 200, DEADLINE)


def test_a_context_of_tls_is_made_once_and_again_when_the_authority_changes(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_bytes(self_signed("an authority")[0])
    trust = Trust(Recorder("https://recorder.test", None, authority))
    first = trust.context()
    assert first is not None
    assert trust.context() is first
    authority.write_bytes(authority.read_bytes() + self_signed("an authority")[0])
    renewed = trust.context()
    assert renewed is not None
    assert renewed is not first
    assert len(renewed.get_ca_certs()) == 2
    assert Trust(Recorder("http://recorder.test", None, None)).context() is None

"""A standby pod behind another version closes its callers' connections, and none in the middle of a call."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.runtime import DEADLINE, ECHO, WAITS, Served, serving
from tests.support.waiting import eventually
from tests.unit.support.mounts import mount, swap

SEEN = 'kubernetes.io/config.seen="2026-11-26T04:00:00Z"\n'
ON = SEEN + 'dynamiq.getdynamiq.ai/standby="true"\nzone="b"\n'
OFF = SEEN + 'zone="b"\n'
CALLERS = 20


class Pod:
    """A server whose annotations change as the kubelet changes them."""

    def __init__(self, served: Served, folder: Path) -> None:
        self.served = served
        self.folder = folder

    def annotate(self, annotations: str, *, on: bool) -> None:
        """Sets the annotations, and returns once the server has seen them."""
        swap(self.folder, {"annotations": annotations})
        eventually("it has seen its annotations", lambda: self.served.activity["standby"] is on)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=DEADLINE)


@contextmanager
def a_pod(folder: Path, flow: str) -> Iterator[Pod]:
    info = mount(folder / "info", {"annotations": OFF})
    with serving(folder, flow, DYNAMIQ_POD_ANNOTATIONS=str(info / "annotations")) as served:
        yield Pod(served, info)


def call(connection: http.client.HTTPConnection, *, stream: bool = False, **given: object) -> tuple[str | None, str]:
    """Returns the header Connection of the answer, and its body."""
    connection.request("POST", "/", json.dumps({"input": given, "stream": stream}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.headers["Connection"], answer.read().decode()


def is_closed(connection: http.client.HTTPConnection) -> bool:
    """Waits, and returns True if the server has closed the connection."""
    return connection.sock is None or connection.sock.recv(1) == b""


def test_a_pod_on_standby_closes_connections_and_keeps_them_when_it_is_live_again(tmp_path: Path) -> None:
    with a_pod(tmp_path, ECHO) as pod:
        unused, idle, used = pod.connect(), pod.connect(), pod.connect()
        unused.connect()
        assert [call(each, n=1)[0] for each in (idle, used)] == [None, None]
        pod.annotate(ON, on=True)
        assert call(pod.connect(), n=1) == ("close", '{"result":{"n":1}}')
        assert all(is_closed(each) for each in (unused, idle, used))
        assert pod.served.request("GET", "/readyz").status == 200
        for annotations in (OFF, SEEN + 'dynamiq.getdynamiq.ai/standby="false"\n', ""):
            pod.annotate(ON, on=True)
            pod.annotate(annotations, on=False)
            kept = pod.connect()
            assert [call(kept, n=number)[0] for number in range(2)] == [None, None]


def test_runs_and_streams_under_way_end_whole_and_then_their_connections_do(tmp_path: Path) -> None:
    over = tmp_path / "over"
    with a_pod(tmp_path, WAITS) as pod, ThreadPoolExecutor(2) as pool:
        connections = [pod.connect() for _ in range(2)]
        calls = [pool.submit(call, each, stream=stream, until=str(over)) for each, stream in zip(connections, (False, True), strict=True)]
        eventually("two calls are in flight", lambda: pod.served.activity["in_flight"] == 2)
        pod.annotate(ON, on=True)
        over.touch()
        plain, stream = (each.result() for each in calls)
        assert plain == ("close", '{"result":"slept"}')
        assert stream[1].endswith('event: result\ndata: {"result":"slept"}\n\n')
        assert all(is_closed(each) for each in connections)


def test_callers_who_keep_their_connections_lose_no_call_when_the_pod_changes_sides(tmp_path: Path) -> None:
    print(f"seed {(seed := random.randrange(1 << 32))}")  # noqa: S311 - pauses
    done = threading.Event()

    def calling(number: int) -> int:
        """Calls again and again, as a client does that keeps its connection until the server closes it."""
        pauses, calls, connection = random.Random(seed + number), 0, pod.connect()  # noqa: S311
        while not done.is_set() or not calls:
            calls += 1
            assert call(connection, n=calls)[1] == f'{{"result":{{"n":{calls}}}}}'
            time.sleep(pauses.random() / 10)
        return calls

    with a_pod(tmp_path, ECHO) as pod, ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(calling, number) for number in range(CALLERS)]
        for _ in range(5):
            pod.annotate(ON, on=True)
            pod.annotate(OFF, on=False)
        done.set()
        assert sum(each.result() for each in callers) == pod.served.activity["runs"]["succeeded"]


@pytest.mark.parametrize(
    "annotations",
    [
        "",
        'note="\\ndynamiq.getdynamiq.ai/standby=\\"true\\"\\n"\n',
        'note="dynamiq.getdynamiq.ai/standby=true"\n',
        'not.dynamiq.getdynamiq.ai/standby="true"\n',
        'dynamiq.getdynamiq.ai/standby="tr',
        "\0\xff",
    ],
)
def test_nothing_else_is_taken_for_standby(tmp_path: Path, annotations: str) -> None:
    with a_pod(tmp_path, ECHO) as pod:
        pod.annotate(ON, on=True)
        pod.annotate(annotations, on=False)


def test_a_file_that_is_not_there_is_no_standby(tmp_path: Path) -> None:
    with a_pod(tmp_path, ECHO) as pod:
        pod.annotate(ON, on=True)
        (pod.folder / "annotations").unlink()
        eventually("it has seen that", lambda: pod.served.activity["standby"] is False)
        (pod.folder / "annotations").mkdir()
        assert call(pod.connect(), n=1)[0] is None
        (pod.folder / "annotations").rmdir()
        (pod.folder / "annotations").symlink_to("..data/annotations")
        eventually("it has seen it again", lambda: pod.served.activity["standby"] is True)

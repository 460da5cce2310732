"""Runs programs that try to use all of a recorder, each a process with one thread for each of its connections.

Each reports when it has its resources, and continues until it is ended. Their addresses differ from the test's, like those of other pods.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event

from dynamiq_operator.serving.limits import RUNS_MAX
from tests.support.ports import free_port
from tests.support.recorder_stage import APP, HOST, OTHER_NAMESPACE, OTHER_UID, RecorderStage, pod_of, pod_user
from tests.support.waiting import eventually

PODS = 8
"""Pods of an attacker, each with an address of its own."""
CONNECTIONS = 300
"""Connections of each of these pods."""
BODIES = 4
"""Parallel bodies of each of these pods."""
RIVAL_POD, RIVAL = "rival-pod-token", "rival-token"
Attack = Callable[[int, Event], None]


def with_a_rival(stage: RecorderStage) -> None:
    """Adds a pod of another tenant's App, and an account with all rights on the runs of that App."""
    stage.users[RIVAL_POD] = pod_user(OTHER_NAMESPACE, "chat-1", "rival-pod")
    stage.users[RIVAL] = {"username": "rival"}
    for raw, path in pod_of(OTHER_NAMESPACE, "chat-1", "rival-pod", APP, OTHER_UID):
        stage.script.on("GET", path, raw)
    may = stage.rights
    stage.rights = lambda spec: spec["resourceAttributes"].get("namespace") == OTHER_NAMESPACE if spec["user"] == "rival" else may(spec)


@contextlib.contextmanager
def under(attack: Attack, port: int) -> Iterator[None]:
    """Attacks a port while the block runs, once the attacker has begun."""
    has_begun = multiprocessing.Event()
    process = multiprocessing.Process(target=attack, args=(port, has_begun), daemon=True)
    process.start()
    try:
        eventually("the attacker has begun", lambda: has_begun.is_set() or not process.is_alive())
        assert process.is_alive()
        yield
        assert process.is_alive(), "it went on until the end"
    finally:
        process.kill()
        process.join()


@contextlib.contextmanager
def dummy() -> Iterator[int]:
    """Yields the port of a process that accepts everything, and answers only probes: the cost of an attack without a recorder."""
    port = free_port()
    is_listening = multiprocessing.Event()
    process = multiprocessing.Process(target=_listen, args=(port, is_listening), daemon=True)
    process.start()
    try:
        assert is_listening.wait(30)
        yield port
    finally:
        process.kill()
        process.join()


def _listen(port: int, is_listening: Event) -> None:
    with socket.create_server((HOST, port), backlog=2048) as server:
        is_listening.set()
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_swallow, args=(connection,), daemon=True).start()


def _swallow(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while part := connection.recv(65536):
            if part.startswith(b"GET /healthz"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def connected(port: int, pod: int) -> socket.socket:
    """Returns a connection from the address of one of the attacker's pods."""
    return socket.create_connection((HOST, port), 20, source_address=(f"127.0.0.{2 + pod}", 0))


def idle(port: int, has_begun: Event) -> None:
    """Leaves connections open, with one request in each, and opens them again after half a minute."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    while True:
        connections = []
        for number in range(PODS * CONNECTIONS):
            with contextlib.suppress(OSError):
                connections.append(connection := connected(port, number % PODS))
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: recorder\r\n\r\n")
        for connection in connections:
            connection.settimeout(20)
            with contextlib.suppress(OSError):
                connection.recv(4096)
        has_begun.set()
        time.sleep(30)
        for connection in connections:
            connection.close()


class SlowScores:
    """Keeps a score under way in as many connections as possible, from as many addresses; any account may send one."""

    def __init__(self, token: str) -> None:
        lines = f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
        self._head = f"POST /v1/runs/{uuid.uuid4()}/scores HTTP/1.1\r\nHost: recorder\r\n{lines}\r\n".encode()

    def __call__(self, port: int, has_begun: Event) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
        while True:
            connections = []
            for number in range(PODS * CONNECTIONS):
                with contextlib.suppress(OSError):
                    connections.append(connection := connected(port, number % PODS))
                    connection.sendall(self._head)
            has_begun.set()
            time.sleep(5)
            for connection in connections:
                connection.close()


class SlowBodies:
    """Sends bodies almost completely, then a byte now and then; repeats each body that ends."""

    def __init__(self, token: str, pods: int = 1, size: int = RUNS_MAX, **headers: str) -> None:
        all_headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Content-Length": str(size)}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
        self._head = f"POST /v1/traces HTTP/1.1\r\nHost: recorder\r\n{lines}\r\n".encode()
        self._pods, self._size = pods, size

    def __call__(self, port: int, has_begun: Event) -> None:
        began = threading.Semaphore(0)
        for number in range(self._pods * BODIES):
            threading.Thread(target=self._send, args=(port, number % self._pods, began), daemon=True).start()
        for _ in range(self._pods * BODIES):
            began.acquire()
        has_begun.set()
        threading.Event().wait()

    def _send(self, port: int, pod: int, began: threading.Semaphore) -> None:
        most = b" " * (self._size - 30)
        while True:
            with contextlib.suppress(OSError), connected(port, pod) as connection:
                try:
                    connection.sendall(self._head)
                    connection.sendall(most)
                finally:
                    began.release()
                connection.settimeout(1.0)
                while True:
                    connection.sendall(b" ")
                    with contextlib.suppress(TimeoutError):
                        connection.recv(4096)
                        break
            time.sleep(1)


class Reads:
    """Repeats the same read, as many times at once as there are threads. `slowly`: reads a few bytes a second of a long answer."""

    def __init__(self, path: str, token: str, at_once: int = 8, *, slowly: bool = False) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: recorder\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()
        self._at_once, self._slowly = at_once, slowly

    def __call__(self, port: int, has_begun: Event) -> None:
        began = threading.Semaphore(0)
        for _ in range(self._at_once):
            threading.Thread(target=self._read, args=(port, began), daemon=True).start()
        for _ in range(self._at_once):
            began.acquire()
        has_begun.set()
        threading.Event().wait()

    def _read(self, port: int, began: threading.Semaphore) -> None:
        while True:
            with contextlib.suppress(OSError), socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096 if self._slowly else 1 << 20)
                connection.settimeout(20)
                connection.connect((HOST, port))
                connection.sendall(self._request)
                if self._slowly:
                    connection.settimeout(3)
                    with contextlib.suppress(TimeoutError):
                        connection.recv(1)
                    began.release()
                    while connection.recv(1000):
                        time.sleep(1)
                else:
                    began.release()
                    while connection.recv(1 << 20):
                        pass
            time.sleep(0.01)

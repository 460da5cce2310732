"""Makes calls from within a pod, or the node, by a program that is started there once and gets a line for each.

A `kubectl exec` for each call would cost a third of a second of a processor.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any

ANSWERED_WITHIN = 120.0  # seconds
PROGRAM = """
import concurrent.futures, json, socket, sys, urllib.error, urllib.request
def http(url, body, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body and body.encode(), headers), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
def reached(target):
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        return True
    except OSError as error:
        return str(error) if isinstance(error, socket.gaierror) else False
def reach(*targets):
    with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
        return dict(zip(targets, pool.map(reached, targets)))
for line in sys.stdin:
    name, *given = json.loads(line)
    print(json.dumps(globals()[name](*given)), flush=True)
"""


class Talk:
    """The program, started by `command`, which runs Python."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [*command, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def ask(self, *request: object) -> Any:
        """Sends a request and returns its answer. Raises AssertionError with its last output if it has ended, such as with its pod."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            late = threading.Timer(ANSWERED_WITHIN, process.kill)
            late.start()
            try:
                process.stdin.write(f"{json.dumps(request)}\n")
                process.stdin.flush()
                line_read = process.stdout.readline()
            except BrokenPipeError:
                line_read = ""
            finally:
                late.cancel()
        assert line_read, f"{process.args!r}: {process.communicate()[1]}"
        return json.loads(line_read)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


class Talks:
    """The talks of a stage, by their place."""

    def __init__(self) -> None:
        self._talks: dict[str, Talk] = {}

    def of(self, where: str, command: Callable[[], Sequence[str]]) -> Talk:
        """Returns the talk at a place; starts it if none runs."""
        if where not in self._talks or self._talks[where].ended:
            self._talks[where] = Talk(command())
        return self._talks[where]

    def end(self) -> None:
        for each in self._talks.values():
            each.end()

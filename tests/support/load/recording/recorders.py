"""Runs recorders of this checkout as processes that a test kills and starts as a kubelet would, and a volume that can be filled."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.support import programs
from tests.support.ports import free_port
from tests.support.programs import Process
from tests.support.waiting import IN_TIME, eventually

READY_WITHIN = IN_TIME
ENDS_WITHIN = 120.0


@dataclass
class RecorderProcess:
    """One recorder at one port, restarted whenever it ends, until it is stopped."""

    folder: Path
    options: Sequence[str]
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    _process: Process | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / f"recorder-{self.port}.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it, and returns once it is ready. Raises AssertionError with its log."""
        self._begin()
        self.until_ready()

    def until_ready(self) -> None:
        def ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"the recorder ended: {self.log.read_text()[-3000:]}"
            return answers(f"{self.url}/readyz")

        eventually("the recorder is ready", ready, READY_WITHIN)

    def kill(self, *_: object) -> None:
        """Kills it (SIGKILL) and starts it at once, as after a crash; it does not wait until it is ready."""
        with self._lock:
            assert self._process is not None
            self._process.kill()
            self._process.wait()
        self._begin()

    def stop(self) -> int:
        """Ends it as Kubernetes does; returns its exit code."""
        assert self._process is not None
        return programs.ended(self._process, ENDS_WITHIN)

    def _begin(self) -> None:
        ports = [f"--port={self.port}", f"--health-port={self.health_port}", f"--metrics-port={self.metrics_port}"]
        options = [*ports, "--host=127.0.0.1", *self.options]
        self._process = programs.fork("dynamiq_recorder", "serve", *options, log=self.log)


@contextmanager
def recording(folder: Path, options: Sequence[str], replicas: int = 1) -> Iterator[list[RecorderProcess]]:
    """Runs ready recorders while the block runs."""
    with contextlib.ExitStack() as running:
        started = []
        for _ in range(replicas):
            recorder = RecorderProcess(folder, options)
            running.callback(lambda recorder=recorder: recorder._process and recorder._process.kill())  # type: ignore[misc]
            recorder.start()
            started.append(recorder)
        yield started
        for recorder in started:
            recorder.until_ready()
            assert recorder.stop() == 0, recorder.log.read_text()[-3000:]


@dataclass(frozen=True)
class Volume:
    """A disk of its own, in memory, that can be filled."""

    path: Path

    @property
    def ballast(self) -> Path:
        return self.path / "ballast"

    def fill(self) -> None:
        """Fills the disk completely."""
        with self.ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 65536)

    def empty(self) -> None:
        self.ballast.unlink(missing_ok=True)


@contextmanager
def volume(path: Path, mebibytes: int) -> Iterator[Volume]:
    """Mounts a volume. It needs root, as a cluster with real pods does."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(path)], check=True)
    try:
        yield Volume(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False

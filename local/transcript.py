"""Runs kubectl as a reader of the demo would: each command and its output are printed, and a long one shows progress."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.clusters import Cluster
from local.errors import LocalError
from local.progress import LINE, QUIET, REFRESH, REPEAT, say

EXTRA = 30.0  # seconds beyond kubectl's own timeout before it is given up


@dataclass(frozen=True)
class Transcript:
    """kubectl for one cluster, run in the repository's folder `root`, so that files are named as a reader names them.

    `plugin`: the folder of another plugin of kubectl than this environment's.
    """

    cluster: Cluster
    root: os.PathLike[str]
    plugin: Path | None = None

    def run(self, *arguments: str, seconds: float = 120, still: Callable[[], str] = lambda: "", shown: str = "") -> str:
        """Prints `$ kubectl …`, its output at once, and a line of progress (with `still()`) while it is silent for long.

        `shown` is printed instead of a command that holds a token. Returns its output. Raises LocalError if it fails or takes longer than
        `seconds`.
        """
        say(f"$ {shown or shlex.join(['kubectl', *arguments])}")
        started = silent_since = time.monotonic()
        limit = QUIET
        with self.started(*arguments) as process:
            output = process.stdout
            assert output is not None  # noqa: S101 - for the type checker: it is a pipe
            os.set_blocking(output.fileno(), False)
            lines: list[str] = []
            while True:
                ended = process.poll() is not None
                while line := output.readline():
                    lines.append(line)
                    silent_since, limit = time.monotonic(), QUIET
                    say(f"{line.rstrip()}")
                now = time.monotonic()
                if ended:
                    break
                if now - started > seconds + EXTRA:
                    raise LocalError(f"kubectl {arguments[0]} did not end within {seconds + EXTRA:.0f} s")
                if now - silent_since >= limit:
                    silent_since, limit = now, REFRESH if LINE.moves else REPEAT
                    LINE.still(f"  … {now - started:.0f} s{still()}", repeat=0)
                time.sleep(0.05)
            LINE.clear()
        if process.returncode:
            raise LocalError(f"kubectl {arguments[0]} failed with exit status {process.returncode}, as it says above")
        return "".join(lines)

    def ask(self, *arguments: str, text: str = "") -> str:
        """Returns the output of kubectl with `text` as its input, for the demo's own decisions: nothing is printed. Empty if it fails."""
        command = [str(self.cluster.kubectl), *arguments]
        done = subprocess.run(command, env=self._env, cwd=self.root, input=text, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout if done.returncode == 0 else ""

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Runs kubectl beside the block, its two outputs in one pipe, and ends it afterwards."""
        process = subprocess.Popen(
            [self.cluster.kubectl, *arguments],
            env=self._env,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    @property
    def _env(self) -> dict[str, str]:
        variables = os.environ | self.cluster.env
        own = Path(sys.executable).parent  # where the plugin of kubectl is
        return variables | {"PATH": os.pathsep.join([*([str(self.plugin)] if self.plugin else []), variables["PATH"], str(own)])}


def heading(text: str) -> None:
    """Prints the heading of the next step."""
    say(f"\n# {text}")

"""Provides ports of the loopback for servers that tests start.

A port that the kernel chose (a bind of port 0) is free until its server listens. Another server, or a connection, may use it in between,
and answer instead. The kernel never chooses these ports by itself, and no two processes of tests get the same one.
"""

from __future__ import annotations

import fcntl
import itertools
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from dynamiq_operator.model.gates import PORTS
from local.controlplane import is_free

OURS = range(12000, 20000)
"""Below those that the kernel chooses, and apart from those of clusters (local/controlplane.py) and of the gate."""


class Claims:
    """The claims of processes on ports, each for the life of the process: a port is a byte of a file, locked."""

    def __init__(self, among: Sequence[int]) -> None:
        self._among = among
        self._next: Iterator[int] = itertools.cycle(random.sample(among, len(among)))
        self._file = (Path(tempfile.gettempdir()) / f"dynamiq-ports-{among[0]}").open("ab")

    def one(self) -> int:
        """Returns another port at each call, until each was used once. Raises AssertionError if none is free."""
        for port in itertools.islice(self._next, len(self._among)):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            except OSError:
                continue
            if is_free(port):
                return port
        raise AssertionError(f"no free port among {self._among}")


free_port = Claims(OURS).one
gate_port = Claims(PORTS).one
"""Returns one of the ports on which the gate listens for Apps."""

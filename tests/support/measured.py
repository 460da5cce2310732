"""Writes logs of figures in docs/measured: all printed lines are kept, even if a run is cut short."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import components
from tests.support.cluster import REPOSITORY

MEASURED = REPOSITORY / "docs" / "measured"
Say = Callable[[str], None]


@contextmanager
def kept(log: Path, *, beside_older: bool = False) -> Iterator[Say]:
    """Yields a function that prints a line and writes it to the log. It replaces the old log, or, with `beside_older`, extends it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a" if beside_older else "w") as file:

        def say(line: str) -> None:
            print(line, flush=True)
            file.write(f"{line}\n")
            file.flush()

        yield say


@dataclass
class Figures:
    """Figures of tests that do more with SOAK=1: always printed, and then stored in docs/measured/`name`.txt instead of its old content."""

    name: str
    begun: bool = False

    def note(self, *lines: str) -> None:
        print("\n" + "\n".join(lines), flush=True)
        if os.environ.get("SOAK"):
            with (MEASURED / f"{self.name}.txt").open("a" if self.begun else "w") as log:
                log.write("\n".join([*([] if self.begun else _of_the_machine()), "", *lines, ""]))
            self.begun = True


def _of_the_machine() -> list[str]:
    versions = f"Kubernetes {components.KUBERNETES.version}, Contour {components.CONTOUR.version}"
    return [f"make soak: {versions}, {os.cpu_count()} cores, load average {os.getloadavg()[1]:.1f} over the last 5 minutes"]

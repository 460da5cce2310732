"""What a caller of an App heard: the log of the demo's caller pod, followed while deploys go on."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from local.errors import LocalError
from local.progress import wait_for
from local.transcript import Transcript

SHOWN = 5  # failed calls that are shown
SETTLED = 20  # equal answers in a row, after which no other pod answers any more


@dataclass
class Heard:
    """Answers so far, counted by their text; written by one thread, read by another."""

    answers: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    last: str = ""
    in_a_row: int = 0

    def take(self, line: str) -> None:
        """Counts one line of the caller's log: time, status, body. Its summary at the end, and what is no call, are left out."""
        parts = line.strip().split(" ", 2)
        if len(parts) < 3 or parts[0].startswith("{"):
            return
        _, status, body = parts
        if status.startswith("2"):
            answer = _answer(body)
            self.in_a_row = self.in_a_row + 1 if answer == self.last else 1
            self.last = answer
            self.answers[answer] += 1
        else:
            self.failed.append(line.strip())

    def __str__(self) -> str:
        total = sum(self.answers.values())
        texts = "".join(f"\n  {number:6}  {text}" for text, number in self.answers.items())
        errors = "".join(f"\n  failed: {line}" for line in self.failed[:SHOWN])
        return f"{total + len(self.failed)} calls, {len(self.failed)} failed{texts}{errors}"


@contextlib.contextmanager
def listening(kubectl: Transcript, namespace: str, pod: str) -> Iterator[Heard]:
    """Follows the log of `pod` while the block runs; at its end, waits until the log has ended, so the pod must have been ended."""
    heard = Heard()
    with kubectl.started("logs", "-f", "-n", namespace, pod) as process:

        def follow() -> None:
            for line in process.stdout or ():
                heard.take(line)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        yield heard
        thread.join(timeout=20)


def wait_for_answer(heard: Heard, begins: str) -> None:
    """Waits until the caller hears nothing but answers that begin so. Raises LocalError."""
    try:
        wait_for(f"answers of {begins}", lambda: heard.last.startswith(begins) and heard.in_a_row >= SETTLED, seconds=20)
    except LocalError as error:
        raise LocalError(f"{error}: the last one was {heard.last!r}") from None


def _answer(body: str) -> str:
    with contextlib.suppress(ValueError):
        parsed = json.loads(body)
        if isinstance(parsed, dict) and isinstance(parsed.get("answer"), str):
            return str(parsed["answer"])
    return body

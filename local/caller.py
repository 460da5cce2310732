"""Collects the responses that a caller of an App got: follows the log of the demo's caller pod during deploys."""

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
WAIT = 120  # seconds: on a busy machine the caller makes few calls
SETTLED = 80  # equal responses in a row: no other pod responds after these, and two rows can be compared by so many runs


@dataclass
class Responses:
    """Responses so far, counted by their text; written by one thread, read by another."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    last: str = ""
    in_a_row: int = 0

    def add(self, line: str) -> None:
        """Counts one line of the caller's log: time, status, body. Other lines, such as its summary, are ignored."""
        parts = line.strip().split(" ", 2)
        if len(parts) < 3 or parts[0].startswith("{"):
            return
        _, status, body = parts
        if status.startswith("2"):
            text = _answer(body)
            self.in_a_row = self.in_a_row + 1 if text == self.last else 1
            self.last = text
            self.counts[text] += 1
        else:
            self.failed.append(line.strip())

    def __str__(self) -> str:
        total = sum(self.counts.values())
        texts = "".join(f"\n  {number:6}  {text}" for text, number in self.counts.items())
        errors = "".join(f"\n  failed: {line}" for line in self.failed[:SHOWN])
        return f"{total + len(self.failed)} calls, {len(self.failed)} failed{texts}{errors}"


@contextlib.contextmanager
def following(kubectl: Transcript, namespace: str, pod: str) -> Iterator[Responses]:
    """Follows the log of `pod` while the block runs, which must delete the pod: the log is read to its end."""
    responses = Responses()
    with kubectl.started("logs", "-f", "-n", namespace, pod) as process:

        def follow() -> None:
            for line in process.stdout or ():
                responses.add(line)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        yield responses
        thread.join(timeout=20)


def wait_for_response(responses: Responses, begins: str) -> None:
    """Waits until the caller gets only responses that begin so. Raises LocalError."""
    try:
        wait_for(f"answers of {begins}", lambda: responses.last.startswith(begins) and responses.in_a_row >= SETTLED, seconds=WAIT)
    except LocalError as error:
        raise LocalError(f"{error}: the last one was {responses.last!r}") from None


def _answer(body: str) -> str:
    with contextlib.suppress(ValueError):
        parsed = json.loads(body)
        if isinstance(parsed, dict) and isinstance(parsed.get("answer"), str):
            return str(parsed["answer"])
    return body

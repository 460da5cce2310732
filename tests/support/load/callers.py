"""Calls an App by its hostname through the gateway at a steady pace, and records answer, time and version of each call.

The callers run `caller.py` in the network of the cluster's node, beside the gateway. Their clock is the one of the API server and of the
test, since all of it is one machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from local.clusters import Cluster
from local.gateway import INSIDE_HTTP
from local.sandbox import NODE_IP
from tests.support.inside import node_of
from tests.support.load.caller import KEPT, NEW

PROGRAM = Path(__file__).with_name("caller.py")
FINISHES_WITHIN = 60.0  # seconds
SHOWN = 5  # failed calls in a message


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it was sent and answered, in Unix seconds; status 0 if nothing answered, with the reason as `text`."""

    kind: str
    sent: float
    answered: float
    status: int
    text: str

    @property
    def ok(self) -> bool:
        return self.status == 200

    @property
    def took(self) -> float:
        return self.answered - self.sent

    def __str__(self) -> str:
        return f"{self.kind} sent {self.sent:.3f}, {self.status} after {self.took * 1000:.0f} ms: {self.text}"


@dataclass
class Heard:
    """All calls, once the callers have ended, in the order of the answers. `left_out`: calls that the callers had no time to send."""

    calls: list[Call] = field(default_factory=list)
    left_out: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0

    def of(self, kind: str) -> Heard:
        return Heard([call for call in self.calls if call.kind == kind], self.left_out, self.cpu_seconds, self.seconds)

    @property
    def failed(self) -> list[Call]:
        return [call for call in self.calls if not call.ok]

    @property
    def by_text(self) -> Counter[str]:
        return Counter(call.text for call in self.calls if call.ok)

    def said(self, version: str) -> list[Call]:
        """Returns good answers of a version."""
        text = answer(version)
        return [call for call in self.calls if call.ok and call.text == text]

    def first_of(self, version: str, since: float) -> Call | None:
        """Returns the call with the first answer by `version` after `since`."""
        text = answer(version)
        return next((call for call in self.calls if call.answered >= since and call.ok and call.text == text), None)

    def why(self) -> str:
        """Returns the failed calls: how many of each kind, and some of them."""
        kinds = Counter(f"{call.status} {call.text[:60]}" for call in self.failed)
        return "\n".join([*(f"{number} x {text}" for text, number in kinds.most_common(10)), *map(str, self.failed[:SHOWN])])

    def __str__(self) -> str:
        share = f"the callers used {100 * self.cpu_seconds / self.seconds:.0f} % of a core" if self.seconds else ""
        kinds = [
            f"{kind} {len(each.calls)} calls, {len(each.failed)} failed, {each.latency()}"
            for kind in (NEW, KEPT)
            if (each := self.of(kind)).calls
        ]
        return "; ".join([*kinds, *([f"{self.left_out} left out"] if self.left_out else []), share])

    def latency(self) -> str:
        times = sorted(call.took for call in self.calls)
        return f"p50 {percentile(times, 0.5) * 1000:.0f} ms, p99 {percentile(times, 0.99) * 1000:.0f} ms"


@dataclass
class Timeline:
    """The versions that may answer, over time: two during a rollout, one between rollouts."""

    states: list[tuple[float, frozenset[str]]]

    @classmethod
    def of(cls, version: str) -> Timeline:
        return cls([(0.0, frozenset({version}))])

    def begin(self, version: str) -> None:
        """Marks the start of a rollout to `version`."""
        self.states.append((time.time(), self.states[-1][1] | {version}))

    def end(self, version: str) -> None:
        """Marks the end of the rollout to `version`: nothing of the previous one runs."""
        self.states.append((time.time(), frozenset({version})))

    def allows(self, call: Call) -> bool:
        """Returns True if the version of a good answer ran while the call was under way."""
        ends = [since for since, _ in self.states[1:]] + [float("inf")]
        allowed = (
            versions for (since, versions), end in zip(self.states, ends, strict=True) if since <= call.answered and end >= call.sent
        )
        return any(call.text == answer(version) for versions in allowed for version in versions)

    def wrong(self, answers: Heard) -> list[Call]:
        """Returns good answers of a version that must not have answered then."""
        return [call for call in answers.calls if call.ok and not self.allows(call)]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Returns, from ascending times, the smallest that `share` of them do not exceed."""
    return ordered[max(-(-int(share * len(ordered) * 1000) // 1000) - 1, 0)] if ordered else float("nan")


def answer(version: str) -> str:
    """Returns the answer of a version of `flows.answering`."""
    return json.dumps({"answer": version}, separators=(",", ":"))


@contextlib.contextmanager
def calling(
    cluster: Cluster, host: str, key: str = "", *, new: float = 0.0, kept: float = 0.0, at: tuple[str, int] | None = None, **options: object
) -> Iterator[Heard]:
    """Calls `host` at `new` and `kept` calls a second while the block runs; the answers are complete after the block.

    `at`: another address than the gateway's. With `count` among the `options` it ends by itself, and the block's end waits for that.
    """
    answers = Heard()
    where = at or (NODE_IP, int(INSIDE_HTTP))
    with TemporaryDirectory() as folder:
        out = Path(folder) / "calls"
        flags = [f"--new={new}", f"--kept={kept}", *(f"--{name.replace('_', '-')}={value}" for name, value in options.items())]
        command = [*node_of(cluster).enter, sys.executable, "-I", str(PROGRAM), where[0], str(where[1]), host, str(out), *flags]
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"KEY": key})
        assert process.stdout is not None
        summary = ""
        try:
            assert process.stdout.readline() == "ready\n", f"the caller did not start: {process.poll()}"
            yield answers
            if options.get("count"):
                summary = process.stdout.readline()
        finally:
            rest, _ = process.communicate(timeout=FINISHES_WITHIN)  # the end of its input ends it, even after an error in the block
        counts = json.loads(summary or rest)
        answers.seconds = time.monotonic() - began
        answers.left_out, answers.cpu_seconds = counts["left_out"], counts["cpu_seconds"]
        answers.calls = read(out)
    answers.calls.sort(key=lambda call: call.answered)
    assert len(answers.calls) == counts["sent"], f"{counts['sent']} calls were sent, and {len(answers.calls)} are accounted for"


def read(out: Path) -> list[Call]:
    texts: dict[str, str] = {}  # one copy of each text
    calls = []
    with out.open() as lines:
        for line in lines:
            kind, sent, answered, status, text = line.rstrip("\n").split(" ", 4)
            calls.append(Call(texts.setdefault(kind, kind), float(sent), float(answered), int(status), texts.setdefault(text, text)))
    return calls


def first_process(cluster: Cluster) -> int:
    """Returns the id of the first process of the cluster's node."""
    return node_of(cluster).first

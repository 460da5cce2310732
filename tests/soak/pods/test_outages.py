"""The control plane is away, the operator is away, etcd is restarted, and callers call all along; the log goes to docs/measured/outages.txt."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import components
from local.clusters import Cluster
from tests.support.cluster import REPOSITORY
from tests.support.faults import outages
from tests.support.stage import Stage, operator, stage
from tests.support.waiting import eventually

LOG = REPOSITORY / "docs" / "measured" / "outages.txt"
SOAK = bool(os.environ.get("SOAK"))
LASTS = 600.0 if SOAK else 40.0  # seconds
CONVERGES_WITHIN = 10.0
APP = "called"
EVERY = 0.1  # seconds between a caller's calls


@dataclass(frozen=True)
class Converged:
    """Seconds until the operator has written all that was asked for meanwhile, and until its pods have taken over, which is the cluster's time."""

    written: float
    live: float

    def __str__(self) -> str:
        return f"written after {self.written:.1f} s, Live after {self.live:.1f} s"


def template(on: Stage) -> Any:
    return on.workload(APP)["spec"]["template"]


def converged(on: Stage, ask: Callable[[], str], before: Any, since: float) -> Converged:
    """From the monotonic time `since` until the row that `ask` makes, and names, has changed the template `before`, and is Live."""
    row = ask()
    eventually(f"{row} is in the template", lambda: template(on) != before)
    written = time.monotonic() - since
    on.until(row, "Live")
    return Converged(written, time.monotonic() - since)


def prepare(on: Stage, runtime: str) -> None:
    on.release(*(f"v{number}" for number in range(1, 5)))
    on.app(APP)
    on.live(APP, "v1", runtime=runtime)
    on.until_answer(APP, "v1", on.key(APP))


@pytest.mark.timeout(3600)
def test_no_call_fails_while_the_api_server_or_the_operator_is_away_or_etcd_is_restarted(cluster: Cluster, tmp_path: Path) -> None:
    found: dict[str, Converged] = {}
    with stage(cluster, "away") as on, stage(cluster, "left") as left, ExitStack() as of_left, operator(on, folder=tmp_path):
        runtime = on.runtime("tiny", by_default=True)
        with operator(left, folder=tmp_path):
            for each in (on, left):
                prepare(each, runtime)

            def deploy(where: Stage, version: str) -> Callable[[], str]:
                return lambda: where.deploy(APP, version, runtime=runtime)

            found["undisturbed"] = converged(on, deploy(on, "v2"), template(on), time.monotonic())
            on.until_settled(APP)
        # From here on `left` has no operator.
        with on.load(APP, every=EVERY) as heard, left.load(APP, every=EVERY) as heard_left:
            with outages.down(cluster, "etcd"):
                pass
            found["etcd restarted"] = converged(on, deploy(on, "v3"), template(on), time.monotonic())
            on.until_settled(APP)
            row, before = left.deploy(APP, "v2", runtime=runtime), template(left)
            left.delete("HorizontalPodAutoscaler", APP)
            with outages.down(cluster, *outages.CONTROL_PLANE):
                time.sleep(LASTS)
            found["API server, etcd and controllers down"] = converged(on, deploy(on, "v4"), template(on), time.monotonic())
            began = time.monotonic()
            of_left.enter_context(operator(left, folder=tmp_path))
            found["operator down for longer"] = converged(left, lambda: row, before, began)
            eventually("the autoscaler is back", lambda: left.find("HorizontalPodAutoscaler", APP))
            for each, version in ((on, "v4"), (left, "v2")):
                each.until_settled(APP)
                each.until_answer(APP, version, each.key(APP))
    lines = [
        f"{'make soak' if SOAK else 'shortened'}: Kubernetes {components.KUBERNETES.version}, a node with real pods; a caller in a pod calls each"
        f" of two Apps every {EVERY} s. Away for {LASTS:.0f} s; the operator of the second App from before that until after it.",
        *(f"{name + ':':42s} {how}" for name, how in found.items()),
        *(f"calls of {name}: {each['sent']}, failed: {each['failed']}" for name, each in (("one", heard), ("the other", heard_left))),
    ]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.write_text("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))
    assert (heard["failed"], heard_left["failed"]) == (0, 0), (heard["errors"], heard_left["errors"])
    late = {name: str(how) for name, how in found.items() if how.written > CONVERGES_WITHIN}
    assert late == {}

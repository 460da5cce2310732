"""Stops the control plane, stops the operator, restarts etcd, and calls all the time; the log goes to docs/measured/outages.txt."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

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
AWAY = {"etcd": (("etcd",), 0.0), "api": (outages.CONTROL_PLANE, LASTS)}
"""The killed programs, and the seconds until their restart."""


AUTOSCALER = "HorizontalPodAutoscaler"


def repaired(on: Stage, since: float) -> float:
    """Returns the seconds from the monotonic time `since` until the App's deleted autoscaler exists again."""
    eventually("the autoscaler is back", lambda: on.find(AUTOSCALER, APP))
    return time.monotonic() - since


def until_followed(on: Stage, purpose: str) -> None:
    """Waits until the node follows the API server again: its proxy and its DNS retry after a pause of up to a minute.

    A pod that ends before that still gets calls, in any cluster.
    """
    probe = on.get("Service", APP)
    name = f"{APP}-{purpose}"
    spec = {"selector": probe["spec"]["selector"], "ports": probe["spec"]["ports"]}
    on.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": on.namespace}, "spec": spec})
    eventually("the node follows the API server", lambda: on.call(APP, on.key(APP), host=f"{name}.{on.namespace}.svc")[0] == 200, 180, 0.5)


def deployed(on: Stage, version: str, runtime: str) -> float:
    """Returns the seconds until a row is Live."""
    began = time.monotonic()
    on.live(APP, version, runtime=runtime)
    on.until_settled(APP)
    return time.monotonic() - began


def prepare(on: Stage, runtime: str) -> None:
    on.release(*(f"v{number}" for number in range(1, 5)))
    on.app(APP)
    on.live(APP, "v1", runtime=runtime)
    on.until_answer(APP, "v1", on.key(APP))


@pytest.mark.timeout(3600)
def test_no_call_fails_while_the_api_server_or_the_operator_is_away_or_etcd_is_restarted(cluster: Cluster, tmp_path: Path) -> None:
    back: dict[str, float] = {}
    live: dict[str, float] = {}
    with stage(cluster, "away") as on, stage(cluster, "left") as abandoned, ExitStack() as of_left, operator(on, folder=tmp_path):
        runtime = on.runtime("tiny", by_default=True)
        with operator(abandoned, folder=tmp_path):
            for each in (on, abandoned):
                prepare(each, runtime)
            live["undisturbed"] = deployed(on, "v2", runtime)
        # From here on `abandoned` has no operator.
        with on.load(APP, every=EVERY) as calls, abandoned.load(APP, every=EVERY) as heard_left:
            for version, (purpose, (killed, seconds)) in zip(("v3", "v4"), AWAY.items(), strict=True):
                if killed == outages.CONTROL_PLANE:
                    abandoned.delete(AUTOSCALER, APP)
                with outages.down(cluster, *killed):
                    time.sleep(seconds)
                began = time.monotonic()
                on.delete(AUTOSCALER, APP)
                back[purpose] = repaired(on, began)
                until_followed(on, purpose)
                live[purpose] = deployed(on, version, runtime)
            began = time.monotonic()
            of_left.enter_context(operator(abandoned, folder=tmp_path))
            back["operator"] = repaired(abandoned, began)
            live["operator"] = deployed(abandoned, "v2", runtime)
            for each, version in ((on, "v4"), (abandoned, "v2")):
                each.until_answer(APP, version, each.key(APP))
    lines = [
        f"{'make soak' if SOAK else 'shortened'}: Kubernetes {components.KUBERNETES.version}, a node with real pods; a caller in a pod calls each"
        f" of two Apps every {EVERY} s. Away for {LASTS:.0f} s; the operator of the second App from before that until after it.",
        *(f"{name} away: what was changed meanwhile is repaired {seconds:.1f} s after it is back" for name, seconds in back.items()),
        *(f"{name}: a deploy is complete after {seconds:.1f} s" for name, seconds in live.items()),
        *(f"calls of {name}: {each['sent']}, failed: {each['failed']}" for name, each in (("one", calls), ("the other", heard_left))),
    ]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.write_text("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))
    assert (calls["failed"], heard_left["failed"]) == (0, 0), (calls["errors"], heard_left["errors"])
    assert [name for name, seconds in back.items() if seconds > CONVERGES_WITHIN] == []

"""An Access Key that was added for a partner, in a stage that outlives modules: nobody waits while the kubelet takes its time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.node.stage import Stage, operator, stage, uids

APP = "partnered"
KEY = "key-of-a-partner"


@dataclass(frozen=True)
class Partner:
    """The App `partnered`, whose Secret has had KEY since the moment `added`; `pods` are those that ran then."""

    on: Stage
    added: float
    pods: frozenset[str]


@contextlib.contextmanager
def partnered(cluster: Cluster, folder: Path) -> Iterator[Partner]:
    """No operator is needed once the App is live: a key reaches its pods without one."""
    with stage(cluster, "partner") as on:
        on.release("v1")
        on.app(APP)
        with operator(on, folder=folder):
            on.live(APP, "v1", runtime=on.runtime("fast"))
            on.until_answer(APP, "v1", on.key(APP))
            assert on.call(APP, KEY)[0] == 403
        on.change("Secret", names.access_keys(APP), stringData={"partner": KEY})
        yield Partner(on, time.monotonic(), frozenset(uids(on.pods(APP))))

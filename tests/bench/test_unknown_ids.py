"""Compares two ways to find that no row has an id, by the number of rows: a list of all, and a short watch.

Both run in turn on one API server, with its own CPU seconds. COUNTS=4000,12000 by default.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

import pytest

from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.rest.kube import id_index
from dynamiq_operator.rest.kube.client import ApiServer
from dynamiq_operator.rest.kube.id_index import IdIndex
from local.clusters import Cluster
from tests.soak import capacity
from tests.soak.capacity_figures import Size
from tests.soak.support import own_objects
from tests.support.measured import Figures
from tests.support.rest import UNKNOWN

COUNTS = [int(each) for each in (os.environ.get("ROWS") or "4000,12000").split(",")]
APPS, TURNS = 20, 5
GROWS_MOST = 1.5
"""The growth of a watch's time from the fewest rows to the most: a list takes three times as long."""
FIGURES = Figures("unknown-ids")


def test_an_unknown_id_is_answered_in_the_same_time_however_many_rows_there_are(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    before, watched = own_objects.NOTHING, []
    server = capacity.pid_of(cluster, "kube-apiserver")
    for rows in COUNTS:
        size = Size(APPS, rows // APPS, releases=1, flow_kib=4)
        own_objects.grow(cluster, before, size)
        before = size
        index = IdIndex(ApiServer.connect(Path(cluster.kubeconfig)).own)
        index.of(ROWS).list()
        took: dict[str, list[tuple[float, float]]] = {"list": [], "watch": []}
        for _ in range(TURNS):
            for method, most in (("list", rows), ("watch", 0)):
                monkeypatch.setattr(id_index, "LISTED_MOST", most)
                began, worked = time.monotonic(), capacity.cpu_seconds(server)
                assert index.find(ROWS, UNKNOWN) is None
                took[method].append((time.monotonic() - began, capacity.cpu_seconds(server) - worked))
                time.sleep(id_index.FIND_WITHIN / 2)  # no list begins sooner
        lines = [
            f"{method}: p50 {median(pair[0] for pair in each):.2f} s, of the API server's CPU {median(pair[1] for pair in each):.2f} s"
            for method, each in took.items()
        ]
        FIGURES.note(f"{rows} rows, an id that none has, {TURNS} times; {'; '.join(lines)}")
        watched.append(median(pair[0] for pair in took["watch"]))
    assert watched[-1] <= GROWS_MOST * watched[0]

"""How long `kubectl dynamiq history` takes beside `kubectl get` of the same rows: a machine's speed goes out of the ratio."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from local.clusters import Cluster
from tests.support import factories
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.plugin import Plugin

ROWS = 50
ROUNDS = 15
RATIO_MOST = 4.0


def test_history_starts_within_four_times_of_kubectl_get(cluster: Cluster, tmp_path: Path) -> None:
    api = Api.of(cluster)
    with fresh_namespace(api, "plugin-start") as namespace:
        for number in range(1, ROWS + 1):
            made = factories.row_manifest(f"chat-{number}", factories.in_namespace(namespace), factories.superseded(number))
            created = api.create(made)
            assert created.ok, created.message
        kubectl, plugin = Kubectl(cluster), Plugin(cluster, namespace, tmp_path)
        took: dict[str, list[float]] = {"get": [], "history": []}
        for _ in range(ROUNDS):
            began = time.perf_counter()
            got = kubectl("get", "ddep", "--field-selector=spec.app=chat", namespace=namespace).stdout
            took["get"].append(time.perf_counter() - began)
            began = time.perf_counter()
            shown = plugin.said("history", "chat")
            took["history"].append(time.perf_counter() - began)
            assert len(got.splitlines()) == len(shown.splitlines()) == ROWS + 1
    get, history = (statistics.median(took[name]) * 1000 for name in ("get", "history"))
    print(
        f"\nkubectl get of {ROWS} rows {get:.0f} ms; kubectl dynamiq history {history:.0f} ms; ratio {history / get:.2f}, at most {RATIO_MOST}"
    )
    assert history / get <= RATIO_MOST

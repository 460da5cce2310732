"""A caller beside connections that take as long as they may. `make soak` measures 500 of them, see tests/soak/test_slow_connections.py."""

from __future__ import annotations

import pytest

from local.clusters import Cluster
from tests.support import factories, rest
from tests.support import slow_connections as slow
from tests.support.api import Api, fresh_namespace
from tests.support.operator import install_rights
from tests.support.waiting import eventually

SOME, MOST = 150, 2.0
"""What is asserted here is that nobody is kept out: few calls on a busy machine say little of a p95."""


@pytest.mark.timeout(300)
def test_slow_connections_keep_nobody_out(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    install_rights(cluster)
    folder, api = tmp_path_factory.mktemp("slow"), Api.of(cluster)
    with fresh_namespace(api, "slow") as namespace, rest.serving(rest.install(cluster, folder), folder) as url:
        made = api.create(factories.app_manifest(factories.in_namespace(namespace)))
        assert made.ok, made.message
        path = f"/v1/apps/{made.body['metadata']['uid']}"
        caller = rest.client(api, url, namespace, "caller", "edit")
        eventually("the rights apply", lambda: caller("GET", path).status_code == 200)
        found = slow.cost(caller, path, slow.SlowOnes(url, SOME))
    print("\n".join(found.lines(SOME, MOST)))
    assert found.ratio <= MOST

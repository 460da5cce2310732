"""500 connections that take as long as they may, and the p95 of a caller beside them; the log goes to docs/measured/rest-slow.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support import factories, rest
from tests.support import slow_connections as slow
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import REPOSITORY
from tests.support.operator import install_rights
from tests.support.waiting import eventually

LOG = REPOSITORY / "docs" / "measured" / "rest-slow.txt"
MANY, MOST = 500, 1.2


@pytest.mark.timeout(900)
def test_slow_connections_cost_nobody_else_time(cluster: Cluster, tmp_path: Path) -> None:
    install_rights(cluster)
    api = Api.of(cluster)
    with fresh_namespace(api, "slow") as namespace, rest.serving(rest.install(cluster, tmp_path), tmp_path) as url:
        made = api.create(factories.app_manifest(factories.in_namespace(namespace)))
        assert made.ok, made.message
        path = f"/v1/apps/{made.body['metadata']['uid']}"
        caller = rest.client(api, url, namespace, "caller", "edit")
        eventually("the rights apply", lambda: caller("GET", path).status_code == 200)
        found = slow.cost(caller, path, slow.SlowOnes(url, MANY), 5 * slow.TAKES)
        with LOG.open("a") as log:
            slow.say(found.lines(MANY, MOST), log.write)
    assert found.ratio <= MOST

"""Deploys 1,000 Apps at once on a cluster whose controllers have their default limits; the log goes to docs/measured/many-apps.txt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import components
from local.clusters import Cluster
from tests.soak.support.at_once import deployed_at_once
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import REPOSITORY, session_cluster

LOG = REPOSITORY / "docs" / "measured" / "many-apps.txt"
APPS = int(os.environ.get("MANY_APPS", "1000"))
RATIO_MOST = 1.3


@pytest.fixture(scope="module")
def limited(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Provides a cluster whose controllers send 20 requests a second each, as by default."""
    with session_cluster("control-plane", pytestconfig, default_limits=True) as started:
        yield started


@pytest.mark.timeout(3600)
def test_a_thousand_apps_at_once_deploy_without_a_failure_or_a_delay(limited: Cluster, tmp_path: Path) -> None:
    api = Api.of(limited)
    with fresh_namespace(api, "many") as namespace:
        result = deployed_at_once(limited, api, namespace, tmp_path, APPS)
    title = f"make soak: Kubernetes {components.KUBERNETES.version}, simulated pods, controllers with their default limits."
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.write_text("\n".join([title, *result.lines()]) + "\n")
    print(LOG.read_text(), flush=True)
    assert result.failed == {}
    assert result.ratio <= RATIO_MOST

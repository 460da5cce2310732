"""Provides one cluster with real pods for the measures that need them, beside the one with simulated pods."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local import gateway
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.cluster import session_cluster


@pytest.fixture(scope="module")
def node(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Provides a cluster of the node profile, deleted after the module: it must not slow the measures of others."""
    with session_cluster("node", pytestconfig) as started:
        yield started


@pytest.fixture(scope="module")
def at(node: Cluster) -> Gateway:
    return gateway.start(node)

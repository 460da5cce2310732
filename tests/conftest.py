"""Fixtures over a cluster; which cluster, the folder's own conftest says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.clusters import Cluster
from tests.support import versions
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import Kubectl


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start metrics-server come last: from then on autoscalers add pods to any App of their cluster that a busy machine lets use CPU.

    What needs a newer Kubernetes than the one that is asked for is expected to fail.
    """
    versions.expect(items)
    items.sort(key=lambda item: item.get_closest_marker("metrics") is not None)


@pytest.fixture
def kubectl(cluster: Cluster) -> Kubectl:
    """Runs kubectl against the cluster."""
    return Kubectl(cluster)


@pytest.fixture
def api(cluster: Cluster) -> Api:
    """Plain requests to the cluster's API server."""
    return Api.of(cluster)


@pytest.fixture
def namespace(api: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace for this test."""
    with fresh_namespace(api, request.function.__name__.removeprefix("test_")) as name:
        yield name

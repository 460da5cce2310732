"""Defines fixtures for a cluster, which the folder's own conftest provides."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support import accounting, audited, versions
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.ending import Ending


def pytest_configure(config: pytest.Config) -> None:
    """Ends a session in order at SIGTERM, too, and keeps accounts of it if the environment requests them.

    Garbage is collected seldom: that took a seventh of the time of the tests of plan, and a part of the collection of all tests.
    """
    gc.set_threshold(50_000, 20, 50)
    is_worker = hasattr(config, "workerinput")
    config.pluginmanager.register(Ending(is_worker=is_worker))
    if folder := os.environ.get(accounting.FOLDER):
        file = Path(folder, f"{audited.suite_of(config)}-{os.getpid()}.json")
        # Each worker keeps its own accounts.
        has_workers = not is_worker and bool(config.getoption("numprocesses", None))
        config.pluginmanager.register(accounting.Accounting(file, alone=has_workers))


def pytest_collection_finish() -> None:
    """Excludes permanent objects from garbage collection: thousands of tests and all of our modules."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves files that start metrics-server to the end: autoscalers then add pods to any App of their cluster that uses CPU.

    Tests that need a newer Kubernetes than the requested one are expected to fail.
    """
    versions.expect(items)
    items.sort(key=lambda item: item.get_closest_marker("metrics") is not None)


@pytest.fixture
def kubectl(cluster: Cluster) -> Kubectl:
    """Provides kubectl for the cluster."""
    return Kubectl(cluster)


@pytest.fixture
def api(cluster: Cluster) -> Api:
    """Provides plain requests to the cluster's API server."""
    return Api.of(cluster)


@pytest.fixture
def namespace(api: Api, request: pytest.FixtureRequest) -> Iterator[str]:
    """Provides a fresh namespace for this test."""
    with fresh_namespace(api, request.function.__name__.removeprefix("test_")) as name:
        yield name

"""Fixtures over a cluster; which cluster, the folder's own conftest says."""

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
    """Ends a session in order also at SIGTERM, and keeps accounts of it where the environment asks for them.

    Garbage is looked for seldom: it was a seventh of the time of the tests of plan, and a part of what it takes to find all tests.
    """
    gc.set_threshold(50_000, 20, 50)
    is_worker = hasattr(config, "workerinput")
    config.pluginmanager.register(Ending(is_worker=is_worker))
    if folder := os.environ.get(accounting.FOLDER):
        file = Path(folder, f"{audited.suite_of(config)}-{os.getpid()}.json")
        # Workers keep accounts of their own.
        has_workers = not is_worker and bool(config.getoption("numprocesses", None))
        config.pluginmanager.register(accounting.Accounting(file, alone=has_workers))


def pytest_collection_finish() -> None:
    """Garbage is not looked for in what stays: thousands of tests and all of our modules."""
    gc.collect()
    gc.freeze()


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

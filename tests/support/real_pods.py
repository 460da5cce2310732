"""Fixtures of folders whose tests share one cluster with real pods and its gateway: a conftest.py imports those that it wants.

The workers of one run share it: the first that asks starts it, and ends it when no other has a test left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import builds, clusters, gateway
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.cluster import KEPT, session_cluster
from tests.support.operator import admission_policies

RUN = "PYTEST_XDIST_TESTRUNUID"
"""The variable that names a run of several workers."""


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster of the node profile with our resources installed, or the one that the environment names."""
    with session_cluster("node", pytestconfig) as started:
        yield started


@pytest.fixture(scope="session", name="cluster")
def guarded_cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """The fixture `cluster` with the admission policies at work, as it is installed; one for all workers of a run."""
    if RUN not in os.environ:
        with _guarded(pytestconfig) as started:
            yield started
        return
    path = builds.cache_root() / f".{os.environ[RUN]}.cluster"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # for as long as this worker has tests
        yield _started(pytestconfig, path)


def _started(pytest_config: pytest.Config, path: Path) -> Cluster:
    """The cluster whose name stands beside `path`, which its users have locked; started where no other worker has."""
    with path.with_suffix(".name").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if (found := clusters.find(file.read() or "none-yet")) is not None:
            return found
        pytest_config.pluginmanager.register(owner := _Owner(path))
        started = owner.start(pytest_config)
        file.truncate(0)
        file.write(started.name)
        return started


@pytest.fixture(scope="session")
def at(cluster: Cluster) -> Gateway:
    """The cluster's gateway, started by the first test that asks for it."""
    return gateway.start(cluster)


@contextlib.contextmanager
def _guarded(pytest_config: pytest.Config) -> Iterator[Cluster]:
    leave = not any(os.environ.get(name) for name in KEPT)
    with session_cluster("node", pytest_config) as started, admission_policies(started, leave=leave):
        yield started


class _Owner:
    """The worker that started the cluster: it ends it after its last test, once the others have left."""

    def __init__(self, path: Path) -> None:
        self._path, self._stack = path, contextlib.ExitStack()

    def start(self, pytest_config: pytest.Config) -> Cluster:
        return self._stack.enter_context(_guarded(pytest_config))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Waits here, where no test's time runs, and after this worker's own fixtures have ended."""
        with self._path.open() as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            self._stack.close()
            for path in (self._path, self._path.with_suffix(".name")):
                path.unlink()

"""Shares one cluster among all workers of a run: the first that needs it starts it, and stops it after the last worker's tests."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import builds, clusters
from local.clusters import Cluster
from tests.support.api import namespaces_left
from tests.support.cluster import ends_with_the_session, session_cluster
from tests.support.operator import admission_policies

RUN = "PYTEST_XDIST_TESTRUNUID"
"""The variable that names a run of several workers."""


@contextlib.contextmanager
def guarded(profile: str, pytest_config: pytest.Config) -> Iterator[Cluster]:
    """Provides a cluster with our resources and the admission policies, as it is installed; `profile` as for `session_cluster`."""
    if RUN not in os.environ:
        with _alone(profile, pytest_config) as started:
            yield started
        return
    path = builds.cache_root() / f".{os.environ[RUN]}.cluster"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # for as long as this worker has tests
        started = _started(profile, pytest_config, path)
        with namespaces_left(started) if profile == "control-plane" and ends_with_the_session() else contextlib.nullcontext():
            yield started


def _started(profile: str, pytest_config: pytest.Config, path: Path) -> Cluster:
    """Returns the cluster whose name is in a file beside `path`, locked by its users; starts it if no other worker has."""
    with path.with_suffix(".name").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if (running := clusters.find(file.read() or "none-yet")) is not None:
            return running
        pytest_config.pluginmanager.register(owner := _Owner(path))
        started = owner.start(profile, pytest_config)
        file.truncate(0)
        file.write(started.name)
        return started


@contextlib.contextmanager
def _alone(profile: str, pytest_config: pytest.Config) -> Iterator[Cluster]:
    with session_cluster(profile, pytest_config) as started, admission_policies(started, leave=ends_with_the_session()):
        yield started


class _Owner:
    """The worker that started the cluster: it stops it after its last test, once the others have ended."""

    def __init__(self, path: Path) -> None:
        self._path, self._stack = path, contextlib.ExitStack()

    def start(self, profile: str, pytest_config: pytest.Config) -> Cluster:
        return self._stack.enter_context(_alone(profile, pytest_config))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Waits here, outside of any test's time, and after this worker's own fixtures have ended."""
        with self._path.open() as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            self._stack.close()
            for path in (self._path, self._path.with_suffix(".name")):
                path.unlink()

"""Provides one cluster with real pods and the admission policies to the tests of this folder that use it."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests.support.real_pods import at as at
from tests.support.real_pods import guarded_cluster as guarded_cluster

TOGETHER = {
    **dict.fromkeys(("test_gate.py", "test_sleeping_apps.py", "test_no_call_fails.py"), "use the one gate of the cluster"),
    **dict.fromkeys(("test_interruptions.py", "test_failures.py"), "what a node that is drained says of pods that it has no room for"),
}
"""Files that one worker runs, with the reason: their actions on the cluster would disturb each other."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Gives each file to one worker, and files that disturb each other to the same one."""
    scheduling = LoadFileScheduling(config, log)
    file_of = scheduling._split_scope
    scheduling._split_scope = lambda test: TOGETHER.get(Path(file_of(test)).name, file_of(test))
    return scheduling

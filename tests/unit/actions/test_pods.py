"""The pods of a row among those of its App."""

from __future__ import annotations

import time
from typing import Any

from dynamiq_operator.actions.pods import pods_of_row
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as make
from tests.support.scripted import listed
from tests.unit.support.workloads import pod

MANY = 500


class _Served:
    """An API server's answer as it is, without the time that it takes to parse it."""

    def __init__(self, *pods: Manifest) -> None:
        self._page = listed(*pods)

    def request(self, *_: Any, **__: Any) -> Manifest:
        return self._page


def _seconds(*pods: Manifest) -> float:
    """The time of this thread that it takes to tell the pods of v2, the best of a few."""
    app, row = make.stored(make.app_manifest()), make.stored(make.row_manifest("chat-b", make.live(2, "v2")))
    found = []
    for _ in range(5):
        began = time.thread_time()
        assert len(pods_of_row(_Served(*pods), app, row)) == 1
        found.append(time.thread_time() - began)
    return min(found)


def test_of_many_pods_each_costs_little() -> None:
    others, own = [pod(f"old-{number}", "v1") for number in range(MANY)], pod("new", "v2")
    assert _seconds(*others, own) < _seconds(others[0], own) * MANY / 5

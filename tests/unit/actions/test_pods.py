"""Finding the pods of a row among those of its App."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.actions.pods import pods_of_row
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as make
from tests.support.scripted import listed
from tests.unit.support.work import steps
from tests.unit.support.workloads import pod

MANY = 500


class _Served:
    """An API server whose answer takes no time to parse."""

    def __init__(self, *pods: Manifest) -> None:
        self._page = listed(*pods)

    def request(self, *_: Any, **__: Any) -> Manifest:
        return self._page


def _work(*pods: Manifest) -> int:
    """Returns the number of calls that finding the pods of v2 takes."""
    app, row, served = make.stored(make.app_manifest()), make.stored(make.row_manifest("chat-b", make.live(2, "v2"))), _Served(*pods)
    found: list[Manifest] = []
    count = steps(lambda: found.extend(pods_of_row(served, app, row)))
    assert len(found) == 1
    return count


def test_the_cost_of_many_pods_grows_slowly() -> None:
    others, own = [pod(f"old-{number}", "v1") for number in range(MANY)], pod("new", "v2")
    assert _work(*others, own) < _work(others[0], own) * MANY / 5

"""A write of a draft that meets another's: again until it fits in, and never into another workflow of the same name."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import WORKFLOWS
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.id_index import Entry
from dynamiq_operator.rest.workflows import drafts

ENTRY = Entry("demo", "support", "uid-1", 1, "2026-11-24T22:00:00Z")


class Busy:
    """An API server that meets each write with a conflict, `conflicts` times; the workflow that it has is that of `uid`."""

    def __init__(self, conflicts: int, uid: str) -> None:
        self.conflicts, self.uid = conflicts, uid
        self.patches: list[Any] = []

    def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Any:
        assert path == WORKFLOWS.path("demo", "support")
        if method == "GET":
            return {"metadata": {"uid": self.uid}}
        self.patches.append(body)
        if len(self.patches) <= self.conflicts:
            raise errors.Conflict("the object has been modified", 409)
        return {"metadata": {"uid": self.uid}}


def _change(api: Busy) -> Any:
    session = CallerSession(cast(Any, api), cast(Any, None), "")
    context = ApiContext.__new__(ApiContext)
    return drafts.change(context, session, ENTRY, {"flow": "{}"})


def test_a_conflict_is_followed_by_another_try_of_the_same() -> None:
    api = Busy(3, "uid-1")
    assert _change(api)["metadata"]["uid"] == "uid-1"
    assert api.patches == [{"metadata": {"uid": "uid-1"}, "spec": {"flow": "{}"}}] * 4


@pytest.mark.parametrize(("uid", "status"), [("uid-2", 404), ("uid-1", 409)])
def test_what_never_fits_in_ends_with_the_reason(uid: str, status: int) -> None:
    with pytest.raises(HttpProblem) as ended:
        _change(Busy(1000, uid))
    assert ended.value.status == status

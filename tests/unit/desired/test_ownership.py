"""Whose an object is: an App's by uid, by label after a restore, or a deleted App's of the same name."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.base import SERVICE as RESOURCE
from dynamiq_operator.desired.base import app_of, awaits_garbage_collection, child, is_ours, owner
from tests.support import factories as given

APP = given.an_app()
MADE = child(APP, RESOURCE, given.NAME)
BEFORE = owner(given.an_app(given.with_meta(uid="uid-before")))
SET = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "uid-of-set"}


def observed(*owners: dict[str, Any], labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": given.NAME, "ownerReferences": list(owners), **({"labels": labels} if labels else {})}}


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (MADE, True),
        (observed(owner(APP)), True),
        (observed(labels=MADE["metadata"]["labels"]), True),
        (observed(), False),
        (observed(BEFORE), False),
        (observed(labels={"app.kubernetes.io/managed-by": "helm", "dynamiq.getdynamiq.ai/app": given.NAME}), False),
    ],
    ids=["as made", "owner alone", "labels alone, as restored", "neither", "an App of before", "labels of another manager"],
)
def test_only_what_is_ours_may_be_written(found: dict[str, Any], ours: bool) -> None:
    assert is_ours(found, APP) is ours


@pytest.mark.parametrize(
    ("found", "awaits"),
    [(observed(BEFORE), True), (observed(BEFORE, owner(APP)), False), (observed(SET), False), (observed(), False)],
    ids=["an App of before", "that and this one", "no App", "nobody"],
)
def test_what_a_deleted_app_of_the_name_owned_is_left_to_the_garbage_collector(found: dict[str, Any], awaits: bool) -> None:
    assert awaits_garbage_collection(found, APP) is awaits
    assert not awaits_garbage_collection(found, None)


def test_our_labels_say_of_which_app_a_child_is() -> None:
    assert app_of(MADE) == given.NAME
    assert app_of(observed(labels={"dynamiq.getdynamiq.ai/app": given.NAME})) == app_of(observed()) == ""

"""The owner of an object, by uids: an App of the same name is another App."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.model import names, ownership

UID, NAME = "uid-now", "chat"
OURS, BEFORE, OTHER = ownership.reference(NAME, UID), ownership.reference(NAME, "uid-before"), ownership.reference("chat-a", "uid-of-a")
SET = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "uid-of-set"}
APP_OF_OTHERS = {"apiVersion": "kappctrl.k14s.io/v1alpha1", "kind": "App", "name": NAME, "uid": "uid-of-theirs"}


def observed(*owners: dict[str, Any], labels: dict[str, str] | None = None, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": NAME, "ownerReferences": list(owners), "resourceVersion": str(version), "labels": labels or {}}}


@pytest.mark.parametrize(
    ("owners", "owned", "anothers", "nobodys", "former"),
    [
        ([OURS], True, False, False, False),
        ([BEFORE], False, True, False, True),
        ([BEFORE, OURS], True, False, False, False),
        ([OTHER], False, True, False, False),
        ([BEFORE, OTHER], False, True, False, False),
        ([], False, False, True, False),
        ([SET], False, False, True, False),
        ([APP_OF_OTHERS], False, False, True, False),
    ],
    ids=["ours", "of before", "of before and ours", "of another name", "two others", "nobody", "a ReplicaSet", "another product's App"],
)
def test_the_owner_of_an_object_is_found_by_uid(
    owners: list[dict[str, Any]], owned: bool, anothers: bool, nobodys: bool, former: bool
) -> None:
    found = observed(*owners)
    assert ownership.is_owned(found, UID) is owned
    assert ownership.is_anothers(found, UID) is anothers
    assert ownership.may_be_of(UID, found) is not anothers
    assert ownership.is_nobodys(found) is nobodys
    assert ownership.is_of_former(found, NAME, UID) is former


def test_only_objects_of_the_app_or_without_an_owner_are_returned() -> None:
    rows = [observed(OURS, version=1), observed(BEFORE, version=2), observed(version=3)]
    assert ownership.only_of(UID, rows) == [rows[0], rows[2]]


def test_our_labels_name_the_app_of_a_child() -> None:
    assert ownership.app_of(observed(labels=names.labels(NAME))) == NAME
    assert ownership.app_of(observed(labels={names.APP_LABEL: NAME})) == ownership.app_of(observed()) == ""
    assert ownership.app_of(observed(labels={names.APP_LABEL: NAME, names.MANAGED_BY: "helm"})) == ""

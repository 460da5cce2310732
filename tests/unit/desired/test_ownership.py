"""The objects that an App may write: its own, by uid, and restored ones without an owner."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.base import SERVICE as RESOURCE
from dynamiq_operator.desired.base import child, is_ours, owner
from tests.support import factories as given

APP = given.an_app()
MADE = child(APP, RESOURCE, given.NAME)
BEFORE = owner(given.an_app(given.with_meta(uid="uid-before")))


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
        (observed(BEFORE, labels=MADE["metadata"]["labels"]), False),
        (observed(labels={"app.kubernetes.io/managed-by": "helm", "dynamiq.getdynamiq.ai/app": given.NAME}), False),
    ],
    ids=[
        "as made",
        "owner alone",
        "labels alone, as restored",
        "neither",
        "an App of before",
        "with our labels",
        "labels of another manager",
    ],
)
def test_only_what_is_ours_may_be_written(found: dict[str, Any], ours: bool) -> None:
    assert is_ours(found, APP) is ours

"""Which rows of an App's name are the App's own."""

from __future__ import annotations

from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import Manifest


def may_belong_to(app_id: str, row: Manifest) -> bool:
    """Whether a row is not of an App of before or after that has the same name: the operator makes a row's App its owner."""
    owners = [each["uid"] for each in row["metadata"].get("ownerReferences") or () if each.get("kind") == APPS.kind]
    return not owners or app_id in owners

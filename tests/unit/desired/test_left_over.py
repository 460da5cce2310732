"""Fields that the operator applied earlier and no longer wants also differ: annotations of any child, and fields of an Ingress."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.drift import first_stale_field
from dynamiq_operator.model.names import FIELD_MANAGER

Manifest = dict[str, Any]
TLS: Manifest = {"f:spec": {"f:tls": {}, "f:rules": {}}}
NOTE: Manifest = {"f:metadata": {"f:annotations": {".": {}, "f:a.test/b": {}}}}


def observed(fields: Manifest, manager: str = FIELD_MANAGER, **more: str) -> Manifest:
    return {"metadata": {"managedFields": [{"manager": manager, "fieldsV1": fields, **more}]}}


@pytest.mark.parametrize(
    ("kind", "found", "path"),
    [
        ("Ingress", observed(TLS), ".spec.tls"),
        ("Ingress", observed(NOTE), ".metadata.annotations.a.test/b"),
        ("Service", observed(NOTE), ".metadata.annotations.a.test/b"),
        ("Service", observed(TLS), None),
        ("Ingress", observed(TLS, "kubectl"), None),
        ("Ingress", observed(TLS, subresource="status"), None),
        ("Ingress", {"metadata": {}}, None),
    ],
    ids=[
        "a field",
        "an annotation",
        "an annotation of a Service",
        "a field of a Service",
        "another manager's",
        "of the status",
        "no entry",
    ],
)
def test_a_field_that_is_no_longer_desired_is_stale(kind: str, found: Manifest, path: str | None) -> None:
    assert first_stale_field({"kind": kind, "metadata": {}, "spec": {"rules": []}}, found) == path


def test_an_annotation_that_is_still_wanted_is_not_left_over() -> None:
    assert first_stale_field({"kind": "Ingress", "metadata": {"annotations": {"a.test/b": "c"}}, "spec": {}}, observed(NOTE)) is None

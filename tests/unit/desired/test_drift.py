"""Drift is a difference in the operator's own fields. Fields that the API server or others add are no drift."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.drift import first_difference

Manifest = dict[str, Any]
OURS = {"apiVersion": "v1", "kind": "App", "name": "chat", "uid": "1"}
PODS = {"podSelector": {"matchLabels": {"app": "x"}}}
OTHERS = {"apiVersion": "v1", "kind": "Other", "name": "x", "uid": "2"}


def compared(desired: Manifest, observed: Manifest) -> str | None:
    """Returns the first difference, both of the desired object's kind, else of a kind without special rules."""
    kind = {"kind": desired.get("kind", "HorizontalPodAutoscaler")}
    return first_difference(kind | desired, kind | observed)


@pytest.mark.parametrize(
    ("desired", "observed"),
    [
        ({"a": 1, "b": {"c": "d"}}, {"a": 1, "b": {"c": "d"}}),
        ({"spec": {"a": 1}}, {"spec": {"a": 1, "defaulted": True}, "status": {}}),
        ({"list": [{"name": "x"}]}, {"list": [{"name": "x", "protocol": "TCP"}]}),
        ({"empty": {}, "list": [], "text": "", "no": False, "none": None}, {}),
        ({"cpu": "1"}, {"cpu": "1000m"}),
        ({"cpu": "0.5"}, {"cpu": "500m"}),
        ({"memory": "1024Mi"}, {"memory": "1Gi"}),
        ({"memory": "1G"}, {"memory": "1000M"}),
        ({"cpu": 2}, {"cpu": "2"}),
        ({"sizeLimit": "64Mi"}, {"sizeLimit": "65536Ki"}),
        ({"metadata": {"ownerReferences": [OURS]}}, {"metadata": {"ownerReferences": [OTHERS, OURS]}}),
    ],
    ids=[
        "equal", "defaulted field", "defaulted field in a list", "empty values are dropped", "whole cpu", "part of a cpu", "binary unit",
        "decimal unit", "number and text", "size limit", "another owner",
    ],
)  # fmt: skip
def test_no_drift(desired: Manifest, observed: Manifest) -> None:
    assert compared(desired, observed) is None


@pytest.mark.parametrize(
    ("desired", "observed", "path"),
    [
        ({"spec": {"a": 1}}, {"spec": {"a": 2}}, ".spec.a"),
        ({"spec": {"a": 1}}, {"spec": {}}, ".spec.a"),
        ({"spec": {"a": 1}}, {}, ".spec"),
        ({"spec": {"suspend": False}}, {"spec": {"suspend": True}}, ".spec.suspend"),
        ({"data": {}}, {"data": {"a": 1}}, None),
        ({"ports": [{"port": 1}]}, {"ports": [{"port": 2}]}, ".ports[0].port"),
        ({"ports": [1, 2]}, {"ports": [1]}, ".ports"),
        ({"ports": []}, {"ports": [1]}, ".ports"),
        ({"ports": [1]}, {"ports": {"a": 1}}, ".ports"),
        ({"cpu": "1"}, {"cpu": "1001m"}, ".cpu"),
        ({"memory": "1G"}, {"memory": "1Gi"}, ".memory"),
        ({"replicas": "1"}, {"replicas": 1}, ".replicas"),
        ({"metadata": {"ownerReferences": [OURS]}}, {"metadata": {"ownerReferences": [OTHERS]}}, ".metadata.ownerReferences"),
        ({"metadata": {"ownerReferences": [OURS]}}, {"metadata": {}}, ".metadata.ownerReferences"),
        ({"kind": "Service", "spec": {"selector": {"app": "x"}}}, {"spec": {"selector": {"app": "x", "version": "v1"}}}, ".spec.selector"),
        ({"kind": "NetworkPolicy", "spec": {"ingress": [{"from": [PODS]}]}}, {"spec": {"ingress": [{"from": [PODS | {"namespaceSelector": {}}]}]}}, ".spec.ingress[0].from[0]"),
        ({"kind": "NetworkPolicy", "spec": {"egress": [{"to": [PODS | {"namespaceSelector": {}}]}]}}, {"spec": {"egress": [{"to": [PODS]}]}}, ".spec.egress[0].to[0].namespaceSelector"),
        ({"kind": "NetworkPolicy", "spec": {"podSelector": {"matchLabels": {}}}}, {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}, ".spec.podSelector.matchLabels"),
    ],
    ids=[
        "changed", "removed", "part removed", "false made true", "an empty map states no key", "changed in a list", "list cut",
        "list filled", "other type", "other cpu", "decimal is not binary", "text is not a number", "owner replaced", "owner removed",
        "one more key of a selector", "a peer widened", "a peer narrowed", "fewer pods",
    ],
)  # fmt: skip
def test_drift_names_the_field(desired: Manifest, observed: Manifest, path: str | None) -> None:
    assert compared(desired, observed) == path

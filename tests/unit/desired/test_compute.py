"""The compute of a pod: the row's pins, and limits if the row has none."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.inputs import WorkloadInputs
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import workload_manifest
from tests.support import factories as given


def test_a_pod_that_loads_the_sdk_has_more() -> None:
    row = given.a_row("a", given.pinned(1, runtime=given.a_runtime(given.with_spec(engine="sdk"))))
    assert row.pinned is not None
    made = workload_manifest(given.an_app(), WorkloadInputs("", Pins.of(row.pinned)))
    assert made is not None
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "2Gi"


@pytest.mark.parametrize(
    ("requested", "limited", "memory"),
    [
        ({"memory": "256Mi"}, None, "1Gi"),
        ({}, None, "1Gi"),
        ({"memory": "1000M"}, None, "1Gi"),
        ({"memory": "2Gi"}, None, "2Gi"),
        ({"memory": "1025Mi"}, {"cpu": "1"}, "1025Mi"),
        ({"memory": "64Mi"}, {"memory": "128Mi"}, "128Mi"),
        ({"memory": "2Gi"}, {"memory": "1Gi"}, "1Gi"),  # the API server refuses it, and the row says so
    ],
)
def test_every_pod_has_a_limit_of_memory(requested: dict[str, str], limited: dict[str, str] | None, memory: str) -> None:
    resources: dict[str, Any] = {"requests": requested} | ({"limits": limited} if limited else {})
    row = given.a_row("a", given.pinned(1, config={**given.CONFIG, "resources": resources}))
    assert row.pinned is not None
    made = workload_manifest(given.an_app(), WorkloadInputs("", Pins.of(row.pinned)))
    assert made is not None
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {**(limited or {}), "memory": memory, "ephemeral-storage": "1Gi"}
    assert container["resources"]["requests"] == {**requested, "ephemeral-storage": "0"}

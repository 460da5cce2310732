"""Digests cover exactly their content, in any order of the JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest

from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model import digests
from dynamiq_operator.model.objects import Manifest
from tests.support.factories import a_history, a_row, asking, flow, live, row_manifest, superseded


def spec_of(*, message: str | None = None) -> Manifest:
    spec: Manifest = row_manifest("a", asking(message=message), live(1))["spec"]
    return spec


def test_a_flow_is_hashed_by_its_bytes() -> None:
    assert digests.flow_hash("né") == f"sha256:{hashlib.sha256(bytes((0x6E, 0xC3, 0xA9))).hexdigest()}"
    assert digests.flow_hash("a: 1") != digests.flow_hash("a:  1")


def test_the_canonical_form_is_rfc_8785() -> None:
    text = b'{"a":[1,true,null],"b":"\xe2\x82\xac"}'
    assert digests.canonical({"b": "€", "a": [1.0, True, None]}) == f"sha256:{hashlib.sha256(text).hexdigest()}"


def test_order_does_not_matter() -> None:
    spec = spec_of()
    reordered = json.loads(json.dumps(spec, sort_keys=True))
    assert list(reordered) != list(spec)
    assert digests.row_digest(reordered) == digests.row_digest(spec)


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(message="other"),
        lambda spec: spec.update(createdBy="mallory"),
        lambda spec: spec.update(sequence=2),
        lambda spec: spec.update(unknownToThisOperator=1),
        lambda spec: spec["pinned"].update(workflowHash="sha256:" + "f" * 64),
        lambda spec: spec["pinned"].update(previousDigest="sha256:" + "f" * 64),
        lambda spec: spec["pinned"]["config"]["autoscaling"].update(minReplicas=2),
        lambda spec: spec["pinned"]["runtime"].pop("port"),
    ],
    ids=["message", "createdBy", "sequence", "unknown field", "flow", "previous row", "config", "runtime"],
)
def test_a_rows_digest_covers(change: Callable[[Manifest], object]) -> None:
    spec = spec_of(message="first")
    before = digests.row_digest(spec)
    change(spec)
    assert digests.row_digest(spec) != before


def test_digests_of_rows_with_amounts_stay_what_they_were() -> None:
    """An older operator computed these. Amounts are stored as texts in whatever form they were sent."""
    resources = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2.5"}}
    config = {"type": "server", "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetCPU": 80}, "resources": resources}
    pinned = a_row("x", live(3, "v1", config=config)).pinned
    assert pinned is not None
    assert pinned.digest == "sha256:c5b821b10255ce2346297d229e82f2264b283ca81d3fcbec1fc1f0d7d382b0dd"
    assert Pins.of(pinned).digest == "c9d3b6f4b7e23a87"


def test_a_rows_digest_leaves_out_itself_and_the_outcome() -> None:
    spec = spec_of()
    before = digests.row_digest(spec)
    assert spec["pinned"]["digest"] == before
    spec["pinned"]["digest"] = "sha256:" + "f" * 64
    del spec["outcome"]
    assert digests.row_digest(spec) == before


@pytest.mark.parametrize("field", ["result", "reason", "at"])
def test_an_outcomes_digest_covers(field: str) -> None:
    outcome = spec_of()["outcome"]
    changed = {**outcome, field: "other"}
    assert digests.outcome_digest("sha256:a", outcome, {}) != digests.outcome_digest("sha256:a", changed, {})
    assert digests.outcome_digest("sha256:a", outcome, {}) != digests.outcome_digest("sha256:b", outcome, {})


def test_an_outcomes_digest_leaves_out_itself() -> None:
    outcome = spec_of()["outcome"]
    assert digests.outcome_digest("sha256:a", {**outcome, "digest": "other"}, {}) == digests.outcome_digest("sha256:a", outcome, {})


def test_a_history_is_a_chain() -> None:
    first, second = a_history(row_manifest("a", superseded(1)), row_manifest("b", live(2, "v2")))
    assert first.pinned is not None
    assert second.pinned is not None
    assert first.pinned.previous_digest is None
    assert second.pinned.previous_digest == first.pinned.digest == digests.row_digest(first.raw_spec)
    assert second.pinned.workflow_hash == digests.flow_hash(flow("v2"))

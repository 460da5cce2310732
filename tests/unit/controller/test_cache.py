"""The cache: the newest objects that watches reported, and none older than a later write."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dynamiq_operator.controller.cached.cache import CONTENT_HASH, Cache
from dynamiq_operator.controller.cached.objects import SHAPES_MAX
from dynamiq_operator.kube.resources import APPS, BY_KIND, JOBS, PODS, ROWS, RUNTIMES, SLICES, VERSIONS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.plan.observed.endpoints import Slice
from tests.support import slices
from tests.support.factories import NAME, NAMESPACE, app_manifest, flow, row_manifest
from tests.unit.support.work import steps

APP = (NAMESPACE, NAME)


def stored(manifest: dict[str, Any], version: int, **status: Any) -> dict[str, Any]:
    """Returns the manifest as the API server has it at this resourceVersion."""
    uid = f"uid-of-{manifest['metadata']['name']}"
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid, "resourceVersion": str(version)}, "status": status}


def rows(cache: Cache) -> list[str]:
    return [raw["metadata"]["name"] for resource, raw in cache.of_app(APP) if resource is ROWS]


def test_event_older_than_our_own_write_is_ignored() -> None:
    cache = Cache()
    assert cache.update(ROWS, stored(row_manifest("a"), 20, phase="Live")) == {APP}
    assert cache.update(ROWS, stored(row_manifest("a"), 19, phase="Progressing")) == set()
    ((_, found),) = cache.of_app(APP)
    assert found["status"]["phase"] == "Live"


def test_row_that_was_closed_stays_away_though_an_older_event_of_it_comes_late() -> None:
    cache = Cache()
    cache.update(ROWS, stored(row_manifest("a"), 20, phase="Live"))
    cache.update(ROWS, stored(row_manifest("a"), 22, phase="Superseded"))
    cache.update(ROWS, stored(row_manifest("a"), 21, phase="Live"))
    assert rows(cache) == []


def test_list_finds_what_a_watch_missed_and_leaves_what_is_newer() -> None:
    cache = Cache()
    cache.update(ROWS, stored(row_manifest("deleted-unseen"), 10))
    cache.update(ROWS, stored(row_manifest("created-since"), 31))
    assert cache.update(ROWS, stored(row_manifest("created-unseen"), 12)) == {APP}
    assert cache.retain(ROWS, {(NAMESPACE, "created-unseen")}, 30, None) == {APP}
    assert sorted(rows(cache)) == ["created-since", "created-unseen"]


def test_a_list_of_one_namespace_changes_no_other() -> None:
    cache = Cache()
    cache.update(ROWS, stored(row_manifest("a"), 10))
    assert cache.retain(ROWS, set(), 30, frozenset({"other"})) == set()
    assert rows(cache) == ["a"]


def test_release_requeues_the_apps_of_its_workflow_and_its_flow_is_kept_as_a_hash_alone() -> None:
    cache = Cache()
    cache.update(APPS, stored(app_manifest(), 5))
    release = {
        "metadata": {"name": f"{NAME}-v1", "namespace": NAMESPACE},
        "spec": {"workflow": NAME, "version": "v1", "flow": flow("v1")},
    }
    assert cache.update(VERSIONS, stored(release, 6)) == {APP}
    (found,) = cache.versions(NAMESPACE, NAME)
    assert found[CONTENT_HASH] == flow_hash(flow("v1"))
    assert "flow" not in found["spec"]


def a_release(number: int, version: int, size: int = 40 * 1024) -> dict[str, Any]:
    meta = {"name": f"{NAME}-v{number}", "namespace": NAMESPACE}
    return stored({"metadata": meta, "spec": {"workflow": NAME, "version": f"v{number}", "flow": f"{number}" * size}}, version)


def a_flow(number: int, version: int) -> dict[str, Any]:
    meta = {"name": f"{NAME}-flow-{number}", "namespace": NAMESPACE, "labels": names.labels(NAME)}
    return stored({"kind": "ConfigMap", "metadata": meta, "data": {"flow": f"{number}" * 40 * 1024}, "immutable": True}, version)


@pytest.mark.parametrize(("resource", "make"), [(VERSIONS, a_release), (BY_KIND["ConfigMap"], a_flow)])
def test_flows_take_no_memory(resource: ApiResource, make: Callable[[int, int], dict[str, Any]]) -> None:
    cache, count = Cache(), 200
    tracemalloc.start()
    try:
        for number in range(count):
            cache.update(resource, make(number, number + 1))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / count < 4096, "a tenth of its flow"


def test_children_keep_who_manages_their_fields_however_many_sets_of_fields_there_are() -> None:
    cache = Cache()

    def managed(number: int) -> list[dict[str, Any]]:
        fields: dict[str, Any] = {"f:metadata": {"f:labels": {}}, "f:spec": {f"f:of-{number}": {}}}
        return [{"manager": "dynamiq", "operation": "Apply", "fieldsV1": fields}, {"manager": "other", "operation": "Update"}]

    for number in range(SHAPES_MAX + 20):
        meta = {"name": f"s{number}", "namespace": NAMESPACE, "labels": names.labels(NAME), "managedFields": managed(number)}
        cache.update(BY_KIND["Service"], stored({"kind": "Service", "metadata": meta, "spec": {}}, number + 1))
    for number in range(SHAPES_MAX + 20):
        found = cache.get(BY_KIND["Service"], NAMESPACE, f"s{number}")
        assert found is not None
        assert found["metadata"]["managedFields"] == managed(number)


def test_the_cost_of_an_event_does_not_grow_with_the_cluster() -> None:
    def work(apps: int, releases: int) -> int:
        cache = Cache()
        for number in range(apps):
            cache.update(APPS, stored(app_manifest(name=f"app-{number}"), 1) | {"spec": {"workflow": f"workflow-{number}"}})
        for number in range(releases):
            cache.update(VERSIONS, a_release(number, 1, 1) | {"spec": {"workflow": f"workflow-{number % apps}", "version": "v1"}})
        cache.update(APPS, stored(app_manifest(), 1))

        def events() -> None:
            for round_ in range(20):
                assert cache.update(VERSIONS, a_release(1_000_000, round_ + 1, 1)) == {APP}
                assert len(list(cache.versions(NAMESPACE, NAME))) == 1
                cache.update(RUNTIMES, stored({"metadata": {"name": "tiny"}, "spec": {}}, round_ + 1))

        return steps(events)

    assert work(2000, 20_000) < 1.1 * work(10, 10)


def test_run_and_its_pod_wake_their_app_and_what_they_send_is_not_kept() -> None:
    cache = Cache()
    labels = names.labels(NAME) | names.run_selector(NAME, "nightly")
    template = {"spec": {"containers": [{"name": "caller", "env": [{"name": "INPUT", "value": "x" * 1000}]}]}}
    job = {"kind": "Job", "metadata": {"name": "j", "namespace": NAMESPACE, "labels": labels}, "spec": {"template": template}}
    pod = {"metadata": {"name": "p", "namespace": NAMESPACE, "labels": names.caller_labels(NAME, "nightly")}, **template}
    assert cache.update(JOBS, stored(job, 5)) == {APP}
    assert cache.update(PODS, stored(pod, 6)) == {APP}
    assert "xxx" not in str(list(cache.of_app(APP)))


def test_runtime_wakes_only_apps_with_a_row_that_is_not_pinned() -> None:
    cache = Cache()
    cache.update(APPS, stored(app_manifest(), 5))
    runtime = {"metadata": {"name": "tiny-1"}, "spec": {"version": "1.0.0", "image": "registry.test/x:1"}}
    assert cache.update(RUNTIMES, stored(runtime, 6)) == set()
    cache.update(ROWS, stored(row_manifest("waits"), 7))
    assert cache.update(RUNTIMES, stored(runtime, 8)) == {APP}


def test_no_other_thread_changes_it() -> None:
    cache = Cache()
    with ThreadPoolExecutor(1) as other:
        for change in (cache.update, cache.delete):
            with pytest.raises(RuntimeError, match="does not own it"):
                other.submit(change, ROWS, stored(row_manifest("a"), 5)).result()
    assert rows(cache) == []


def test_object_that_was_made_anew_stays_though_the_end_of_the_one_before_it_comes_late() -> None:
    """Events of two objects of one name arrive in two ways: the older one's deletion may arrive last."""
    cache = Cache()
    old, new = stored(app_manifest(), 10), stored(app_manifest(), 12)
    new["metadata"]["uid"] = "uid-of-the-new-one"
    cache.update(APPS, old)
    cache.update(APPS, new)
    assert cache.delete(APPS, {**old, "metadata": {**old["metadata"], "resourceVersion": "11"}}) == set()
    found = cache.get(APPS, *APP)
    assert found is not None
    assert found["metadata"]["uid"] == "uid-of-the-new-one"


@pytest.mark.parametrize(("resource", "spec"), [(ROWS, {}), (ROWS, None), (VERSIONS, []), (APPS, None), (PODS, None)])
def test_object_of_no_known_form_costs_no_other_object_anything(resource: ApiResource, spec: Any) -> None:
    cache = Cache()
    cache.update(ROWS, stored(row_manifest("a"), 10))
    cache.update(APPS, stored(app_manifest(), 10))
    odd = {"metadata": {"name": "a", "namespace": NAMESPACE}, "spec": spec}
    assert cache.update(resource, stored(odd, 11)) == set()
    assert rows(cache) == ["a"], "what was known of it is known still"
    assert cache.update(ROWS, stored(row_manifest("a"), 12)) == {APP}
    assert cache.delete(ROWS, stored(row_manifest("a"), 13)) == {APP}


def test_slice_wakes_its_app_and_those_of_the_gates_own_service_wake_each_app_that_has_one() -> None:
    cache = Cache()
    cache.update(APPS, stored(app_manifest(), 1))
    assert cache.update(SLICES, stored(slices.slice_of_gate(), 2)) == set(), "an App that has no slice does not care"
    assert cache.update(SLICES, stored(slices.service_slice(slices.endpoint("pod")), 3)) == {APP}
    assert cache.update(SLICES, stored(slices.slice_of_gate(slices.endpoint("gate-a")), 4)) == {APP}
    assert cache.delete(SLICES, stored(slices.slice_of_gate(), 5)) == {APP}
    assert cache.slices_of_gate() == []


def test_service_of_the_gates_name_elsewhere_is_not_the_gate() -> None:
    cache = Cache()
    cache.update(SLICES, stored(slices.slice_of_gate(slices.endpoint("pod"), namespace=NAMESPACE), 1))
    assert cache.slices_of_gate() == []


def test_ports_at_the_gate_are_those_of_other_apps() -> None:
    cache = Cache()
    for number, app in enumerate((NAME, "other", "third")):
        cache.update(SLICES, stored(slices.gate_slice(app=app, port=20000 + number), 1))
    assert cache.gate_ports(but_of=APP) == {20001, 20002}
    cache.delete(SLICES, stored(slices.gate_slice(app="other", port=20001), 2))
    assert cache.gate_ports(but_of=APP) == {20002}


def test_ports_of_a_service_with_the_gates_label_are_none_of_the_gate() -> None:
    """Kubernetes copies a Service's labels to its slices: anybody who may make a Service could otherwise take every port."""
    cache = Cache()
    made = slices.service_slice(slices.endpoint("pod"), port=20005)
    made["metadata"]["labels"][names.GATE_LABEL] = "slice"
    cache.update(SLICES, stored(made, 1))
    assert cache.gate_ports(but_of=("another", "app")) == frozenset()
    assert not Slice.of(made).is_gates

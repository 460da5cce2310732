"""The store: what the watches saw, newest first to last, and nothing that is older than what was written since."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.controller.cache import HASH_OF_CONTENT, Store
from dynamiq_operator.kube.resources import APPS, JOBS, PODS, RECORDS, RUNTIMES, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash
from tests.support.factories import NAME, NAMESPACE, app_manifest, flow, row_manifest

APP = (NAMESPACE, NAME)


def stored(manifest: dict[str, Any], version: int, **status: Any) -> dict[str, Any]:
    """The manifest as the API server has it at this resourceVersion."""
    uid = f"uid-of-{manifest['metadata']['name']}"
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid, "resourceVersion": str(version)}, "status": status}


def rows(store: Store) -> list[str]:
    return [raw["metadata"]["name"] for resource, raw in store.of_app(APP) if resource is RECORDS]


def test_event_older_than_our_own_write_is_ignored() -> None:
    store = Store()
    assert store.put(RECORDS, stored(row_manifest("a"), 20, phase="Live")) == {APP}
    assert store.put(RECORDS, stored(row_manifest("a"), 19, phase="Progressing")) == set()
    ((_, found),) = store.of_app(APP)
    assert found["status"]["phase"] == "Live"


def test_row_that_was_closed_stays_away_though_an_older_event_of_it_comes_late() -> None:
    store = Store()
    store.put(RECORDS, stored(row_manifest("a"), 20, phase="Live"))
    store.put(RECORDS, stored(row_manifest("a"), 22, phase="Superseded"))
    store.put(RECORDS, stored(row_manifest("a"), 21, phase="Live"))
    assert rows(store) == []


def test_list_finds_what_a_watch_missed_and_leaves_what_is_newer() -> None:
    store = Store()
    store.put(RECORDS, stored(row_manifest("deleted-unseen"), 10))
    store.put(RECORDS, stored(row_manifest("created-since"), 31))
    touched = store.replace(RECORDS, [stored(row_manifest("created-unseen"), 12)], 30, None)
    assert touched == {APP}
    assert sorted(rows(store)) == ["created-since", "created-unseen"]


def test_list_of_one_namespace_says_nothing_of_another() -> None:
    store = Store()
    store.put(RECORDS, stored(row_manifest("a"), 10))
    assert store.replace(RECORDS, [], 30, frozenset({"other"})) == set()
    assert rows(store) == ["a"]


def test_release_requeues_the_apps_of_its_workflow_and_its_flow_is_kept_as_a_hash_alone() -> None:
    store = Store()
    store.put(APPS, stored(app_manifest(), 5))
    release = {
        "metadata": {"name": f"{NAME}-v1", "namespace": NAMESPACE},
        "spec": {"workflow": NAME, "version": "v1", "flow": flow("v1")},
    }
    assert store.put(VERSIONS, stored(release, 6)) == {APP}
    (found,) = store.versions(NAMESPACE, NAME)
    assert found[HASH_OF_CONTENT] == flow_hash(flow("v1"))
    assert "flow" not in found["spec"]


def test_run_and_its_pod_wake_their_app_and_what_they_send_is_not_kept() -> None:
    store = Store()
    labels = names.labels(NAME) | names.run_selector(NAME, "nightly")
    template = {"spec": {"containers": [{"name": "caller", "env": [{"name": "INPUT", "value": "x" * 1000}]}]}}
    job = {"kind": "Job", "metadata": {"name": "j", "namespace": NAMESPACE, "labels": labels}, "spec": {"template": template}}
    pod = {"metadata": {"name": "p", "namespace": NAMESPACE, "labels": names.caller_labels(NAME, "nightly")}, **template}
    assert store.put(JOBS, stored(job, 5)) == {APP}
    assert store.put(PODS, stored(pod, 6)) == {APP}
    assert "xxx" not in str(list(store.of_app(APP)))


def test_runtime_wakes_only_apps_with_a_row_that_is_not_pinned() -> None:
    store = Store()
    store.put(APPS, stored(app_manifest(), 5))
    runtime = {"metadata": {"name": "tiny-1"}, "spec": {"version": "1.0.0", "image": "registry.test/x:1"}}
    assert store.put(RUNTIMES, stored(runtime, 6)) == set()
    store.put(RECORDS, stored(row_manifest("waits"), 7))
    assert store.put(RUNTIMES, stored(runtime, 8)) == {APP}

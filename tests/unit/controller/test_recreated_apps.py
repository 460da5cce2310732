"""An App that is deleted and recreated under its name: the second one observes nothing that belonged to the first."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.base import CRON_JOB, SECRET, SERVICE, WORKLOAD, child
from dynamiq_operator.desired.gate_keys import gate_keys
from dynamiq_operator.kube.resources import APPS, BY_KIND, JOBS, ROWS, SECRETS, ApiResource
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.secrets import KeysPresence
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given
from tests.support.controller import Process, at
from tests.support.scripted import Script, failure, listed

KEY = (given.NAMESPACE, given.NAME)
FIRST, SECOND = (given.an_app(given.with_meta(uid=uid)) for uid in ("uid-first", "uid-second"))
KEYS = names.access_keys(given.NAME)
SLEEPY = {"type": "serverless", "idleSeconds": 60, "maxReplicas": 3, "holdSeconds": 30}
OLD, NEW = "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"


@pytest.fixture
def script() -> Script:
    script = Script().on("GET", at(SECRETS, KEYS), failure(404, "NotFound")).on("GET", at(ROWS), listed())
    for plural in ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"):
        script.on("GET", f"/apis/admissionregistration.k8s.io/v1/{plural}/dynamiq-rows", failure(404, "NotFound"))
    return script


def event(process: Process, resource: ApiResource, made: Manifest, version: int, type_: str = "ADDED") -> None:
    """Reports the object at this resourceVersion, as a watch does."""
    found = given.stored(made) if resource in (APPS, ROWS) else {**made, "metadata": {"uid": f"uid-{version}", **made["metadata"]}}
    process.informers.on_watch_event(resource, type_, {**found, "metadata": {**found["metadata"], "resourceVersion": str(version)}})


def app(process: Process, uid: str, version: int, type_: str = "ADDED", **meta: Any) -> None:
    event(process, APPS, given.app_manifest(given.with_meta(uid=uid, **meta)), version, type_)


def row(process: Process, name: str, version: int, *modifiers: given.Modifier) -> None:
    event(process, ROWS, given.row_manifest(name, *modifiers), version)


def owned(uid: str) -> given.Modifier:
    return given.with_meta(ownerReferences=[ownership.reference(given.NAME, uid)])


async def observe(process: Process) -> Snapshot:
    return await process.observer.observe(KEY)


def names_of(snapshot: Snapshot) -> tuple[list[str], list[tuple[str, str]]]:
    """Returns the rows of the App, and the left rows with the uid of the App that they belong to."""
    return [each.name for each in snapshot.rows.observed], [(each.meta.name, each.app_uid) for each in snapshot.rows.orphaned]


async def test_rows_that_it_had_not_numbered_yet_go_with_it_and_wait_for_no_other(process: Process) -> None:
    app(process, "uid-first", 5)
    row(process, "made-with-it", 6)
    app(process, "uid-first", 8, "DELETED")
    row(process, "made-since", 9)
    assert names_of(await observe(process)) == (["made-since"], [("made-with-it", "uid-first")])
    app(process, "uid-second", 10)
    row(process, "made-for-it", 11)
    found, left = names_of(await observe(process))
    assert (sorted(found), left) == (["made-for-it", "made-since"], [("made-with-it", "uid-first")])


async def test_a_row_whose_event_is_late_belongs_to_the_app_of_its_time(process: Process) -> None:
    """Rows and Apps have separate watches, and either may be later."""
    app(process, "uid-first", 5)
    app(process, "uid-first", 8, "DELETED")
    app(process, "uid-second", 9)
    row(process, "of-the-second", 10)
    row(process, "of-the-first", 6)
    assert names_of(await observe(process)) == (["of-the-second"], [("of-the-first", "uid-first")])


async def test_row_whose_status_is_written_after_the_deletion_goes_with_the_app_it_was_made_for(process: Process) -> None:
    """The operator sees a row before its App and writes that it waits. Meanwhile that App is deleted."""
    row(process, "of-the-first", 6)
    row(process, "of-the-first", 9, given.with_status(phase="Pending"))
    app(process, "uid-first", 5)
    app(process, "uid-first", 8, "DELETED")
    app(process, "uid-second", 10)
    row(process, "of-the-second", 11)
    assert names_of(await observe(process)) == (["of-the-second"], [("of-the-first", "uid-first")])


async def test_row_made_again_under_its_name_is_seen_anew(process: Process) -> None:
    app(process, "uid-first", 5)
    row(process, "again", 6, given.with_meta(uid="uid-of-the-first"))
    app(process, "uid-first", 8, "DELETED")
    row(process, "again", 9, given.with_meta(uid="uid-of-the-second"))
    assert names_of(await observe(process)) == (["again"], [])


async def test_rows_of_several_deleted_apps_in_sequence_are_left_to_the_last_one(process: Process) -> None:
    for number in range(4):
        app(process, f"uid-{number}", 10 * number + 1)
        row(process, f"row-{number}", 10 * number + 2)
        app(process, f"uid-{number}", 10 * number + 3, "DELETED")
    app(process, "uid-last", 90)
    row(process, "own", 91)
    found, left = names_of(await observe(process))
    assert (found, sorted(left)) == (["own"], [(f"row-{number}", "uid-3") for number in range(4)])


async def test_a_deletion_without_an_event_counts_from_the_last_known_version(process: Process) -> None:
    app(process, "uid-first", 5)
    row(process, "before", 4)
    row(process, "after", 6)
    app(process, "uid-second", 9)
    assert names_of(await observe(process)) == (["after"], [("before", "uid-first")])


async def test_a_restored_row_is_never_left_to_a_deleted_app(process: Process) -> None:
    """Restored rows have sequences and wait for the App that is restored, too: they may be older than a deletion."""
    app(process, "uid-first", 5)
    row(process, "restored", 6, given.live(3))
    app(process, "uid-first", 8, "DELETED")
    app(process, "uid-second", 9)
    assert names_of(await observe(process)) == (["restored"], [])


async def test_rows_that_it_owned_are_no_rows_of_the_next(process: Process, script: Script) -> None:
    event(process, APPS, given.app_manifest(given.with_meta(uid="uid-second"), given.with_deploy(workflowVersion="v1")), 9)
    row(process, "of-the-first", 4, given.live(7), owned("uid-first"))
    row(process, "of-the-second", 10, given.pinned(1), owned("uid-second"))
    script.on("GET", at(ROWS), listed(given.stored(given.row_manifest("closed", given.superseded(6), owned("uid-first")))))
    snapshot = await observe(process)
    assert names_of(snapshot) == (["of-the-second"], [])
    assert [each.name for each in snapshot.ledger.all()] == ["of-the-second"]
    assert snapshot.ledger.highest == 1


async def test_row_of_the_first_is_none_that_the_second_can_restore(process: Process, script: Script) -> None:
    app(process, "uid-second", 9)
    row(process, "back", 10, given.asking(restores="closed"), given.numbered(1), owned("uid-second"))
    script.on("GET", at(ROWS, "closed"), given.stored(given.row_manifest("closed", given.superseded(6), owned("uid-first"))))
    assert names_of(await observe(process)) == (["back"], [])


async def test_children_and_runs_of_the_first_are_none_of_the_second(process: Process) -> None:
    app(process, "uid-second", 9)
    for number, (kind, name) in enumerate([(SERVICE, given.NAME), (WORKLOAD, given.NAME), (CRON_JOB, "chat-nightly")]):
        event(process, BY_KIND[kind.kind], child(FIRST, kind, name, spec={}), 2 + number)
    own = child(SECOND, CRON_JOB, "chat-hourly", spec={})
    event(process, BY_KIND[CRON_JOB.kind], own, 10)
    for name, schedule, version in (("old-run", "uid-4", 11), ("own-run", "uid-10", 12)):
        event(process, JOBS, job(name, schedule), version)
    snapshot = await observe(process)
    assert list(snapshot.children.observed) == [("CronJob", "chat-hourly")]
    assert [run.job for run in snapshot.children.runs] == ["own-run"]


async def test_digests_at_the_gate_of_the_first_are_none_of_the_second(process: Process, script: Script) -> None:
    """The gate admits nobody by the old digests: callers of the second App would wait for a wake that never happens."""
    gate = SECRETS.path(names.GATE_NAMESPACE, names.gate_keys(*KEY))
    script.on(
        "GET",
        at(SECRETS, KEYS),
        child(SECOND, SECRET, KEYS) | {"metadata": {**child(SECOND, SECRET, KEYS)["metadata"], "resourceVersion": "4"}},
    )
    script.on("GET", gate, gate_keys(FIRST, names.GATE_NAMESPACE, "4", {}))
    app(process, "uid-second", 9)
    row(process, "live", 10, given.live(1, config=SLEEPY), owned("uid-second"))
    assert (await observe(process)).secrets.gate_keys == ""
    process.states.invalidate(KEY)
    script.on("GET", gate, gate_keys(SECOND, names.GATE_NAMESPACE, "4", {}))
    assert (await observe(process)).secrets.gate_keys == "4"


@pytest.mark.parametrize(("uid", "found"), [("uid-first", set()), ("uid-second", {"to-promote"})])
async def test_row_of_the_first_is_no_source_of_a_promotion(process: Process, script: Script, uid: str, found: set[str]) -> None:
    """It is Live until it is collected: without this check a version would count as live for as long as the old App was."""
    event(process, APPS, given.app_manifest(given.with_meta(uid="uid-second", namespace="test")), 9)
    app(process, "uid-of-target", 10)
    promoted = {"namespace": "test", "app": given.NAME, "row": "source", "hash": given.flow_hash("v1")}
    row(process, "to-promote", 11, given.asking(promotedFrom=promoted))
    script.on("GET", ROWS.path("test", "source"), given.stored(given.row_manifest("source", given.live(1), owned(uid))))
    assert set((await observe(process)).sources.promotions) == found


def job(name: str, schedule: str) -> Manifest:
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "any", "uid": schedule, "controller": True}
    labels = names.labels(given.NAME) | {names.TRIGGER_LABEL: "nightly"}
    meta = {"name": name, "namespace": given.NAMESPACE, "labels": labels, "ownerReferences": [owner], "creationTimestamp": NEW}
    return {"metadata": meta, "spec": {}}


@pytest.mark.parametrize(
    ("owners", "created", "restored", "presence"),
    [
        ([ownership.reference(given.NAME, "uid-first")], OLD, False, KeysPresence.ABSENT),
        ([ownership.reference("chat-a", "uid-of-a")], OLD, False, KeysPresence.FOREIGN),
        ([ownership.reference(given.NAME, "uid-second")], OLD, False, KeysPresence.PRESENT),
        ([], OLD, False, KeysPresence.FOREIGN),
        ([], OLD, True, KeysPresence.PRESENT),
        ([], NEW, False, KeysPresence.PRESENT),
    ],
    ids=["of the first", "of another App", "its own", "of one that was restored", "restored with it", "made since"],
)
async def test_access_keys_of_the_deleted_app_are_not_accepted(
    process: Process, script: Script, owners: list[Manifest], created: str, restored: bool, presence: KeysPresence
) -> None:
    """This Secret decides who may call, and its name is the same. A restored one has no owner, and never gets one."""
    app(process, "uid-second", 9, creationTimestamp="2026-11-24T12:00:00Z")
    row(process, "live", 10, given.live(1), owned("uid-second"))
    pinned = process.cache.get(ROWS, given.NAMESPACE, "live")
    assert pinned is not None
    pinned["spec"]["pinned"]["createdAt"] = OLD if restored else "2026-11-24T12:00:01Z"
    pinned["metadata"]["resourceVersion"] = "11"
    process.cache.update(ROWS, pinned)
    secret = child(SECOND, SECRET, KEYS)
    meta = {**secret["metadata"], "ownerReferences": owners, "creationTimestamp": created, "uid": "u", "resourceVersion": "40"}
    script.on("GET", at(SECRETS, KEYS), {**secret, "metadata": meta})
    assert (await observe(process)).secrets.access_keys.presence is presence

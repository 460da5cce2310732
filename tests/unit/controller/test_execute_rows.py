"""Operations on rows, statuses, Events, pods and claims: the requests of each, and the effects of their answers."""

from __future__ import annotations

from datetime import datetime

import pytest

from dynamiq_operator.controller.execute.executor import EXECUTE
from dynamiq_operator.controller.hostnames.claims import CLAIMS
from dynamiq_operator.controller.leading.leader import LeadershipLost
from dynamiq_operator.desired.base import owner
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPROVALS, APPS, EVENTS, PODS, ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.row import Outcome, Phase, Result, RowStatus
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.history.ledger import Ledger
from tests.support import factories as given
from tests.support.controller import NAMED, SYSTEM, Process, at, execute, stored
from tests.support.guards import approval_manifest
from tests.support.scripted import Reply, Script, failure

APP = (given.NAMESPACE, given.NAME)
ROW = at(ROWS, "a")


APP_PATH = at(APPS, given.NAME)
OURS = given.with_meta(ownerReferences=[owner(given.an_app())])


def row(version: int = 1, *modifiers: given.Modifier) -> Row:
    """Returns a row that the App owns."""
    return Row.of(stored(given.row_manifest("a", OURS, *modifiers), version))


def restored(version: int = 1, *modifiers: given.Modifier) -> Row:
    """Returns a row without an owner."""
    return Row.of(stored(given.row_manifest("a", *modifiers), version))


def cached_rows(process: Process) -> list[str]:
    return [raw["metadata"]["name"] for resource, raw in process.cache.of_app(APP) if resource is ROWS]


def test_every_operation_has_its_function() -> None:
    assert set(EXECUTE) == set(operations.Operation.__subclasses__())


async def test_nothing_is_written_by_a_replica_that_no_longer_leads(process: Process, script: Script) -> None:
    await process.lead()
    process.clock.later(11)
    with pytest.raises(LeadershipLost):
        await process.executor.execute(APP, operations.Plan((operations.Group("row", (operations.OwnRow(given.an_app(), row()),)),)))
    assert script.sent == []


async def test_an_operation_that_fails_ends_its_group_and_those_that_rely_on_it(process: Process, script: Script) -> None:
    """The rest of the group is skipped, and so are groups that rely on it, directly or indirectly. All others are done."""
    script.on("PATCH", ROW, failure(409, "Conflict"))
    script.on("PATCH", f"{ROW}/status", stored(given.row_manifest("a"), 2)).on("POST", at(EVENTS), NAMED)
    app, status = given.an_app(), RowStatus(phase=Phase.PENDING)
    own, tell = operations.OwnRow(app, row()), operations.Emit(app, "Said", "anything", key="k")
    groups = (
        operations.Group("refused", (own, own)),
        operations.Group("after it", (tell,), frozenset({"refused"})),
        operations.Group("after that", (tell,), frozenset({"after it"})),
        operations.Group("apart", (operations.SetRowStatus(row(), status),), frozenset({"no such group"})),
    )
    await process.lead()
    (failed,) = await process.executor.execute(APP, operations.Plan(groups))
    assert (failed.group, failed.operation, type(failed.error)) == ("refused", own, errors.Conflict)
    assert [(sent.method, sent.path) for sent in script.sent] == [("PATCH", ROW), ("PATCH", f"{ROW}/status")]


async def test_a_pass_ends_after_two_requests_without_a_response(process: Process, script: Script) -> None:
    """Each of them takes as long as a request may last."""
    script.on("PATCH", ROW, Reply(cut=True))
    own = operations.OwnRow(given.an_app(), row())
    await process.lead()
    failed = await process.executor.execute(APP, operations.Plan(tuple(operations.Group(str(each), (own,)) for each in range(5))))
    assert [each.group for each in failed] == ["0", "1"]


async def test_number_and_pins_are_set_in_one_guarded_request(process: Process, script: Script) -> None:
    app, pinned = given.an_app(), given.a_row("a", given.live(3)).pinned
    script.on("PATCH", ROW, stored(given.row_manifest("a", given.pinned(3)), 8))
    state = process.states.of(APP)
    state.ledger = Ledger(known=True)
    await execute(process, APP, operations.CompleteRow(app, row(7), 3, pinned))
    (patch,) = script.bodies("PATCH", ROW)
    assert patch["metadata"] == {"resourceVersion": "7", "ownerReferences": [owner(app)]}
    assert patch["spec"] == {"sequence": 3, "pinned": pinned.as_json() if pinned else None}
    assert cached_rows(process) == ["a"], "the next snapshot has the row as it was written"
    assert [row.name for row in state.ledger.all()] == ["a"]


async def test_second_write_of_a_row_is_guarded_by_the_version_of_the_first(process: Process, script: Script) -> None:
    outcome = Outcome(result=Result.SUCCEEDED, reason="", at="2026-01-01T00:00:00Z", digest=given.UNSEALED)
    script.on("PATCH", ROW, stored(given.row_manifest("a", given.numbered(3)), 8), stored(given.row_manifest("a", given.live(3)), 9))
    script.on("PATCH", f"{ROW}/status", stored(given.row_manifest("a", given.live(3)), 10, phase="Live"))
    status = RowStatus(phase=given.a_row("a", given.live(3)).phase)
    await execute(
        process,
        APP,
        operations.CompleteRow(given.an_app(), row(7), 3, None),
        operations.EndRow(row(7), outcome),
        operations.SetRowStatus(row(7), status),
    )
    assert [sent.body["metadata"]["resourceVersion"] for sent in script.sent] == ["7", "8", "9"]
    assert script.sent[1].body["spec"] == {"outcome": outcome.as_json()}
    assert script.sent[2].body["status"]["phase"] == "Live"


async def test_a_status_removes_fields_that_it_no_longer_has(process: Process, script: Script) -> None:
    app = given.an_app()
    script.on("PATCH", at(APPS, given.NAME, "status"), stored(given.app_manifest(), 2))
    await execute(process, APP, operations.SetAppStatus(app, app.status))
    (sent,) = script.sent
    assert sent.body["metadata"] == {"resourceVersion": app.meta.resource_version}
    assert sent.body["status"]["live"] is None
    assert process.cache.get(APPS, *APP) is not None


async def test_row_that_git_asks_for_is_created_in_the_name_of_who_changed_it(process: Process, script: Script) -> None:
    script.on("POST", at(ROWS), stored(given.row_manifest("a")))
    state = process.states.of(APP)
    state.ledger = Ledger(known=True)
    await execute(process, APP, operations.CreateRow(given.an_app(), "a", {"workflowVersion": "v2"}, "anna"))
    (created,) = script.bodies("POST", at(ROWS))
    assert created["spec"] == {"app": given.NAME, "workflowVersion": "v2", "createdBy": "anna"}
    assert created["metadata"] == {"name": "a", "namespace": given.NAMESPACE, "ownerReferences": [owner(given.an_app())]}
    assert created["kind"] == "Deployment"
    assert [row.name for row in state.ledger.all()] == ["a"]


async def test_row_that_exists_was_created_before(process: Process, script: Script) -> None:
    script.on("POST", at(ROWS), failure(409, "AlreadyExists")).on("GET", ROW, stored(given.row_manifest("a")))
    await execute(process, APP, operations.CreateRow(given.an_app(), "a", {}, None))
    assert cached_rows(process) == ["a"]


async def test_row_of_a_deleted_app_of_the_same_name_is_waited_for(process: Process, script: Script) -> None:
    owned = given.with_meta(ownerReferences=[{"kind": "App", "uid": "uid-before"}])
    script.on("POST", at(ROWS), failure(409, "AlreadyExists")).on("GET", ROW, stored(given.row_manifest("a", owned)))
    with pytest.raises(errors.Conflict, match="being deleted"):
        await execute(process, APP, operations.CreateRow(given.an_app(), "a", {}, None))
    assert cached_rows(process) == []


GONE = [failure(404, "NotFound"), given.stored(given.app_manifest(given.with_meta(uid="uid-of-the-next")))]


@pytest.mark.parametrize("answer", GONE, ids=["deleted", "made again"])
@pytest.mark.parametrize("what", ["own", "pin"])
async def test_a_row_without_an_owner_never_gets_a_deleted_one(process: Process, script: Script, answer: Reply, what: str) -> None:
    """Rows of a backup may be restored before their deleted App: with that owner, the garbage collector would delete the restored ledger."""
    app, pinned = given.an_app(), given.a_row("a", given.live(3)).pinned
    script.on("GET", APP_PATH, answer)
    operation = operations.OwnRow(app, restored()) if what == "own" else operations.CompleteRow(app, restored(), None, pinned)
    with pytest.raises(errors.Conflict, match="App chat was deleted"):
        await execute(process, APP, operation)
    assert script.bodies("PATCH", ROW) == []


async def test_an_unreadable_app_becomes_no_owner_and_raises(process: Process, script: Script) -> None:
    """It may lack the right with the rights of an older release."""
    script.on("GET", APP_PATH, failure(403, "Forbidden", "apps is forbidden"))
    with pytest.raises(errors.Unavailable, match="may have been deleted: apps is forbidden"):
        await execute(process, APP, operations.OwnRow(given.an_app(), restored()))
    assert process.states.of(APP).row_problems == {}


async def test_app_is_looked_for_once_for_all_the_rows_that_it_takes(process: Process, script: Script) -> None:
    script.on("GET", APP_PATH, given.stored(given.app_manifest()))
    script.on("PATCH", ROW, stored(given.row_manifest("a", OURS), 2)).on("PATCH", at(ROWS, "b"), stored(given.row_manifest("b", OURS), 2))
    other = Row.of(stored(given.row_manifest("b")))
    await execute(process, APP, operations.OwnRow(given.an_app(), restored()), operations.OwnRow(given.an_app(), other))
    assert [sent.method for sent in script.sent] == ["GET", "PATCH", "PATCH"]


async def test_number_that_the_apps_status_has_reserved_shows_that_it_is_there(process: Process, script: Script) -> None:
    """Otherwise each deploy would cost a further request."""
    app = given.an_app()
    script.on("PATCH", at(APPS, given.NAME, "status"), given.stored(given.app_manifest()))
    script.on("PATCH", ROW, stored(given.row_manifest("a", OURS), 2))
    await execute(process, APP, operations.SetAppStatus(app, app.status), operations.CompleteRow(app, restored(), 1, None))
    assert [sent.method for sent in script.sent] == ["PATCH", "PATCH"]


async def test_row_that_was_left_goes_with_the_app_that_it_was_of(process: Process, script: Script) -> None:
    script.on("PATCH", ROW, stored(given.row_manifest("a"), 8))
    await execute(process, APP, operations.LeaveRow(restored(7).meta, given.NAME, "uid-before"))
    assert script.bodies("PATCH", ROW) == [
        {"metadata": {"resourceVersion": "7", "ownerReferences": [{**owner(given.an_app()), "uid": "uid-before"}]}}
    ]


async def test_row_that_retention_lets_go_is_deleted_by_its_uid(process: Process, script: Script) -> None:
    script.on("DELETE", ROW, NAMED)
    state = process.states.of(APP)
    state.ledger = Ledger(known=True).having([given.a_row("a", given.superseded(1)), given.a_row("b", given.live(2))])
    await execute(process, APP, operations.DeleteRow(given.an_app(), "a", "uid-of-a"))
    assert script.bodies("DELETE", ROW)[0]["preconditions"] == {"uid": "uid-of-a"}
    assert [row.name for row in state.ledger.all()] == ["b"]


async def test_approvals_of_a_row_are_deleted_with_it(process: Process, script: Script) -> None:
    for name, about in (("yes", "a"), ("other", "b")):
        process.cache.update(APPROVALS, stored(approval_manifest(name, about)))
    script.on("DELETE", ROW, NAMED).on("DELETE", at(APPROVALS, "yes"), NAMED)
    await execute(process, APP, operations.DeleteRow(given.an_app(), "a", "uid-of-a"))
    assert [sent.path for sent in script.sent] == [at(APPROVALS, "yes"), ROW]


# Events.


@pytest.mark.parametrize(
    ("about", "kind", "warning", "type_"),
    [(given.an_app(), "App", False, "Normal"), (given.a_row("a"), "Deployment", True, "Warning")],
)
async def test_event_is_about_its_object(process: Process, script: Script, about: Row, kind: str, warning: bool, type_: str) -> None:
    script.on("POST", at(EVENTS), NAMED)
    await execute(process, APP, operations.Emit(about, "Deployed", "x" * 2000, "key", warning))
    (event,) = script.bodies("POST", at(EVENTS))
    assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"], event["type"]) == (kind, about.meta.uid, type_)
    assert event["metadata"]["name"] == names.event(about.meta.uid, "Deployed", "key")
    assert len(event["message"]) == 1024, "the API server takes no longer one"
    assert event["reportingInstance"] == "replica-a"


@pytest.mark.parametrize("answer", [failure(409, "AlreadyExists"), failure(403, "Forbidden"), failure(503, "ServiceUnavailable")])
async def test_event_that_cannot_be_written_ends_nothing(process: Process, script: Script, answer: Reply) -> None:
    script.on("POST", at(EVENTS), answer).on("PATCH", ROW, stored(given.row_manifest("a"), 2))
    await execute(process, APP, operations.Emit(given.an_app(), "Deployed", "v2", "key"), operations.OwnRow(given.an_app(), row()))
    assert len(script.sent) == 2


@pytest.mark.parametrize(("found", "sent"), [("Ended", 1), ("Overtaken", 2), ("Progressing", 3)])
async def test_an_event_gives_its_slot_to_a_different_one(process: Process, script: Script, found: str, sent: int) -> None:
    """`found`: the reason of the Event that has the slot; "Ended" if there is none."""
    about, taken = given.a_row("a"), failure(409, "AlreadyExists")
    script.on("POST", at(EVENTS), *([] if found == "Ended" else [taken]), NAMED)
    script.on("GET", at(EVENTS, names.event(about.meta.uid, "Began", "key")), {**NAMED, "reason": found})
    await execute(process, APP, operations.Emit(about, "Overtaken", "by v2", "key", slots=("Began",)))
    assert len(script.sent) == sent
    created = [event["metadata"]["name"] for event in script.bodies("POST", at(EVENTS))]
    assert created == [names.event(about.meta.uid, what, "key") for what in ("Began", "Overtaken")][: len(created)]


# Pods and claims.


async def test_a_pod_is_notified_of_keys_by_an_annotation_on_that_pod_only(process: Process, script: Script) -> None:
    path = at(PODS, "chat-0")
    pod = {"metadata": {"name": "chat-0", "labels": names.labels(given.NAME)}, "spec": {"containers": []}}
    script.on("PATCH", path, stored(pod, 2))
    await execute(process, APP, operations.AnnotatePod(given.an_app(), "chat-0", "uid-0", "7", names.KEYS_ANNOTATION, "55"))
    assert script.bodies("PATCH", path) == [
        {"metadata": {"uid": "uid-0", "resourceVersion": "7", "annotations": {names.KEYS_ANNOTATION: "55"}}}
    ]
    assert [resource for resource, _ in process.cache.of_app(APP)] == [PODS]


@pytest.mark.parametrize("answer", [failure(404, "NotFound"), failure(409, "Conflict")])
async def test_a_deleted_pod_needs_no_notification(process: Process, script: Script, answer: Reply) -> None:
    script.on("PATCH", at(PODS, "chat-0"), answer)
    await execute(process, APP, operations.AnnotatePod(given.an_app(), "chat-0", "uid-0", "7", names.KEYS_ANNOTATION, "55"))
    assert len(script.sent) == 1


CLAIM = {"metadata": {"name": "c", "uid": "uid-of-c", "resourceVersion": "4"}}


async def test_hostname_is_claimed_by_a_creation(process: Process, script: Script) -> None:
    script.on("POST", CLAIMS.path(SYSTEM), NAMED)
    await execute(process, APP, operations.ClaimHostname(given.an_app(), "chat.example.com"))
    (created,) = script.bodies("POST", CLAIMS.path(SYSTEM))
    assert created["metadata"]["name"] == names.claim("chat.example.com")
    assert created["data"] == {"hostname": "chat.example.com", "namespace": given.NAMESPACE, "app": given.NAME}


async def test_app_that_claims_a_hostname_too_late_observes_anew(process: Process, script: Script) -> None:
    script.on("POST", CLAIMS.path(SYSTEM), failure(409, "AlreadyExists"))
    with pytest.raises(errors.Conflict):
        await execute(process, APP, operations.ClaimHostname(given.an_app(), "chat.example.com"))


@pytest.mark.parametrize(("released_at", "noted"), [(given.NOW, "2026-11-24T12:00:00Z"), (None, None)])
async def test_claim_notes_since_when_it_is_not_wanted(
    process: Process, script: Script, released_at: datetime | None, noted: str | None
) -> None:
    script.on("PATCH", CLAIMS.path(SYSTEM, "c"), NAMED)
    await execute(process, APP, operations.KeepClaim(CLAIM, released_at))
    (patch,) = script.bodies("PATCH", CLAIMS.path(SYSTEM, "c"))
    assert patch["metadata"] == {"resourceVersion": "4", "annotations": {names.RELEASED_ANNOTATION: noted}}


async def test_claim_is_released_unless_it_was_written_since(process: Process, script: Script) -> None:
    script.on("DELETE", CLAIMS.path(SYSTEM, "c"), NAMED)
    await execute(process, APP, operations.ReleaseClaim(CLAIM))
    assert script.bodies("DELETE", CLAIMS.path(SYSTEM, "c"))[0]["preconditions"] == {"uid": "uid-of-c", "resourceVersion": "4"}

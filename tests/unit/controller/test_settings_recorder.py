"""The leader records each change of Apps' settings once. Nothing else waits for it or fails because of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from dynamiq_operator.controller.reconciling import reconcile
from dynamiq_operator.controller.upkeep import settings_recorder
from dynamiq_operator.desired.base import owner
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APP_CHANGES, APPS, POLICIES, SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.guard_objects import AppChange
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.settings_changes import Seen, SettingsKey, next_change
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.operations import Plan
from tests.support import factories as given
from tests.support.controller import SYSTEM, Process, at, stored
from tests.support.scripted import Reply, Script, Sent, failure, listed

APP = (given.NAMESPACE, given.NAME)
CHANGES, STATUS = at(APP_CHANGES), at(APPS, given.NAME, "status")
KEY = SettingsKey(b"k" * 32)
KEY_PATH = SECRETS.path(SYSTEM, names.SETTINGS_KEY)
SECRET = {"metadata": {"name": names.SETTINGS_KEY}, "data": {"key": base64.b64encode(KEY.secret).decode()}}


def app_manifest(generation: int = 1, recorded: int | None = None, last: int | None = None, **spec: Any) -> Manifest:
    status: dict[str, Any] = {"lastSequence": last} if last is not None else {}
    status |= {"settings": {"generation": recorded, "sequence": 1}} if recorded is not None else {}
    meta = given.with_meta(generation=generation, resourceVersion=str(generation * 100 + (last or 0)))
    made = given.app_manifest(given.with_spec(settingsChangedBy="anna", **spec), meta)
    return {**given.stored(made), "status": status}


def created(sent: Sent) -> Reply:
    return Reply(201, stored(sent.body))


@pytest.fixture
def script() -> Script:
    """Returns a script of a cluster with the key and without AppChanges."""
    made = Script().on("GET", KEY_PATH, SECRET).on("GET", CHANGES, listed()).on("POST", CHANGES, created)
    for resource in POLICIES:
        made.on("GET", resource.path("", names.SETTINGS_POLICY), {"metadata": {"name": "p", "creationTimestamp": "2026-11-01T00:00:00Z"}})
    return made.on("PATCH", STATUS, lambda sent: stored(app_manifest(), int(sent.body["metadata"]["resourceVersion"])))


def change_of(app: Manifest, before: AppChange | None = None, after: int | None = None) -> Manifest:
    """Returns the AppChange for an App's settings, as it is stored and owned."""
    read = App.of(app)
    seen = Seen(*APP, read.meta.uid, read.meta.generation, app["spec"], given.NOW, after, None, read.meta.created)
    spec = next_change(seen, KEY, before.spec if before is not None else None)
    assert spec is not None
    made = {"metadata": {"name": names.app_change(given.NAME, spec.sequence), "ownerReferences": [owner(read)]}, "spec": spec.as_json()}
    return stored({"apiVersion": APP_CHANGES.api_version, "kind": APP_CHANGES.kind, **made})


async def see(process: Process, app: Manifest) -> float | None:
    """Runs a pass over the App, which has nothing else to do."""
    process.informers.on_watch_event(APPS, "ADDED", app)
    process.settings_recorder.note((given.NAMESPACE, app["metadata"]["name"]))
    return await process.settings_recorder.record((given.NAMESPACE, app["metadata"]["name"]))


def made(script: Script) -> list[dict[str, Any]]:
    return [body["spec"] for body in script.bodies("POST", CHANGES)]


def requests(script: Script) -> list[tuple[str, str]]:
    return [(sent.method, sent.path) for sent in script.sent]


async def test_the_first_record_is_made_and_noted(process: Process, script: Script) -> None:
    await process.lead()
    assert await see(process, app_manifest(1, variables=[{"name": "MODEL", "value": "gpt"}])) is None
    (change,) = script.bodies("POST", CHANGES)
    assert change["metadata"] == {
        "name": "chat-settings-1",
        "namespace": given.NAMESPACE,
        "ownerReferences": [owner(App.of(app_manifest()))],
    }
    assert (change["spec"]["summary"], change["spec"]["by"], change["spec"]["key"]) == ("the App was created", "anna", KEY.id)
    (noted,) = script.bodies("PATCH", STATUS)
    assert noted["status"] == {"settings": {"generation": 1, "sequence": 1}}
    assert noted["metadata"]["resourceVersion"] == "100", "an App that somebody wrote meanwhile is looked at again"


async def test_recorded_settings_cost_no_request(process: Process, script: Script) -> None:
    """A restart costs no request for such Apps, however many there are."""
    await process.lead()
    assert await see(process, app_manifest(3, recorded=3)) is None
    assert script.sent == []


async def test_a_change_is_compared_with_the_record_before(process: Process, script: Script) -> None:
    await process.lead()
    script.on("GET", CHANGES, listed(change_of(app_manifest(1, hostname="a.test"))))
    await see(process, app_manifest(2, recorded=1, last=4, hostname="b.test"))
    (change,) = made(script)
    assert (change["sequence"], change["summary"], change["after"]) == (2, "hostname a.test → b.test", 4)
    assert (change["byVerified"], change["generation"]) == (True, {"from": 1, "to": 2})
    (listing,) = [sent for sent in script.sent if sent.path == CHANGES and sent.method == "GET"]
    assert listing.query["fieldSelector"] == "spec.app=chat"
    first, second = change_of(app_manifest(1, hostname="a.test")), stored(script.bodies("POST", CHANGES)[0])
    script.on("GET", CHANGES, listed(second, first))
    await see(process, app_manifest(3, recorded=2, hostname="c.test"))
    assert made(script)[-1]["previousDigest"] == change["digest"]
    assert requests(script).count(("GET", KEY_PATH)) == 1


async def test_a_version_of_the_app_with_the_same_settings_is_noted_and_no_record(process: Process, script: Script) -> None:
    await process.lead()
    script.on("GET", CHANGES, listed(change_of(app_manifest(1))))
    await see(process, app_manifest(2, recorded=1, deploy={"workflowVersion": "v2"}))
    assert made(script) == []
    assert script.bodies("PATCH", STATUS)[0]["status"]["settings"] == {"generation": 2, "sequence": 1}


async def test_a_change_stands_before_the_row_that_came_with_it(process: Process, script: Script) -> None:
    """The row already has its sequence when the change is recorded."""
    await process.lead()
    script.on("GET", CHANGES, listed(change_of(app_manifest(1))))
    process.informers.on_watch_event(APPS, "ADDED", app_manifest(2, recorded=1, last=4, hostname="a.test"))
    process.settings_recorder.note(APP)
    await see(process, app_manifest(2, recorded=1, last=5, hostname="a.test"))
    await see(process, app_manifest(3, recorded=2, last=5, hostname="b.test"))
    assert [change["after"] for change in made(script)] == [4, 5]


async def test_changes_that_come_one_after_the_other_stand_where_the_first_one_came(process: Process, script: Script) -> None:
    await process.lead()
    script.on("GET", CHANGES, listed(change_of(app_manifest(1))))
    process.informers.on_watch_event(APPS, "ADDED", app_manifest(2, recorded=1, last=4, hostname="a.test"))
    process.settings_recorder.note(APP)
    await see(process, app_manifest(3, recorded=1, last=5, hostname="b.test"))
    (change,) = made(script)
    assert (change["after"], change["generation"], change["summary"]) == (4, {"from": 1, "to": 3}, "hostname set to b.test")


@pytest.mark.parametrize("passes", [0, 1], ids=["at once", "after a pass that recorded nothing"])
async def test_a_change_that_comes_before_the_one_before_is_noted_stands_where_it_came(
    process: Process, script: Script, passes: int
) -> None:
    await process.lead()
    script.on("PATCH", STATUS, failure(409, "Conflict"))
    with pytest.raises(errors.Conflict):
        await see(process, app_manifest(1))
    for _ in range(passes):
        process.settings_recorder.note(APP)
    script.on("GET", CHANGES, listed(stored(script.bodies("POST", CHANGES)[0])))
    script.on("PATCH", STATUS, lambda sent: stored(app_manifest(), int(sent.body["metadata"]["resourceVersion"])))
    await see(process, app_manifest(2, last=1, hostname="b.test"))
    assert [change.get("after") for change in made(script)] == [None, 1]


async def test_the_key_is_made_once(process: Process, script: Script) -> None:
    await process.lead()
    script.on("GET", KEY_PATH, failure(404, "NotFound")).on("POST", SECRETS.path(SYSTEM), created)
    await see(process, app_manifest(1))
    (secret,) = script.bodies("POST", SECRETS.path(SYSTEM))
    assert base64.b64decode(secret["data"]["key"]) == b"k" * 32
    assert made(script)[0]["key"] == KEY.id
    await see(process, app_manifest(2, recorded=1, hostname="a.test"))
    assert len(script.bodies("POST", SECRETS.path(SYSTEM))) == 1


async def test_the_first_of_two_created_keys_counts(process: Process, script: Script) -> None:
    await process.lead()
    other = {**SECRET, "data": {"key": base64.b64encode(b"o" * 32).decode()}}
    script.on("GET", KEY_PATH, failure(404, "NotFound"), other).on("POST", SECRETS.path(SYSTEM), failure(409, "AlreadyExists"))
    await see(process, app_manifest(1))
    assert made(script)[0]["key"] == SettingsKey(b"o" * 32).id


@pytest.mark.parametrize("data", [{}, {"key": "no base64!"}, {"key": base64.b64encode(b"short").decode()}])
async def test_a_secret_without_a_key_is_logged_and_nothing_is_recorded(
    process: Process, script: Script, caplog: pytest.LogCaptureFixture, data: dict[str, str]
) -> None:
    await process.lead()
    script.on("GET", KEY_PATH, {**SECRET, "data": data})
    assert await see(process, app_manifest(1)) == 60
    assert made(script) == []
    assert "dynamiq-settings-key in namespace dynamiq-system has no key" in caplog.text


async def test_an_unreadable_key_is_logged(process: Process, script: Script, caplog: pytest.LogCaptureFixture) -> None:
    await process.lead()
    script.on("GET", KEY_PATH, failure(403, "Forbidden", "secrets is forbidden"))
    assert await see(process, app_manifest(1)) == 60
    assert "Secret dynamiq-settings-key in namespace dynamiq-system: secrets is forbidden" in caplog.text


async def test_an_app_that_was_deleted_meanwhile_blocks_no_other(process: Process, script: Script) -> None:
    await process.lead()
    script.on("PATCH", STATUS, failure(404, "NotFound"))
    assert await see(process, app_manifest(1)) is None


def in_shop() -> Manifest:
    return {**app_manifest(1), "metadata": {**app_manifest(1)["metadata"], "namespace": "shop", "uid": "o"}}


async def test_unreadable_records_are_tried_again_later(process: Process, script: Script) -> None:
    """It may happen to an operator that is newer than its rights. A tenant's quota delays no Apps of others."""
    await process.lead()
    elsewhere = in_shop()
    script.on("GET", APP_CHANGES.path("shop"), listed()).on("POST", APP_CHANGES.path("shop"), created)
    script.on("PATCH", APPS.path("shop", given.NAME, "status"), elsewhere)
    script.on("GET", CHANGES, failure(403, "Forbidden"), listed())
    assert await see(process, app_manifest(1)) == 60
    script.sent.clear()
    process.clock.later(20)
    assert 40 <= (await see(process, app_manifest(1)) or 0) < 100, "not at one moment with all the others"
    assert script.sent == []
    await process.lead()  # its lease is over by this clock
    process.informers.on_watch_event(APPS, "ADDED", elsewhere)
    process.settings_recorder.note(("shop", given.NAME))
    assert await process.settings_recorder.record(("shop", given.NAME)) is None
    assert len(script.bodies("POST", APP_CHANGES.path("shop"))) == 1
    process.clock.later(41)
    await process.lead()
    assert await see(process, app_manifest(1)) is None
    assert len(made(script)) == 1


async def test_without_the_definition_no_app_asks_and_less_and_less_often_is_it_tried(process: Process, script: Script) -> None:
    """An operator that is newer than the definitions, as after a Helm upgrade, may have ten thousand Apps to record."""
    await process.lead()
    script.on("GET", CHANGES, failure(404, "NotFound"))
    tried = []
    for _ in range(6):
        tried.append(await see(process, app_manifest(1)))
        process.informers.on_watch_event(APPS, "ADDED", in_shop())
        process.settings_recorder.note(("shop", given.NAME))
        script.sent.clear()
        assert await process.settings_recorder.record(("shop", given.NAME)) is not None
        assert script.sent == []
        process.clock.later(1000)
        await process.lead()
    assert tried == [60, 120, 240, 480, 960, 960]
    script.on("GET", CHANGES, listed())
    assert await see(process, app_manifest(1)) is None
    script.on("POST", CHANGES, failure(403, "Forbidden"))
    assert await see(process, app_manifest(2, recorded=1, hostname="a.test")) == 60, "it begins anew"


async def test_a_record_that_is_refused_holds_up_no_other_app(process: Process, script: Script) -> None:
    await process.lead()
    script.on("POST", CHANGES, failure(422, "Invalid"))
    assert await see(process, app_manifest(1)) == 60
    script.on("POST", CHANGES, created)
    assert await see(process, app_manifest(1)) == 60
    other = {**app_manifest(1), "metadata": {**app_manifest(1)["metadata"], "name": "other", "uid": "o"}}
    script.on("PATCH", at(APPS, "other", "status"), other)
    assert await see(process, other) is None


async def test_a_record_that_a_leader_before_made_is_taken_and_what_came_since_is_the_next(process: Process, script: Script) -> None:
    await process.lead()
    there = change_of(app_manifest(1, hostname="a.test"))
    script.on("POST", CHANGES, failure(409, "AlreadyExists"), created).on("GET", at(APP_CHANGES, "chat-settings-1"), there)
    await see(process, app_manifest(2, hostname="b.test"))
    assert [(change["sequence"], change["summary"]) for change in made(script)][1:] == [(2, "hostname a.test → b.test")]


async def test_a_record_of_an_app_that_had_this_name_before_is_waited_for(process: Process, script: Script) -> None:
    await process.lead()
    old = change_of(app_manifest(1))
    old["metadata"]["ownerReferences"][0]["uid"] = "gone"
    script.on("GET", CHANGES, listed(old)).on("POST", CHANGES, failure(409, "AlreadyExists")).on(
        "GET", at(APP_CHANGES, "chat-settings-1"), old
    )
    with pytest.raises(errors.Conflict):
        await see(process, app_manifest(1))
    assert script.bodies("PATCH", STATUS) == []


async def test_records_of_a_backup_are_continued_and_get_their_owner(process: Process, script: Script) -> None:
    await process.lead()
    restored = change_of(app_manifest(5, hostname="a.test"))
    del restored["metadata"]["ownerReferences"]
    path = at(APP_CHANGES, "chat-settings-1")
    script.on("GET", CHANGES, listed(restored)).on("PATCH", path, restored).on("GET", at(APPS, given.NAME), app_manifest(1))
    await see(process, app_manifest(1, hostname="a.test"))
    assert script.bodies("PATCH", path)[0]["metadata"]["ownerReferences"] == [owner(App.of(app_manifest()))]
    assert made(script) == [], "the settings are those of the backup"


@pytest.mark.parametrize("now", [failure(404, "NotFound"), {**app_manifest(1), "metadata": {"name": given.NAME, "uid": "another"}}])
async def test_records_of_a_backup_get_no_deleted_owner(process: Process, script: Script, now: Reply | Manifest) -> None:
    """They would be deleted with that App, and the App of the backup would have none."""
    await process.lead()
    restored = change_of(app_manifest(5, hostname="a.test"))
    del restored["metadata"]["ownerReferences"]
    script.on("GET", CHANGES, listed(restored)).on("GET", at(APPS, given.NAME), now)
    with pytest.raises(errors.Conflict, match="was deleted"):
        await see(process, app_manifest(1, hostname="a.test"))
    assert {sent.method for sent in script.sent} == {"GET"}


async def test_while_a_restore_arrives_nothing_is_recorded(process: Process, script: Script) -> None:
    await process.lead()
    app = app_manifest(1)
    app["metadata"]["annotations"] = {names.RESTORING_ANNOTATION: "true"}
    await see(process, app)
    assert script.sent == []


async def test_records_go_with_the_rows_that_they_stand_among(process: Process, script: Script) -> None:
    """AppChanges are deleted from the oldest on. The newest is kept, because the next one is compared with it."""
    await process.lead()
    records: list[Manifest] = []
    for number, after in enumerate((None, 2, 5, 9), 1):
        before = AppChange.of(records[-1]) if records else None
        records.append(change_of(app_manifest(number, hostname=f"{number}.test"), before, after))
    script.on("GET", CHANGES, listed(*records))
    for record in records:
        script.on("DELETE", at(APP_CHANGES, record["metadata"]["name"]), {"metadata": {}})
    app = app_manifest(4, recorded=4, hostname="4.test", history={"limit": 10})
    state = process.states.of(APP)
    state.uid = app["metadata"]["uid"]

    async def let_go(oldest: int) -> list[str]:
        state.ledger = Ledger(known=True).having([given.a_row("a", given.live(oldest))])
        script.sent.clear()
        await see(process, app)
        return [sent.path.rpartition("/")[2] for sent in script.sent if sent.method == "DELETE"]

    assert await let_go(5) == ["chat-settings-1", "chat-settings-2"]
    assert await let_go(5) == []
    assert script.sent == [], "it is not looked again before other rows go"
    script.on("GET", CHANGES, listed(*records[2:]))
    assert await let_go(20) == ["chat-settings-3"]


async def test_many_records_go_a_few_at_once(process: Process, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_recorder, "DELETED_AT_ONCE", 2)
    await process.lead()
    records: list[Manifest] = []
    for number in range(1, 5):
        before = AppChange.of(records[-1]) if records else None
        records.append(change_of(app_manifest(number, hostname=f"{number}.test"), before, number))
        script.on("DELETE", at(APP_CHANGES, f"chat-settings-{number}"), {"metadata": {}})
    script.on("GET", CHANGES, listed(*records), listed(*records[2:]))
    app = app_manifest(4, recorded=4, hostname="4.test", history={"limit": 10})
    process.states.of(APP).uid = app["metadata"]["uid"]
    process.states.of(APP).ledger = Ledger(known=True).having([given.a_row("a", given.live(9))])
    assert await see(process, app) == settings_recorder.NEXT_AFTER
    assert await see(process, app) is None
    gone = [sent.path.rpartition("-")[2] for sent in script.sent if sent.method == "DELETE"]
    assert gone == ["1", "2", "3"]


async def test_an_app_without_a_limit_keeps_every_record(process: Process, script: Script) -> None:
    await process.lead()
    process.states.of(APP).ledger = Ledger(known=True).having([given.a_row("a", given.live(7))])
    await see(process, app_manifest(1, recorded=1))
    assert script.sent == []


async def test_a_pass_that_is_done_records_and_fails_for_nothing(process: Process, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "make_plan", lambda _: Plan())
    recording = Process(process.client, script, records_settings=True)
    await recording.lead()
    recording.informers.on_watch_event(APPS, "ADDED", app_manifest(1, access={"type": "public"}))
    script.on("GET", CHANGES, failure(500, "InternalError"), listed())
    assert await recording.reconciler.reconcile(APP) == ()
    assert made(script) == []
    assert await recording.reconciler.reconcile(APP) == ()
    assert len(made(script)) == 1

"""Triggers of an App: the effect of a change, refusals, and a run that starts now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dynamiq_operator.actions import idempotency
from dynamiq_operator.actions import triggers as actions
from dynamiq_operator.actions.idempotency import CallerKey
from dynamiq_operator.actions.refusals import InvalidField, NotNow, Refusal, Taken, Unknown
from dynamiq_operator.actions.triggers import Times, TriggersPlan
from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, BY_KIND, JOBS
from dynamiq_operator.model import triggers
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from tests.support import factories as given
from tests.support.scripted import Answer, Script, ScriptedApi, listed
from tests.support.scripted_namespace import CONFLICT, EXISTS, FORBIDDEN, NOT_FOUND, UNAUTHORIZED, created
from tests.unit.support.workloads import plain

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
UID = "3f0a1c52-6c53-4f7e-9d58-0c1b6e1f2a77"
LATER, BEFORE = "2026-12-01T09:00:00+01:00", "2026-11-01T09:00:00Z"
PATH = APPS.path(given.NAMESPACE, given.NAME)
DAILY = {"name": "daily", "displayName": "Every day", "schedule": "0 9 * * *"}
DRAFT = {"name": "draft", "schedule": "0 9 * * *", "suspend": True, "draft": True}
EXPIRED = {"name": "expired", "runAt": BEFORE, "suspend": True}
HOURLY = Times(schedule="0 * * * *")
LIVE = {"row": "chat-1", "sequence": 1, "workflowVersion": "v1", "runtime": "1.0.0"}


def app(*found: Manifest, version: str = "1", **meta: Any) -> Manifest:
    made = given.app_manifest(given.with_triggers(*found), given.with_status(live=LIVE))
    return given.stored({**made, "metadata": {**made["metadata"], "resourceVersion": version, **meta}})


def id_of(name: str) -> str:
    return triggers.id_of(given.an_app().meta.uid, {"name": name})


def test_a_new_trigger_is_a_draft() -> None:
    plan = actions.plan_addition(app(DAILY), "Every hour", Times("Europe/Berlin", "0 * * * *", expires_at=LATER), {"path": "$.a"}, NOW, UID)
    assert plan.triggers == [DAILY, plan.trigger]
    assert plan.trigger == {
        "name": "every-hour",
        "uid": UID,
        "displayName": "Every hour",
        "suspend": True,
        "draft": True,
        "timezone": "Europe/Berlin",
        "schedule": "0 * * * *",
        "expiresAt": "2026-12-01T08:00:00Z",
        "inputTransformer": {"path": "$.a"},
    }
    assert actions.plan_addition(app(), "once", Times(run_at=LATER), None, NOW, UID).trigger == {
        "name": "once",
        "uid": UID,
        "suspend": True,
        "draft": True,
        "runAt": "2026-12-01T08:00:00Z",
    }


@pytest.mark.parametrize(
    ("times", "field", "says"),
    [
        (Times(), "config", "exactly one"),
        (Times(schedule="0 9 * * *", run_at=LATER), "config", "exactly one"),
        (Times("Nowhere", "0 9 * * *"), "timezone", "an IANA time zone"),
        (Times(schedule="0 25 * * *"), "schedule", ""),
        (Times(run_at=LATER, expires_at=LATER), "expiresAt", "it is for a schedule"),
        (Times(run_at="2026-13-01T09:00:00Z"), "runAt", "must be a time"),
        (Times(run_at=BEFORE), "runAt", "must be after 2026-11-25T12:00:00Z"),
        (Times(schedule="0 9 * * *", expires_at=BEFORE), "expiresAt", "must be after 2026-11-25T12:00:00Z"),
    ],
)
def test_times_that_cannot_be(times: Times, field: str, says: str) -> None:
    with pytest.raises(InvalidField) as invalid:
        actions.plan_addition(app(), "x", times, None, NOW, UID)
    assert invalid.value.field == field
    assert says in invalid.value.reason


def test_a_name_and_a_number_are_limited() -> None:
    with pytest.raises(Taken):
        actions.plan_addition(app(DAILY), "Every day", HOURLY, None, NOW, UID)
    with pytest.raises(Taken):
        actions.plan_change(app(DAILY, DRAFT), id_of("draft"), NOW, shown="Every day")
    full = [{"name": f"t{number}", "schedule": "0 9 * * *"} for number in range(triggers.MOST)]
    with pytest.raises(NotNow, match="at most 32"):
        actions.plan_addition(app(*full), "one more", HOURLY, None, NOW, UID)


def test_a_change_leaves_what_it_does_not_name() -> None:
    there = app({**DAILY, "timezone": "UTC", "inputTransformer": {"path": "$.a"}}, DRAFT)
    plan = actions.plan_change(there, id_of("daily"), NOW, shown="daily")
    assert plan.trigger == {"name": "daily", "schedule": "0 9 * * *", "timezone": "UTC", "inputTransformer": {"path": "$.a"}}
    assert plan.triggers == [plan.trigger, DRAFT]
    plan = actions.plan_change(there, id_of("daily"), NOW, times=Times(run_at=LATER), transformer=None)
    assert plan.trigger == {"name": "daily", "displayName": "Every day", "runAt": "2026-12-01T08:00:00Z"}
    plan = actions.plan_change(there, id_of("draft").upper(), NOW, transformer={"selector": {}})
    assert plan.trigger["inputTransformer"] == {"selector": {}}
    assert actions.of_app(there)[1] == DRAFT, "what was read stays as it was"


def test_active_and_inactive() -> None:
    assert actions.plan_activation(app(DRAFT), id_of("draft"), NOW).trigger == {"name": "draft", "schedule": "0 9 * * *"}
    assert actions.plan_deactivation(app(DAILY), id_of("daily")).trigger == {**DAILY, "suspend": True}
    assert actions.plan_deactivation(app(DRAFT), id_of("draft")).trigger == DRAFT
    with pytest.raises(NotNow, match="has expired"):
        actions.plan_activation(app(EXPIRED), id_of("expired"), NOW)


@pytest.mark.parametrize(
    "plan",
    [
        lambda found, uid: actions.find(found, uid),
        lambda found, uid: actions.plan_change(found, uid, NOW),
        lambda found, uid: actions.plan_activation(found, uid, NOW),
        lambda found, uid: actions.plan_deactivation(found, uid),
        lambda found, uid: actions.plan_removal(found, uid),
        lambda found, uid: actions.plan_run(ScriptedApi(Script()), found, uid, Settings(), NOW),
    ],
)
def test_a_trigger_that_is_not_there(plan: Callable[[Manifest, str], Any]) -> None:
    with pytest.raises(Unknown, match="no trigger has the id"):
        plan(app(DAILY), id_of("gone"))


PLANS: list[tuple[Callable[[Manifest], TriggersPlan], list[Manifest]]] = [
    (
        lambda found: actions.plan_addition(found, "hourly", HOURLY, None, NOW, UID),
        [DAILY, {"name": "hourly", "uid": UID, "suspend": True, "draft": True, "schedule": "0 * * * *"}],
    ),
    (lambda found: actions.plan_change(found, id_of("daily"), NOW, shown="daily"), [{"name": "daily", "schedule": "0 9 * * *"}]),
    (lambda found: actions.plan_deactivation(found, id_of("daily")), [{**DAILY, "suspend": True}]),
]


@pytest.mark.parametrize(("plan", "expected"), PLANS)
def test_triggers_that_others_changed_meanwhile_are_kept(
    plan: Callable[[Manifest], TriggersPlan], expected: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "PAUSE", 0.0)
    other = {"name": "other", "schedule": "5 5 * * *"}
    script = Script().on("PATCH", PATH, CONFLICT, {}).on("GET", PATH, app(other, DAILY, version="2"))
    result = actions.perform_triggers(ScriptedApi(script), plan(app(DAILY)))
    first, second = script.bodies("PATCH", PATH)
    assert (first["metadata"]["resourceVersion"], first["spec"]["triggers"]) == ("1", expected)
    assert second["metadata"] == {"uid": given.an_app().meta.uid, "resourceVersion": "2"}
    assert second["spec"]["triggers"] == [other, *expected]
    assert result == expected[-1]


def test_the_last_one_is_removed_with_its_field() -> None:
    script = Script().on("PATCH", PATH, {})
    assert actions.perform_triggers(ScriptedApi(script), actions.plan_removal(app(DAILY), id_of("daily"))) == DAILY
    assert script.bodies("PATCH", PATH)[0]["spec"] == {"triggers": None}


@pytest.mark.parametrize(
    ("patched", "read", "raised"),
    [
        (NOT_FOUND, None, Unknown),
        (CONFLICT, NOT_FOUND, Unknown),
        (CONFLICT, FORBIDDEN, Unknown),
        (CONFLICT, UNAUTHORIZED, errors.Denied),
        (CONFLICT, app(DAILY, uid="of another App"), Unknown),
        (CONFLICT, app(), Unknown),
        (CONFLICT, app(DAILY), NotNow),
        (FORBIDDEN, None, errors.Denied),
    ],
)
def test_a_write_that_conflicts_or_is_refused_fails_with_its_error(
    patched: Any, read: Any, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "PAUSE", 0.0)
    script = Script().on("PATCH", PATH, patched).on("GET", PATH, read or NOT_FOUND)
    with pytest.raises(raised):
        actions.perform_triggers(ScriptedApi(script), actions.plan_deactivation(app(DAILY), id_of("daily")))


def test_a_run_that_begins_now() -> None:
    script = Script().on("POST", JOBS.path(given.NAMESPACE), created)
    api = ScriptedApi(script)
    runs = [actions.perform_run(api, actions.plan_run(api, app(DAILY), id_of("daily"), Settings(), NOW)) for _ in range(2)]
    assert len({run.made["metadata"]["name"] for run in runs}) == 2
    assert [run.is_replayed for run in runs] == [False, False]


@pytest.mark.parametrize(("answer", "has_keys"), [(listed(plain("v1")), True), (FORBIDDEN, False)], ids=["private pods", "not known"])
def test_a_run_brings_a_key_where_pods_check_one_while_a_change_of_access_is_held(answer: Answer, has_keys: bool) -> None:
    made = given.app_manifest(
        given.with_triggers(DAILY),
        given.with_status(live=LIVE, conditions=[given.VARIABLES_HELD]),
        given.with_spec(access={"type": "public"}),
    )
    api = ScriptedApi(Script().on("GET", BY_KIND[WORKLOAD.kind].path(given.NAMESPACE), answer))
    job = actions.plan_run(api, given.stored(made), id_of("daily"), Settings(), NOW).job
    assert bool(job["spec"]["template"]["spec"]["volumes"]) is has_keys


def test_a_run_under_a_key_is_one() -> None:
    script = Script().on("POST", JOBS.path(given.NAMESPACE), created, EXISTS)
    api = ScriptedApi(script)
    plans = [actions.plan_run(api, app(DAILY), id_of("daily"), Settings(), NOW, CallerKey("anna", "once")) for _ in range(2)]
    first = actions.perform_run(api, plans[0]).made
    script.on("GET", JOBS.path(given.NAMESPACE, first["metadata"]["name"]), first)
    assert actions.perform_run(api, plans[1]) == (first, True)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (app(DRAFT), "only an active trigger runs, and this one is draft"),
        ({**app({"name": "draft", "schedule": "0 9 * * *"}), "status": {}}, "nothing of this App is live yet"),
        (app({"name": "draft", "schedule": "0 9 31 2 *", "timezone": "Nowhere"}), "this trigger cannot run"),
    ],
)
def test_a_run_that_cannot_begin(found: Manifest, says: str) -> None:
    with pytest.raises(NotNow, match=says):
        actions.plan_run(ScriptedApi(Script()), found, id_of("draft"), Settings(), NOW)
    assert issubclass(NotNow, Refusal)

"""Plans and writes changes of triggers, which are part of their App's spec, and runs a trigger now.

A plan is made from the App as it was read, and written under its resourceVersion. After a conflict the same plan is made from the App as it
is then, and written again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.actions import reads
from dynamiq_operator.actions.idempotency import TRIES, CallerKey, Performed, pause
from dynamiq_operator.actions.reads import app_as_served
from dynamiq_operator.actions.refusals import InvalidField, NotNow, Taken, unknown_object
from dynamiq_operator.actions.rights import read_same
from dynamiq_operator.desired import job as jobs
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, Api
from dynamiq_operator.kube.resources import APPS, JOBS
from dynamiq_operator.model import cron, names, triggers
from dynamiq_operator.model.objects import App, Manifest, format_time
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.triggers.schedules import why_not

Trigger = dict[str, Any]
"""A trigger as in `App.spec.triggers`."""
KEEP: Any = object()
"""An argument that keeps the present value."""
_SUFFIX = 10


@dataclass(frozen=True)
class Times:
    """The times at which a trigger runs its App: exactly one of `schedule` and `run_at`.

    Times are RFC 3339.
    """

    timezone: str | None = None
    schedule: str | None = None
    run_at: str | None = None
    expires_at: str | None = None


@dataclass(frozen=True)
class TriggersPlan:
    """The triggers of an App after a change. `trigger`: the changed one after it, or the removed one as it was.

    `again`: makes the same plan from a later App.
    """

    app: Manifest
    triggers: Sequence[Trigger]
    trigger: Trigger
    again: Callable[[Manifest], TriggersPlan]


@dataclass(frozen=True)
class RunPlan:
    """The Job of a run that would start now."""

    job: Manifest


def of_app(app: Manifest) -> list[Trigger]:
    return list(app["spec"].get("triggers") or ())


def find(app: Manifest, trigger_id: str) -> Trigger:
    """Returns the trigger of the App with this id.

    Raises Unknown.
    """
    uid = app["metadata"]["uid"]
    for trigger in of_app(app):
        if triggers.id_of(uid, trigger) == trigger_id.lower():
            return trigger
    raise unknown_object("trigger", trigger_id)


def plan_addition(app: Manifest, shown: str, times: Times, transformer: Mapping[str, Any] | None, now: datetime, uid: str) -> TriggersPlan:
    """Plans one more trigger, as a draft. `shown`: its display name. `uid`: its own, a new one.

    Raises InvalidField, Taken and NotNow.
    """
    existing = of_app(app)
    _check_name(existing, shown)
    if len(existing) >= triggers.MOST:
        raise NotNow(f"an App has at most {triggers.MOST} triggers: delete one first")
    name = triggers.name_for(shown, [each["name"] for each in existing])
    trigger: Trigger = {"name": name, "uid": uid, "suspend": True, "draft": True, **_checked(times, now)}
    _call(trigger, shown)
    if transformer is not None:
        trigger["inputTransformer"] = dict(transformer)
    return TriggersPlan(app, [*existing, trigger], trigger, lambda later: plan_addition(later, shown, times, transformer, now, uid))


def plan_change(
    app: Manifest,
    trigger_id: str,
    now: datetime,
    *,
    shown: str | None = None,
    times: Times | None = None,
    transformer: Mapping[str, Any] | None = KEEP,
) -> TriggersPlan:
    """Plans a change of a trigger. The defaults keep the present values.

    Raises InvalidField, Taken and Unknown.
    """

    def alter(trigger: Trigger, others: list[Trigger]) -> None:
        if shown is not None:
            _check_name(others, shown)
            _call(trigger, shown)
        if times is not None:
            for field in ("timezone", "schedule", "runAt", "expiresAt"):
                trigger.pop(field, None)
            trigger.update(_checked(times, now))
        if transformer is not KEEP:
            trigger.pop("inputTransformer", None)
            if transformer is not None:
                trigger["inputTransformer"] = dict(transformer)

    return _altered(app, trigger_id, alter)


def plan_activation(app: Manifest, trigger_id: str, now: datetime) -> TriggersPlan:
    """Plans the activation of a trigger.

    Raises Unknown, and NotNow if it has expired.
    """

    def activate(trigger: Trigger, _: list[Trigger]) -> None:
        if triggers.status(trigger, now) is triggers.Status.EXPIRED:
            raise NotNow("give this trigger a time in the future first: it has expired")
        trigger.pop("suspend", None)
        trigger.pop("draft", None)

    return _altered(app, trigger_id, activate)


def plan_deactivation(app: Manifest, trigger_id: str) -> TriggersPlan:
    """Plans the deactivation of a trigger; a draft stays a draft.

    Raises Unknown.
    """

    def deactivate(trigger: Trigger, _: list[Trigger]) -> None:
        trigger["suspend"] = True

    return _altered(app, trigger_id, deactivate)


def plan_removal(app: Manifest, trigger_id: str) -> TriggersPlan:
    """Plans the removal of a trigger.

    Raises Unknown.
    """
    trigger = find(app, trigger_id)
    return TriggersPlan(app, [each for each in of_app(app) if each is not trigger], trigger, lambda later: plan_removal(later, trigger_id))


def perform_triggers(api: Api, plan: TriggersPlan) -> Trigger:
    """Writes the triggers, and returns the one that the plan changes.

    Raises Unknown if the App was deleted, NotNow if others keep writing it, what planning raises, and kube.errors.ApiError.
    """
    meta = plan.app["metadata"]
    path = APPS.path(meta["namespace"], meta["name"])
    for _ in range(TRIES):
        version = {"uid": meta["uid"], "resourceVersion": plan.app["metadata"]["resourceVersion"]}
        try:
            patch = {"metadata": version, "spec": {"triggers": list(plan.triggers) or None}}
            api.request("PATCH", path, body=patch, content_type=MERGE)
        except errors.NotFound:
            raise unknown_object("App", meta["uid"]) from None
        except errors.Conflict:
            pause()
            plan = plan.again(read_same(api, "App", path, meta["uid"]))
            continue
        return plan.trigger
    raise NotNow("somebody else is changing this App: try again")


def plan_run(api: Api, app: Manifest, trigger_id: str, settings: Settings, now: datetime, key: CallerKey | None = None) -> RunPlan:
    """Plans a run that starts now. With a key, a repeat is the same run.

    Raises Unknown, NotNow if the trigger cannot run, and kube.errors.ApiError.
    """
    trigger = find(app, trigger_id)
    status = triggers.status(trigger, now)
    if status is not triggers.Status.ACTIVE:
        raise NotNow(f"only an active trigger runs, and this one is {status}", "status", status.value)
    if not (app.get("status") or {}).get("live"):
        raise NotNow("nothing of this App is live yet: deploy it first")
    app_object = reads.typed(App, app)
    parsed = next(each for each in app_object.spec.triggers if each.name == trigger["name"])
    if (why := why_not(parsed)) is not None:
        raise NotNow(f"this trigger cannot run: {why}")
    suffix = (
        key.hash_for(app_object.meta.uid, triggers.id_of(app_object.meta.uid, trigger))[:_SUFFIX]
        if key
        else secrets.token_hex(_SUFFIX // 2)
    )
    return RunPlan(jobs.run(app_as_served(api, app_object), parsed, settings, names.run_now(app_object.meta.name, parsed.name, suffix)))


def perform_run(api: Api, plan: RunPlan) -> Performed:
    """Creates the Job, or returns the one that was created under the same key.

    Raises kube.errors.ApiError.
    """
    try:
        return Performed(requests.create(api, JOBS, plan.job))
    except errors.AlreadyExists:
        meta = plan.job["metadata"]
        return Performed(requests.read_object(api, JOBS, meta["namespace"], meta["name"]), is_replayed=True)


def _altered(app: Manifest, trigger_id: str, alter: Callable[[Trigger, list[Trigger]], None]) -> TriggersPlan:
    changed = deepcopy(app)
    trigger = find(changed, trigger_id)
    every = of_app(changed)
    alter(trigger, [each for each in every if each is not trigger])
    return TriggersPlan(app, every, trigger, lambda later: _altered(later, trigger_id, alter))


def _call(trigger: Trigger, shown: str) -> None:
    trigger.pop("displayName", None)
    if shown != trigger["name"]:
        trigger["displayName"] = shown


def _check_name(others: list[Trigger], shown: str) -> None:
    if any(triggers.shown_name(other) == shown for other in others):
        raise Taken(f"the App has a trigger named {shown} already: use another name", "name", "taken")


def _checked(times: Times, now: datetime) -> Trigger:
    """Returns the times as fields of the App's spec.

    Raises InvalidField with the name of the wrong field, or `config` if not exactly one of `schedule` and `run_at` is set.
    """
    if (times.schedule is None) == (times.run_at is None):
        raise InvalidField("config", "give exactly one of schedule and run_at")
    if times.timezone is not None and times.timezone not in triggers.zones():
        raise InvalidField("timezone", "must be an IANA time zone such as Europe/Berlin")
    if times.schedule is not None:
        try:
            cron.parse(times.schedule)
        except cron.CronError as error:
            raise InvalidField("schedule", str(error)) from None
    elif times.expires_at is not None:
        raise InvalidField("expiresAt", "it is for a schedule: a trigger with run_at runs once")
    fields = {
        "timezone": times.timezone,
        "schedule": times.schedule,
        "runAt": _to_come("runAt", times.run_at, now),
        "expiresAt": _to_come("expiresAt", times.expires_at, now),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _to_come(field: str, text: str | None, now: datetime) -> str | None:
    if text is None:
        return None
    moment = triggers.moment(text)
    if moment is None:
        raise InvalidField(field, "must be a time, such as 2026-11-24T22:22:45Z")
    if moment <= now:
        raise InvalidField(field, f"must be after {format_time(now)}")
    return format_time(moment)

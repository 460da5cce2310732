"""Triggers are a part of their App's spec: a plan is made over the App as it was read, and written under its resourceVersion.

Where others wrote the App meanwhile, the same plan is made over what they left, and tried again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.actions import history
from dynamiq_operator.actions.idempotency import TRIES, Key, Performed, pause
from dynamiq_operator.actions.refusals import InvalidField, NotNow, Taken, unknown_object
from dynamiq_operator.actions.rights import read_same
from dynamiq_operator.actions.workloads import app_as_served
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
"""A trigger as `App.spec.triggers` has it."""
KEEP: Any = object()
"""In place of a value: what is there stays."""
_SUFFIX = 10


@dataclass(frozen=True)
class Times:
    """When a trigger runs its App: exactly one of `schedule` and `run_at`. Times are RFC 3339."""

    timezone: str | None = None
    schedule: str | None = None
    run_at: str | None = None
    expires_at: str | None = None


@dataclass(frozen=True)
class TriggersPlan:
    """What the triggers of an App would be. `trigger`: the one that it is about, as it would be, or as it was before it is deleted.

    `again` makes the same plan over the App as it is later.
    """

    app: Manifest
    triggers: Sequence[Trigger]
    trigger: Trigger
    again: Callable[[Manifest], TriggersPlan]


@dataclass(frozen=True)
class RunPlan:
    """The Job of a run that would begin now."""

    job: Manifest


def of_app(app: Manifest) -> list[Trigger]:
    return list(app["spec"].get("triggers") or ())


def find(app: Manifest, trigger_id: str) -> Trigger:
    """One trigger of the App, by its id. Raises Unknown."""
    uid = app["metadata"]["uid"]
    for trigger in of_app(app):
        if triggers.id_of(uid, trigger) == trigger_id.lower():
            return trigger
    raise unknown_object("trigger", trigger_id)


def plan_addition(app: Manifest, shown: str, times: Times, transformer: Mapping[str, Any] | None, now: datetime, uid: str) -> TriggersPlan:
    """One more trigger, a draft. `shown`: what people call it; `uid`: a new one. Raises InvalidField, Taken and NotNow."""
    there = of_app(app)
    _check_name(there, shown)
    if len(there) >= triggers.MOST:
        raise NotNow(f"an App has at most {triggers.MOST} triggers: delete one first")
    name = triggers.name_for(shown, [each["name"] for each in there])
    made: Trigger = {"name": name, "uid": uid, "suspend": True, "draft": True, **_checked(times, now)}
    _call(made, shown)
    if transformer is not None:
        made["inputTransformer"] = dict(transformer)
    return TriggersPlan(app, [*there, made], made, lambda later: plan_addition(later, shown, times, transformer, now, uid))


def plan_change(
    app: Manifest,
    trigger_id: str,
    now: datetime,
    *,
    shown: str | None = None,
    times: Times | None = None,
    transformer: Mapping[str, Any] | None = KEEP,
) -> TriggersPlan:
    """A changed trigger: what is not given stays. Raises InvalidField, Taken and Unknown."""

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
    """An active trigger. Raises Unknown, and NotNow where it can't run any more."""

    def activate(trigger: Trigger, _: list[Trigger]) -> None:
        if triggers.status(trigger, now) is triggers.Status.EXPIRED:
            raise NotNow("this trigger has expired: give it a config with a time to come first")
        trigger.pop("suspend", None)
        trigger.pop("draft", None)

    return _altered(app, trigger_id, activate)


def plan_deactivation(app: Manifest, trigger_id: str) -> TriggersPlan:
    """An inactive trigger; a draft stays one. Raises Unknown."""

    def deactivate(trigger: Trigger, _: list[Trigger]) -> None:
        trigger["suspend"] = True

    return _altered(app, trigger_id, deactivate)


def plan_removal(app: Manifest, trigger_id: str) -> TriggersPlan:
    """The App without the trigger. Raises Unknown."""
    found = find(app, trigger_id)
    return TriggersPlan(app, [each for each in of_app(app) if each is not found], found, lambda later: plan_removal(later, trigger_id))


def perform_triggers(api: Api, plan: TriggersPlan) -> Trigger:
    """Writes the triggers; returns the one that the plan is about. Raises Unknown where the App is gone, what the plan raises, and
    kube.errors.ApiError.
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
    raise NotNow("others change this App at this moment: try again")


def plan_run(api: Api, app: Manifest, trigger_id: str, settings: Settings, now: datetime, key: Key | None = None) -> RunPlan:
    """A run that begins now; with a key, a repeat is the same run. Raises Unknown, NotNow where it can't run, and kube.errors.ApiError."""
    found = find(app, trigger_id)
    status = triggers.status(found, now)
    if status is not triggers.Status.ACTIVE:
        raise NotNow(f"only an active trigger runs, and this one is {status}", "status", status.value)
    if not (app.get("status") or {}).get("live"):
        raise NotNow("nothing of this App is live yet: deploy it first")
    typed = history.typed(App, app)
    wanted = next(each for each in typed.spec.triggers if each.name == found["name"])
    if (why := why_not(wanted)) is not None:
        raise NotNow(f"this trigger cannot run: {why}")
    suffix = key.hash_for(typed.meta.uid, triggers.id_of(typed.meta.uid, found))[:_SUFFIX] if key else secrets.token_hex(_SUFFIX // 2)
    return RunPlan(jobs.run(app_as_served(api, typed), wanted, settings, names.run_now(typed.meta.name, wanted.name, suffix)))


def perform_run(api: Api, plan: RunPlan) -> Performed:
    """Makes the Job, or returns the one that was made under the same key. Raises kube.errors.ApiError."""
    try:
        return Performed(requests.create(api, JOBS, plan.job))
    except errors.AlreadyExists:
        meta = plan.job["metadata"]
        return Performed(requests.get(api, JOBS, meta["namespace"], meta["name"]), is_replayed=True)


def _altered(app: Manifest, trigger_id: str, alter: Callable[[Trigger, list[Trigger]], None]) -> TriggersPlan:
    changed = deepcopy(app)
    found = find(changed, trigger_id)
    every = of_app(changed)
    alter(found, [each for each in every if each is not found])
    return TriggersPlan(app, every, found, lambda later: _altered(later, trigger_id, alter))


def _call(trigger: Trigger, shown: str) -> None:
    trigger.pop("displayName", None)
    if shown != trigger["name"]:
        trigger["displayName"] = shown


def _check_name(others: list[Trigger], shown: str) -> None:
    if any(triggers.shown_name(other) == shown for other in others):
        raise Taken(f"the App has a trigger named {shown} already: use another name", "name", "taken")


def _checked(times: Times, now: datetime) -> Trigger:
    """When it runs, as the App's spec has it. Raises InvalidField, naming a field of that spec or `config` for more than one."""
    if (times.schedule is None) == (times.run_at is None):
        raise InvalidField("config", "exactly one of schedule and run_at says when it runs")
    if times.timezone is not None and times.timezone not in triggers.zones():
        raise InvalidField("timezone", "there is no such IANA time zone: use one such as Europe/Berlin")
    if times.schedule is not None:
        try:
            cron.check(times.schedule)
        except cron.CronError as error:
            raise InvalidField("schedule", str(error)) from None
    elif times.expires_at is not None:
        raise InvalidField("expiresAt", "it is for a schedule: a trigger with run_at runs once")
    told = {
        "timezone": times.timezone,
        "schedule": times.schedule,
        "runAt": _to_come("runAt", times.run_at, now),
        "expiresAt": _to_come("expiresAt", times.expires_at, now),
    }
    return {name: value for name, value in told.items() if value is not None}


def _to_come(field: str, text: str | None, now: datetime) -> str | None:
    if text is None:
        return None
    found = triggers.moment(text)
    if found is None:
        raise InvalidField(field, "there is no such time")
    if found <= now:
        raise InvalidField(field, f"it has passed: name a time after {format_time(now)}")
    return format_time(found)

"""Triggers are a part of their App's spec: read, changed and written back under the App's version, again where somebody was quicker."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import TypeVar

from dynamiq_operator.desired import triggers as desired
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, JOBS
from dynamiq_operator.model import names, triggers
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.triggers.schedules import why_not
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http import idempotency
from dynamiq_operator.rest.http.errors import HttpProblem, unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.client import MERGE_PATCH
from dynamiq_operator.rest.kube.id_index import Entry
from dynamiq_operator.rest.triggers.parse import Trigger, check_name, times
from dynamiq_operator.rest.triggers.requests import NewTrigger, TriggerChange

TRIES = 20
_SUFFIX = 10
PAUSE = 0.25
"""Seconds at most between two tries: who lost once shall not lose again to the same."""
_T = TypeVar("_T")


def of_app(app: Manifest) -> list[Trigger]:
    return list(app["spec"].get("triggers") or ())


def find(app: Manifest, trigger_id: str) -> Trigger:
    """One trigger of the App. Raises HttpProblem 404."""
    uid = app["metadata"]["uid"]
    for trigger in of_app(app):
        if triggers.id_of(uid, trigger["name"]) == trigger_id.lower():
            return trigger
    raise unknown_id("trigger", trigger_id)


def change(context: ApiContext, session: CallerSession, entry: Entry, edit: Callable[[Manifest], _T]) -> _T:
    """Writes the App's triggers as `edit`, which gets a copy of the App for itself, leaves them; returns what it returned.

    Raises HttpProblem, and errors.ApiError.
    """
    for _ in range(TRIES):
        app = deepcopy(context.read(session, APPS, entry))
        result = edit(app)
        version = {"uid": entry.uid, "resourceVersion": app["metadata"]["resourceVersion"]}
        patch = {"metadata": version, "spec": {"triggers": of_app(app) or None}}
        try:
            session.api.request("PATCH", APPS.path(entry.namespace, entry.name), body=patch, content_type=MERGE_PATCH)
        except errors.NotFound:
            raise unknown_id("App", entry.uid) from None
        except errors.Conflict:
            time.sleep(random.uniform(0, PAUSE))  # noqa: S311 - no secret
            continue
        return result
    raise HttpProblem(409, "others change this App at this moment: try again")


def change_one(
    context: ApiContext, session: CallerSession, entry: Entry, trigger_id: str, act: Callable[[Trigger, list[Trigger]], None]
) -> Trigger:
    """Changes one trigger by `act`, which gets it and the others. Raises as `change` does, and HttpProblem 404."""

    def edit(app: Manifest) -> Trigger:
        found = find(app, trigger_id)
        act(found, [each for each in of_app(app) if each is not found])
        return found

    return change(context, session, entry, edit)


def add(app: Manifest, body: NewTrigger, now: datetime) -> Trigger:
    """Puts a draft into the App. Raises HttpProblem."""
    there = of_app(app)
    check_name(there, body.name)
    if len(there) >= triggers.MOST:
        raise HttpProblem(409, f"an App has at most {triggers.MOST} triggers: delete one first")
    name = triggers.name_for(body.name, [each["name"] for each in there])
    made: Trigger = {"name": name, "suspend": True, "draft": True, **times(body.config, now)}
    _call(made, body.name)
    if body.input_transformer is not None:
        made["inputTransformer"] = body.input_transformer.model_dump(exclude_none=True)
    app["spec"]["triggers"] = [*there, made]
    return made


def alter(trigger: Trigger, others: list[Trigger], body: TriggerChange, now: datetime) -> None:
    """Changes what the body names. Raises HttpProblem."""
    if body.name is not None:
        check_name(others, body.name)
        _call(trigger, body.name)
    if body.config is not None:
        for field in ("timezone", "schedule", "runAt", "expiresAt"):
            trigger.pop(field, None)
        trigger.update(times(body.config, now))
    if "input_transformer" in body.model_fields_set:
        trigger.pop("inputTransformer", None)
        if body.input_transformer is not None:
            trigger["inputTransformer"] = body.input_transformer.model_dump(exclude_none=True)


def activate(trigger: Trigger, now: datetime) -> None:
    """Raises HttpProblem where it can't run any more."""
    if triggers.status(trigger, now) is triggers.Status.EXPIRED:
        raise HttpProblem(409, "this trigger has expired: give it a config with a time to come first")
    trigger.pop("suspend", None)
    trigger.pop("draft", None)


def deactivate(trigger: Trigger) -> None:
    """A draft stays one."""
    trigger["suspend"] = True


def run_now(context: ApiContext, session: CallerSession, app: Manifest, trigger: Trigger, key: str | None) -> tuple[Manifest, bool]:
    """The Job of a run that begins now, and whether it was made before under the same key. Raises HttpProblem and errors.ApiError."""
    typed = App.of(app)
    wanted = next(each for each in typed.spec.triggers if each.name == trigger["name"])
    if (why := why_not(wanted)) is not None:
        raise HttpProblem(409, f"this trigger cannot run: {why}")
    suffix = (
        idempotency.key_digest(session, typed.meta.uid, wanted.name, key)[:_SUFFIX] if key is not None else secrets.token_hex(_SUFFIX // 2)
    )
    name = names.run_now(typed.meta.name, wanted.name, suffix)
    try:
        return kube_api.create(session.api, JOBS, desired.run(typed, wanted, context.settings, name)), False
    except errors.AlreadyExists:
        return kube_api.get(session.api, JOBS, typed.meta.namespace, name), True


def _call(trigger: Trigger, shown: str) -> None:
    trigger.pop("displayName", None)
    if shown != trigger["name"]:
        trigger["displayName"] = shown


def now() -> datetime:
    return datetime.now(UTC)

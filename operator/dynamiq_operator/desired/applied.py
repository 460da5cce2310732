"""Reads an App as its pods have it: variables, access and recording of an applied template, whatever the App asks for now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.desired.pod_template import CONTAINER, RECORDER, access_of
from dynamiq_operator.model.app import KeyOf, Variable
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.recording import RunsPolicy

_OWN = "DYNAMIQ_"
"""With PORT, the prefix that users' variables cannot have."""


def apps_as_applied(app: App, template: object, runs: object = None) -> tuple[App, ...]:
    """Returns the App with the variables, access and `runs` of this pod template; empty if the template is not ours.

    `runs`: the recording policy noted beside the template. If it is ambiguous, several Apps are returned, the one that records least first.
    """
    if not isinstance(template, Mapping):
        return ()
    try:
        container = next(each for each in template["spec"]["containers"] if each["name"] == CONTAINER)
        env = {each["name"]: each for each in container.get("env") or ()}
        changed = {
            "variables": tuple(_variables(env)),
            "access": access_of(template),
        }
        policies = tuple(_runs(app, env, runs))
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration, ValidationError):
        return ()
    return tuple(App(app.meta, app.spec.model_copy(update={**changed, "runs": each}), app.status) for each in policies)


def with_access_of(app: App, workload: Mapping[str, Any]) -> App:
    """Returns the App with the access that the pods of a workload enforce."""
    served = App(app.meta, app.spec.model_copy(update={"access": access_of(workload["spec"]["template"])}), app.status)
    return app if has_same_access(app, served) else served


def has_same_access(one: App, other: App) -> bool:
    """Returns True if the same callers and the same web pages may call both."""
    return (one.spec.is_private, one.spec.origins) == (other.spec.is_private, other.spec.origins)


def _variables(env: Mapping[str, Mapping[str, Any]]) -> Iterator[Variable]:
    for name, each in env.items():
        if name.startswith(_OWN) or name == "PORT":
            continue
        of = each.get("valueFrom") or {}
        if "secretKeyRef" in of:
            yield Variable(name=name, secret=KeyOf.model_validate(of["secretKeyRef"]))
        elif "configMapKeyRef" in of:
            yield Variable(name=name, config_map=KeyOf.model_validate(of["configMapKeyRef"]))
        else:
            yield Variable(name=name, value=str(each.get("value", "")).replace("$$", "$"))


def _runs(app: App, env: Mapping[str, Mapping[str, Any]], noted: object) -> Iterator[RunsPolicy | None]:
    """Yields the possible `runs`. The template of a pod without a recorder does not contain them."""
    if RECORDER not in env:
        if noted is not None:
            yield RunsPolicy.model_validate(noted)
        yield from (None, app.spec.runs)
        return
    setting = env.get("DYNAMIQ_RUNS")
    if setting is None:
        yield None
        return
    policy = RunsPolicy.model_validate(json.loads(setting["value"].replace("$$", "$")))
    yield policy
    if not policy.content:
        yield policy.model_copy(update={"content": None})  # both make the same variable

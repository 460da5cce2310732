"""An App as its pods have it: the variables, the access and the recording of a template that was applied, whatever the App asks for by now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.desired.pod_template import CONTAINER, RECORDER
from dynamiq_operator.model.app import Access, AccessType, KeyOf, Variable
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.recording import RunsPolicy

_OWN = "DYNAMIQ_"
"""With PORT, what the names of no variables begin with."""


def app_as_applied(app: App, template: Mapping[str, Any]) -> App | None:
    """The App with what this pod template has of it; None where the template is none of ours."""
    try:
        container = next(each for each in template["spec"]["containers"] if each["name"] == CONTAINER)
        env = {each["name"]: each for each in container.get("env") or ()}
        is_private = any(volume["name"] == "access-keys" for volume in template["spec"]["volumes"])
        changed = {
            "variables": tuple(_variables(env)),
            "access": Access(type=AccessType.PRIVATE if is_private else AccessType.PUBLIC),
            "runs": _runs(app, env),
        }
    except (KeyError, TypeError, ValueError, StopIteration, ValidationError):
        return None
    return App(app.meta, app.spec.model_copy(update=changed), app.status)


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


def _runs(app: App, env: Mapping[str, Mapping[str, Any]]) -> RunsPolicy | None:
    """Of a pod that sends its runs nowhere it is not known, and means nothing."""
    if RECORDER not in env:
        return app.spec.runs
    told = env.get("DYNAMIQ_RUNS")
    return RunsPolicy.model_validate(json.loads(told["value"].replace("$$", "$"))) if told is not None else None

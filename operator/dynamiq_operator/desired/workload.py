"""The workload: the apps/v1 Deployment that runs an App.

Its pod template depends on nothing but what changes behaviour: flow, runtime, compute, variables and access. While those
stay the same the template that was applied stays, whatever this version of the operator would write: an upgrade of the
operator restarts no pod.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.desired.base import WORKLOAD, child
from dynamiq_operator.desired.inputs import Inputs, TemplateChoice, scale_of
from dynamiq_operator.desired.pod_template import pod_template
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.record import Pinned

_NOTE = ("f:metadata", "f:annotations", f"f:{names.APPLIED_TEMPLATE_ANNOTATION}")
KEPT_REVISIONS = 3
BESIDE_THE_TEMPLATE = (names.KEYS_ANNOTATION, "progressDeadlineSeconds")
"""Fields that follow the App or its keys while the template stays."""


def template_digest(app: App, pinned: Pinned) -> str:
    """Decides whether pods restart: the digest of all that the pod template depends on, as 16 hex characters. It is also a label of the pods.

    They restart for a new digest, and for a template that another manager edited and the operator repairs.
    """
    own = {"variables": [variable.as_json() for variable in app.spec.variables], "private": app.spec.is_private}
    return _digest(_pins(pinned) | own)


def workload(inputs: Inputs) -> list[Manifest]:
    """None for an App that runs nothing. The template that was applied is kept where its inputs are the same.

    `replicas` is for its creation alone: from then on the autoscaler owns it.
    """
    pinned, observed, choice = inputs.pinned, inputs.workload, inputs.template_choice
    if pinned is None:
        return []
    if choice is TemplateChoice.OBSERVED:
        return [observed] if observed is not None else []
    if observed is None:
        return [_manifest(inputs, _note_of_pins(inputs.app, pinned, None), scale_of(pinned).min_replicas)]
    note = _last_applied_unedited(observed) if choice is TemplateChoice.APPLIED else _note_of_pins(inputs.app, pinned, observed)
    return [_manifest(inputs, note) if note is not None else observed]


def has_pins(observed: Manifest, pinned: Pinned) -> bool:
    """Whether the template that was applied is of a row with these pins."""
    return bool(_last_applied(observed).get("pins") == _digest(_pins(pinned)))


def runs(observed: Mapping[str, Any], digest: str) -> bool:
    """Whether the workload's template is the one of this digest."""
    labels = observed["spec"]["template"]["metadata"].get("labels") or {}
    return bool(labels.get(names.TEMPLATE_LABEL) == digest)


def is_edit(manifest: Manifest, observed: Manifest, path: str) -> bool:
    """Whether a difference is another manager's edit.

    It is ours where the template changes, as our annotation tells, and in the fields that are `BESIDE_THE_TEMPLATE`.
    """
    noted: str | None = (observed["metadata"].get("annotations") or {}).get(names.APPLIED_TEMPLATE_ANNOTATION)
    wanted: str = manifest["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION]
    return (noted == wanted or not managed_fields.is_ours_at(observed, _NOTE)) and not path.endswith(BESIDE_THE_TEMPLATE)


def _pins(pinned: Pinned) -> dict[str, Any]:
    """The part of the template's inputs that comes from the row."""
    return {
        "flow": pinned.workflow_hash,
        "runtime": pinned.runtime.as_json(),
        "resources": pinned.config.resources.as_json() if pinned.config.resources is not None else None,
    }


def _digest(content: Mapping[str, Any]) -> str:
    return canonical(content).removeprefix("sha256:")[:16]


def _manifest(inputs: Inputs, note: Mapping[str, Any], replicas: int | None = None) -> Manifest:
    app, keys = inputs.app, inputs.key_note
    spec: dict[str, Any] = {
        "revisionHistoryLimit": KEPT_REVISIONS,
        "progressDeadlineSeconds": app.spec.rollout.progress_deadline_seconds,
        "selector": {"matchLabels": names.pod_selector(app.meta.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": note["template"],
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return child(
        app,
        WORKLOAD,
        names.workload(app.meta.name, inputs.row),
        annotations={names.APPLIED_TEMPLATE_ANNOTATION: json.dumps(note, sort_keys=True)} | ({names.KEYS_ANNOTATION: keys} if keys else {}),
        spec=spec,
    )


def _note_of_pins(app: App, pinned: Pinned, observed: Manifest | None) -> dict[str, Any]:
    """What the annotation says of the template of these pins: of the one that was applied, where its inputs are the same."""
    digest = template_digest(app, pinned)
    template = _applied_template(observed, digest) or pod_template(app, pinned, digest)
    return {"inputs": digest, "pins": _digest(_pins(pinned)), "template": template}


def _last_applied_unedited(observed: Manifest) -> dict[str, Any] | None:
    """What the annotation says of the template that was applied last; None where another manager edited it."""
    note = _last_applied(observed)
    template = _applied_template(observed, str(note.get("inputs")))
    return {**note, "template": template} if template is not None else None


def _applied_template(observed: Mapping[str, Any] | None, wanted: str) -> dict[str, Any] | None:
    """The template that was applied last, where its digest is the one that is wanted."""
    note = _last_applied(observed or {})
    try:
        labelled = note["template"]["metadata"]["labels"][names.TEMPLATE_LABEL] if note else None
    except (KeyError, TypeError):
        return None  # edited by another manager: the template is written again
    return note["template"] if note and note.get("inputs") == wanted == labelled else None


def _last_applied(observed: Mapping[str, Any]) -> dict[str, Any]:
    """What our annotation says of the template that was applied last; empty where there is none, where another manager wrote it, or where it is no JSON object."""
    noted = (observed.get("metadata", {}).get("annotations") or {}).get(names.APPLIED_TEMPLATE_ANNOTATION)
    if noted and not managed_fields.is_ours_at(observed, _NOTE):
        return {}
    try:
        note = json.loads(noted) if noted else {}
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}

"""Builds the workload: the apps/v1 Deployment that runs an App or, under strategy Switch, one set of its pins.

Its pod template depends only on what changes behaviour: flow, runtime, compute, variables and access. While those stay the same, the
applied template stays, whatever this operator version would make. An upgrade of the operator restarts no pod.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.desired.applied import apps_as_applied
from dynamiq_operator.desired.base import WORKLOAD, child
from dynamiq_operator.desired.inputs import Inputs, TemplateChoice, WorkloadInputs
from dynamiq_operator.desired.pin_labels import digest_of, pod_selector
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.pod_template import pod_template, recorder_of
from dynamiq_operator.desired.template_note import NOTE, last_applied
from dynamiq_operator.model import names
from dynamiq_operator.model.app import Variable
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.settings import Settings

_ROW_NOTE = ("f:metadata", "f:annotations", f"f:{names.TEMPLATE_ROW_ANNOTATION}")
KEPT_REVISIONS = 3
MOST_BYTES = 6
"""Bytes that JSON may need for one character."""
NOTE_MAX = 250 * 1024
"""Bytes of the note. The API server allows 256 KiB for all annotations of an object."""
BESIDE_THE_TEMPLATE = (
    names.KEYS_ANNOTATION,
    names.GIVEN_UP_ANNOTATION,
    names.SERVED_ANNOTATION,
    names.ROOM_ANNOTATION,
    names.TEMPLATE_ROW_ANNOTATION,
    "progressDeadlineSeconds",
)
"""Fields that follow the App, its keys or its rows while the template stays."""


def template_digest(app: App, pins: Pins, observed: Mapping[str, Any] | None = None) -> str:
    """Returns the digest of all inputs of the pod template: 16 hex characters, also a label of the pods. A new digest restarts pods.

    Pods also restart when the operator repairs a template that another manager edited. The order of variables does not matter. Earlier
    operators included it: if `observed` notes their digest of the same inputs, that digest is returned.
    """
    note = last_applied(observed or {})
    as_noted = _digest_of(app, pins, _variables_as_noted(app, note)) if note else ""
    return as_noted if as_noted == note.get("inputs") else template_digests(app, pins)[0]


def environment_digest(app: App) -> str:
    """Returns the digest of what changes pods but is not part of a row: variables, access, and the recording policy."""
    return canonical(_environment(app, sorted(app.spec.variables, key=_name)))


def template_digests(app: App, pins: Pins) -> tuple[str, str]:
    """Returns the digest, and the one that earlier operators made, which depends on the order of the variables."""
    own = app.spec.variables
    return _digest_of(app, pins, sorted(own, key=_name)), _digest_of(app, pins, own)


def _digest_of(app: App, pins: Pins, variables: Iterable[Variable]) -> str:
    return digest_of(pins.inputs | _environment(app, variables))


def _environment(app: App, variables: Iterable[Variable]) -> dict[str, Any]:
    own: dict[str, Any] = {"variables": [variable.as_json() for variable in variables], "private": app.spec.is_private}
    if app.spec.origins:
        own["origins"] = list(app.spec.origins)
    if app.spec.runs is not None and not app.spec.runs.is_default:
        own["runs"] = app.spec.runs.of_pods()
    return own


def _variables_as_noted(app: App, note: Mapping[str, Any]) -> list[Variable]:
    """Returns the App's variables in the order of the applied template."""
    try:
        (container,) = note["template"]["spec"]["containers"]
        place = {each["name"]: number for number, each in enumerate(container["env"])}
    except (KeyError, TypeError, ValueError):
        return []
    return sorted(app.spec.variables, key=lambda variable: place.get(variable.name, len(place)))


def _name(variable: Variable) -> str:
    return variable.name


def workload(inputs: Inputs) -> list[Manifest]:
    """Returns the workloads; empty for an App that runs nothing."""
    made = (workload_manifest(inputs.app, desired) for desired in inputs.workloads)
    return [manifest for manifest in made if manifest is not None]


def workload_manifest(app: App, desired: WorkloadInputs) -> Manifest | None:
    """Returns the workload; None if it must not be made now. The applied template is kept while its inputs are the same.

    `replicas` is used only at its creation. Afterwards the autoscaler owns it.
    """
    pins, observed, app = desired.pins, desired.observed, desired.app or app
    if pins is None or desired.choice is TemplateChoice.OBSERVED:
        return observed
    if observed is None:
        return _manifest(app, desired, _note_of_pins(app, desired, pins), desired.replicas)
    note = _last_applied_unedited(observed) if desired.choice is TemplateChoice.APPLIED else _note_of_pins(app, desired, pins)
    return _manifest(app, desired, note) if note is not None else observed


def is_too_large(app: App, pins: Pins, settings: Settings) -> bool:
    """Returns True if the App's variables make the template too large for the workload's note."""
    if sum(len(variable.value or "") for variable in app.spec.variables) * MOST_BYTES < NOTE_MAX // 2:
        return False  # most Apps, at no cost
    largest = WorkloadInputs("", pins, recorder=settings.recorder, journal=settings.journal, callbacks=True)
    return len(_noted(_note_of_pins(app, largest, pins))) > NOTE_MAX


def has_pins(observed: Manifest, pins: Pins) -> bool:
    """Returns True if the applied template has these pins."""
    return bool(last_applied(observed).get("pins") == pins.digest)


def noted_pins(observed: Manifest) -> Pins | None:
    """Returns the pins that a workload of strategy Switch notes. Their row may not be watched any more."""
    return Pins.read(last_applied(observed).get("of"))


def as_applied(app: App, observed: Mapping[str, Any], *of: Pins) -> App | None:
    """Returns the App with the environment of the applied template; None if unknown.

    `of`: pins that the template may have. With them, its digest decides between several candidates.
    """
    note = last_applied(observed)
    candidates = apps_as_applied(app, note.get("template"), note.get("runs"))
    exact = (each for each in candidates for pins in of if note.get("inputs") in template_digests(each, pins))
    return next(exact, next(iter(candidates), None))


def applied_with(app: App, observed: Mapping[str, Any], environment: str) -> App | None:
    """Returns the App with the environment of this digest; None if the workload's template has another."""
    # The digest proves the content, so a note that another manager wrote is good enough.
    note = last_applied(observed)
    templates = (note.get("template"), observed["spec"]["template"])
    candidates = (each for template in templates for each in apps_as_applied(app, template, note.get("runs")))
    return next((each for each in candidates if environment_digest(each) == environment), None)


def template_row(observed: Mapping[str, Any]) -> int | None:
    """Returns the sequence of the row of the template; None if the workload notes none, or another manager wrote the note."""
    noted = (observed["metadata"].get("annotations") or {}).get(names.TEMPLATE_ROW_ANNOTATION, "")
    is_one = noted.isdecimal() and len(noted) <= 16 and managed_fields.is_ours_at(observed, _ROW_NOTE)
    return int(noted) if is_one else None


def runs(observed: Mapping[str, Any], digest: str) -> bool:
    """Returns True if the workload's template has this digest."""
    labels = observed["spec"]["template"]["metadata"].get("labels") or {}
    return bool(labels.get(names.TEMPLATE_LABEL) == digest)


def is_edit(manifest: Manifest, observed: Manifest, path: str) -> bool:
    """Returns True if a difference is another manager's edit.

    It is no edit if our annotation shows a new template, or if the field is one of `BESIDE_THE_TEMPLATE`.
    """
    noted: str | None = (observed["metadata"].get("annotations") or {}).get(names.APPLIED_TEMPLATE_ANNOTATION)
    desired: str = manifest["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION]
    return (noted == desired or not managed_fields.is_ours_at(observed, NOTE)) and not path.endswith(BESIDE_THE_TEMPLATE)


def _manifest(app: App, desired: WorkloadInputs, note: Mapping[str, Any], replicas: int | None = None) -> Manifest:
    name, label = app.meta.name, desired.label
    selector = names.finishing_selector(name, label) if desired.finishes else pod_selector(name, label)
    spec: dict[str, Any] = {
        "revisionHistoryLimit": KEPT_REVISIONS,
        "progressDeadlineSeconds": app.spec.rollout.progress_deadline_seconds,
        "selector": {"matchLabels": selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": note["template"],
    }
    if replicas is not None:
        spec["replicas"] = replicas
    beside = {
        names.KEYS_ANNOTATION: desired.key_note,
        names.SERVED_ANNOTATION: desired.served_note,
        names.ROOM_ANNOTATION: desired.room_note,
        names.TEMPLATE_ROW_ANNOTATION: desired.row_note,
    }
    return child(
        app,
        WORKLOAD,
        names.finishing(name, label) if desired.finishes else names.workload(name, label),
        annotations={names.APPLIED_TEMPLATE_ANNOTATION: _noted(note)} | {name: value for name, value in beside.items() if value},
        labels={names.PINS_LABEL: label} if label else {},
        spec=spec,
    )


def _noted(note: Mapping[str, Any]) -> str:
    return json.dumps(note, sort_keys=True)


def _note_of_pins(app: App, desired: WorkloadInputs, pins: Pins) -> dict[str, Any]:
    """Returns the note on the template of these pins. The applied template is kept if its inputs are the same."""
    digest = template_digest(app, pins, desired.observed)
    applied = _applied_template(desired.observed, digest) if not desired.renewed else None
    template = applied or pod_template(
        app, pins, digest, desired.label, desired.recorder, desired.journal, callbacks=desired.callbacks, finishes=desired.finishes
    )
    # A template without a recorder does not contain the recording policy.
    runs = _environment(app, ()).get("runs") if recorder_of(template) is None else None
    beside = {"of": pins.as_json() if desired.label else None, "runs": runs}
    return {
        "inputs": digest,
        "pins": pins.digest,
        "template": template,
        **{name: value for name, value in beside.items() if value is not None},
    }


def _last_applied_unedited(observed: Manifest) -> dict[str, Any] | None:
    """Returns the note on the applied template; None if another manager edited it."""
    note = last_applied(observed)
    template = _applied_template(observed, str(note.get("inputs")))
    return {**note, "template": template} if template is not None else None


def _applied_template(observed: Mapping[str, Any] | None, digest: str) -> dict[str, Any] | None:
    """Returns the applied template if it has this digest, else None."""
    note = last_applied(observed or {})
    try:
        labelled = note["template"]["metadata"]["labels"][names.TEMPLATE_LABEL] if note else None
    except (KeyError, TypeError):
        return None  # edited by another manager: the template is written again
    return note["template"] if note and note.get("inputs") == digest == labelled else None

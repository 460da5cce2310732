"""The workload: the apps/v1 Deployment that runs an App, or, under strategy Switch, one set of its pins.

Its pod template depends on nothing but what changes behaviour: flow, runtime, compute, variables and access. While those
stay the same the template that was applied stays, whatever this version of the operator would write: an upgrade of the
operator restarts no pod.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.desired.applied import apps_as_applied
from dynamiq_operator.desired.base import WORKLOAD, child
from dynamiq_operator.desired.inputs import Inputs, TemplateChoice, WorkloadInputs
from dynamiq_operator.desired.pins import Pins, digest_of, pod_selector
from dynamiq_operator.desired.pod_template import pod_template, recorder_of
from dynamiq_operator.model import names
from dynamiq_operator.model.app import Variable
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.objects import App, Manifest

_NOTE = ("f:metadata", "f:annotations", f"f:{names.APPLIED_TEMPLATE_ANNOTATION}")
_ROW_NOTE = ("f:metadata", "f:annotations", f"f:{names.TEMPLATE_ROW_ANNOTATION}")
KEPT_REVISIONS = 3
MOST_BYTES = 6
"""Of a character, as JSON may write it."""
NOTE_MAX = 250 * 1024
"""Bytes of the note: of all annotations of an object the API server takes 256 KiB."""
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
    """Decides whether pods restart: the digest of all that the pod template depends on, as 16 hex characters. It is also a label of the pods.

    They restart for a new digest, and for a template that another manager edited and the operator repairs. The order of variables means
    nothing. It did to an operator of before: where `observed` notes that one's digest of the same inputs, that is the digest still.
    """
    note = _last_applied(observed or {})
    as_noted = _digest_of(app, pins, _variables_as_noted(app, note)) if note else ""
    return as_noted if as_noted == note.get("inputs") else template_digests(app, pins)[0]


def environment_digest(app: App) -> str:
    """Of what changes how an App's pods behave and is no part of a row: its variables, its access, and what is recorded of its runs."""
    return canonical(_environment(app, sorted(app.spec.variables, key=_name)))


def template_digests(app: App, pins: Pins) -> tuple[str, str]:
    """The digest, and what an operator of before made of the variables in the order in which the App has them."""
    own = app.spec.variables
    return _digest_of(app, pins, sorted(own, key=_name)), _digest_of(app, pins, own)


def _digest_of(app: App, pins: Pins, variables: Iterable[Variable]) -> str:
    return digest_of(pins.inputs | _environment(app, variables))


def _environment(app: App, variables: Iterable[Variable]) -> dict[str, Any]:
    own: dict[str, Any] = {"variables": [variable.as_json() for variable in variables], "private": app.spec.is_private}
    if app.spec.runs is not None and not app.spec.runs.is_default:
        own["runs"] = app.spec.runs.as_json()
    return own


def _variables_as_noted(app: App, note: Mapping[str, Any]) -> list[Variable]:
    """In the order of the template that was applied."""
    try:
        (container,) = note["template"]["spec"]["containers"]
        place = {each["name"]: number for number, each in enumerate(container["env"])}
    except (KeyError, TypeError, ValueError):
        return []
    return sorted(app.spec.variables, key=lambda variable: place.get(variable.name, len(place)))


def _name(variable: Variable) -> str:
    return variable.name


def workload(inputs: Inputs) -> list[Manifest]:
    """None for an App that runs nothing."""
    made = (workload_manifest(inputs.app, wanted) for wanted in inputs.workloads)
    return [manifest for manifest in made if manifest is not None]


def workload_manifest(app: App, wanted: WorkloadInputs) -> Manifest | None:
    """None where it is not to be made now. The template that was applied is kept where its inputs are the same.

    `replicas` is for its creation alone: from then on the autoscaler owns it.
    """
    pins, observed, app = wanted.pins, wanted.observed, wanted.app or app
    if pins is None or wanted.choice is TemplateChoice.OBSERVED:
        return observed
    if observed is None:
        return _manifest(app, wanted, _note_of_pins(app, wanted, pins), wanted.replicas)
    note = _last_applied_unedited(observed) if wanted.choice is TemplateChoice.APPLIED else _note_of_pins(app, wanted, pins)
    return _manifest(app, wanted, note) if note is not None else observed


def is_too_large(app: App, pins: Pins, recorder: str | None = None) -> bool:
    """Whether the workload cannot note its template, for the variables in it."""
    if sum(len(variable.value or "") for variable in app.spec.variables) * MOST_BYTES < NOTE_MAX // 2:
        return False  # most Apps, at no cost
    return len(_noted(_note_of_pins(app, WorkloadInputs("", pins, recorder=recorder), pins))) > NOTE_MAX


def has_pins(observed: Manifest, pins: Pins) -> bool:
    """Whether the template that was applied is of a row with these pins."""
    return bool(_last_applied(observed).get("pins") == pins.digest)


def noted_pins(observed: Manifest) -> Pins | None:
    """The pins that a workload of strategy Switch notes: the row that they are of may not be watched any more."""
    return Pins.read(_last_applied(observed).get("of"))


def applied_digest(observed: Mapping[str, Any]) -> str | None:
    """The digest of the template that was applied last, whatever the App wants by now; None where it is not known."""
    found = _last_applied(observed).get("inputs")
    return found if isinstance(found, str) else None


def as_applied(app: App, observed: Mapping[str, Any], *of: Pins) -> App | None:
    """Returns the App with the environment of the template that was applied last; None where that is not known.

    `of`: pins that the template may be of. With them its digest tells what its variables do not.
    """
    note = _last_applied(observed)
    found = apps_as_applied(app, note.get("template"), note.get("runs"))
    exact = (each for each in found for pins in of if note.get("inputs") in template_digests(each, pins))
    return next(exact, next(iter(found), None))


def applied_with(app: App, observed: Mapping[str, Any], environment: str) -> App | None:
    """Returns the App with the environment of this digest; None where the workload's template has another.

    The digest vouches for it, so the template counts as well where another manager wrote the note.
    """
    note = _last_applied(observed)
    templates = (note.get("template"), observed["spec"]["template"])
    found = (each for template in templates for each in apps_as_applied(app, template, note.get("runs")))
    return next((each for each in found if environment_digest(each) == environment), None)


def template_row(observed: Mapping[str, Any]) -> int | None:
    """The sequence of the row that the template came with, where the workload notes one, and no other manager wrote that."""
    noted = (observed["metadata"].get("annotations") or {}).get(names.TEMPLATE_ROW_ANNOTATION, "")
    is_one = noted.isdecimal() and len(noted) <= 16 and managed_fields.is_ours_at(observed, _ROW_NOTE)
    return int(noted) if is_one else None


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


def _manifest(app: App, wanted: WorkloadInputs, note: Mapping[str, Any], replicas: int | None = None) -> Manifest:
    spec: dict[str, Any] = {
        "revisionHistoryLimit": KEPT_REVISIONS,
        "progressDeadlineSeconds": app.spec.rollout.progress_deadline_seconds,
        "selector": {"matchLabels": pod_selector(app.meta.name, wanted.label)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": note["template"],
    }
    if replicas is not None:
        spec["replicas"] = replicas
    beside = {
        names.KEYS_ANNOTATION: wanted.key_note,
        names.SERVED_ANNOTATION: wanted.served_note,
        names.ROOM_ANNOTATION: wanted.room_note,
        names.TEMPLATE_ROW_ANNOTATION: wanted.row_note,
    }
    return child(
        app,
        WORKLOAD,
        names.workload(app.meta.name, wanted.label),
        annotations={names.APPLIED_TEMPLATE_ANNOTATION: _noted(note)} | {name: value for name, value in beside.items() if value},
        labels={names.PINS_LABEL: wanted.label} if wanted.label else {},
        spec=spec,
    )


def _noted(note: Mapping[str, Any]) -> str:
    return json.dumps(note, sort_keys=True)


def _note_of_pins(app: App, wanted: WorkloadInputs, pins: Pins) -> dict[str, Any]:
    """What the annotation says of the template of these pins: of the one that was applied, where its inputs are the same."""
    digest = template_digest(app, pins, wanted.observed)
    applied = _applied_template(wanted.observed, digest) if not wanted.renewed else None
    template = applied or pod_template(app, pins, digest, wanted.label, wanted.recorder)
    # A template without a recorder does not tell what its pods would record.
    runs = _environment(app, ()).get("runs") if recorder_of(template) is None else None
    beside = {"of": pins.as_json() if wanted.label else None, "runs": runs}
    return {
        "inputs": digest,
        "pins": pins.digest,
        "template": template,
        **{name: value for name, value in beside.items() if value is not None},
    }


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
    except (ValueError, RecursionError):  # written in our name by a caller, it may be anything
        return {}
    return note if isinstance(note, dict) else {}

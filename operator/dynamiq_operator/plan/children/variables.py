"""Finds missing keys that the App's variables name: no template is rolled out whose pods could not start without them.

Keys are read only while a new template is to be rolled out: an App at rest causes no reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dynamiq_operator.desired import workload
from dynamiq_operator.desired.base import CONFIG_MAP, SECRET, ChildKey
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model.app import KeyOf, Variable
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.workloads.wanted import wanted_workloads

MISSING, LARGE = "VariableMissing", "VariablesTooLarge"
TOO_LARGE = (
    f"the values of spec.variables are together larger than a workload can carry, {workload.NOTE_MAX // 1024} KiB as JSON: "
    "take long ones from keys of a Secret or a ConfigMap"
)


@dataclass(frozen=True)
class Reference:
    """A variable whose value is `key` of the Secret or ConfigMap `of`."""

    variable: str
    of: ChildKey
    key: str


def references(app: App) -> tuple[Reference, ...]:
    """Returns every key that the App's variables name."""
    return tuple(
        Reference(variable.name, (kind, source.name), source.key) for variable in app.spec.variables for kind, source in _named(variable)
    )


def missing_keys(app: App, named: Mapping[ChildKey, frozenset[str] | None]) -> Iterator[str]:
    """Yields a sentence for each missing key that the App's variables name.

    `named`: the keys of each Secret and ConfigMap; None for an object that does not exist. Objects without an entry could not be read:
    their keys are not reported.
    """
    for reference in references(app):
        kind, name = reference.of
        keys = named.get(reference.of, frozenset({reference.key}))
        if keys is None or reference.key not in keys:
            why = "does not exist" if keys is None else "has no such key"
            yield f"variable {reference.variable} takes key {reference.key} of {kind} {name}, which {why}"


def references_to_read(snapshot: Snapshot, app: App) -> frozenset[ChildKey]:
    """Returns the Secrets and ConfigMaps whose keys this plan needs; none if all wanted templates already run."""
    if not references(app):
        return frozenset()
    context = Context.of(snapshot, app)
    arriving = any(row.outcome is None and row.pinned is None for row in context.history.rows)
    new = (each for each in wanted_workloads(context) if each.pins is not None and _is_new(context, each.pins, each.observed))
    # While the App's variables wait for a row, pods are made with those applied before.
    apps = [context.app_for(each.pins, each.observed) or app for each in new if each.pins is not None]
    return frozenset(reference.of for each in [*apps, *([app] if arriving else [])] for reference in references(each))


def missing_variables(context: Context) -> str:
    """Returns what new pods of the target would lack, as one sentence; empty if nothing, or if no new pod is to be made."""
    return lacking(context, context.target_pins, context.workload) if context.target_pins is not None else ""


def lacking(context: Context, pins: Pins, observed: Manifest | None) -> str:
    """Returns what new pods of any workload of the App would lack, in the same way."""
    app = context.app_for(pins, observed) or context.app
    if workload.is_too_large(app, pins, context.snapshot.settings) and _is_new(context, pins, observed):
        return TOO_LARGE
    lacks = "; ".join(missing_keys(app, context.snapshot.secrets.named)) if context.snapshot.secrets.named else ""
    return lacks if lacks and _is_new(context, pins, observed) else ""


def has_flow(context: Context, pins: Pins) -> bool:
    """Returns True if the flow can be mounted; for the target also if its ConfigMap can be made."""
    is_target = context.pinned is not None and pins.flow == context.pinned.workflow_hash
    return context.has_flow if is_target else pins.flow in context.snapshot.children.flows


def reason_of(lacks: str) -> str:
    """Returns the reason for a sentence of `missing_variables`."""
    return LARGE if lacks == TOO_LARGE else MISSING


def _is_new(context: Context, pins: Pins, observed: Manifest | None) -> bool:
    """Returns True if the workload does not yet make the pods of these pins."""
    return observed is None or not workload.runs(observed, context.digest_of(pins, observed))


def _named(variable: Variable) -> Iterator[tuple[str, KeyOf]]:
    if variable.secret is not None:
        yield SECRET.kind, variable.secret
    if variable.config_map is not None:
        yield CONFIG_MAP.kind, variable.config_map

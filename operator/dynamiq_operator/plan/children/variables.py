"""Whether what the App's variables name is there: no template is rolled whose pods could not start for want of it.

What is looked at is asked for only while a template that does not run yet is to be rolled: an App at rest costs no read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import CONFIG_MAP, SECRET
from dynamiq_operator.model.app import KeyOf, Variable
from dynamiq_operator.model.objects import App, Record
from dynamiq_operator.plan.history.lifecycle import History
from dynamiq_operator.plan.snapshot import ChildKey, Snapshot

MISSING = "VariableMissing"


@dataclass(frozen=True)
class Reference:
    """A variable that takes its value from `key` of the Secret or ConfigMap `of`."""

    variable: str
    of: ChildKey
    key: str


def references(app: App) -> tuple[Reference, ...]:
    """What the App's variables name."""
    return tuple(Reference(variable.name, (kind, one.name), one.key) for variable in app.spec.variables for kind, one in _named(variable))


def looked_for(snapshot: Snapshot, app: App) -> frozenset[ChildKey]:
    """The Secrets and ConfigMaps to look at: none where all that is to run runs already."""
    named = frozenset(reference.of for reference in references(app))
    if not named:
        return named
    history = History.of(snapshot.records)
    arriving = any(row.outcome is None and row.pinned is None for row in history.rows)
    return named if arriving or (history.target is not None and _is_new(snapshot, app, history.target)) else frozenset()


def missing(snapshot: Snapshot, app: App, row: Record | None) -> str:
    """What the new pods of `row` would lack, as one sentence; empty where they lack nothing, or where there are to be none."""
    lacks = "; ".join(_lacks(snapshot, app)) if row is not None and snapshot.named else ""
    return lacks if lacks and row is not None and _is_new(snapshot, app, row) else ""


def _is_new(snapshot: Snapshot, app: App, row: Record) -> bool:
    """Whether the pods that the row wants are not yet those that its workload makes."""
    observed = snapshot.workload_of(row)
    return row.pinned is not None and (observed is None or not workloads.runs(observed, workloads.inputs(app, row.pinned)))


def _lacks(snapshot: Snapshot, app: App) -> Iterator[str]:
    for reference in references(app):
        kind, name = reference.of
        keys = snapshot.named.get(reference.of, frozenset({reference.key}))  # what could not be looked at is not said to be missing
        if keys is None:
            yield f"variable {reference.variable} takes key {reference.key} of {kind} {name}, which does not exist"
        elif reference.key not in keys:
            yield f"variable {reference.variable} takes key {reference.key} of {kind} {name}, which has no such key"


def _named(variable: Variable) -> Iterator[tuple[str, KeyOf]]:
    if variable.secret is not None:
        yield SECRET.kind, variable.secret
    if variable.config_map is not None:
        yield CONFIG_MAP.kind, variable.config_map

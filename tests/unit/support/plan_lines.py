"""Formats a plan as lines for a table of tests: one for each action, in order."""

from __future__ import annotations

from dynamiq_operator.model import names
from dynamiq_operator.model.names import TRIGGER_LABEL
from dynamiq_operator.model.objects import Row
from dynamiq_operator.plan import operations


def shown(plan: operations.Plan) -> list[str]:
    """Returns the actions of the plan, without Events."""
    return [_line(action) for action in plan.operations if not isinstance(action, operations.Emit)]


def told(plan: operations.Plan) -> list[str]:
    """Returns the Events of the plan as `about reason`, each once, since a row's Events are repeated for its App."""
    events = [action for action in plan.operations if isinstance(action, operations.Emit)]
    return list(dict.fromkeys(f"{_about(each)} {each.reason}" for each in events))


def _about(said: operations.Emit) -> str:
    return said.about.name if isinstance(said.about, Row) else "app"


def _line(action: operations.Operation) -> str:
    match action:
        case operations.SetAppStatus(status=status):
            ready = next(condition for condition in status.conditions if condition.type == "Ready")
            return f"app: Ready={ready.status} {ready.reason}, last #{status.last_sequence or 0}"
        case operations.SetAppConditions(conditions=conditions):
            return f"app: {conditions[-1]['type']}={conditions[-1]['status']} {conditions[-1]['reason']}"
        case operations.CompleteRow(row=row, sequence=sequence, pinned=pinned):
            number = f" #{sequence}" if sequence else ""
            return f"{row.name}:{number}" + (f" pinned {pinned.workflow_version}" if pinned else "")
        case operations.EndRow(row=row, outcome=outcome):
            return f"{row.name}: {outcome.result.value}"
        case operations.SetRowStatus(row=row, status=row_status):
            return f"{row.name} reads {row_status.phase.value if row_status.phase else '-'}"
        case operations.CreateChild(manifest=manifest):
            return f"create {manifest['kind']}"
        case operations.ApplyChild(manifest=manifest, changed_field=found):
            return f"apply {manifest['kind']} for {found}"
        case operations.DeleteChild(observed=observed):
            return f"delete {observed['kind']}"
        case operations.RunOnce(manifest=manifest):
            return f"run {manifest['metadata']['labels'][TRIGGER_LABEL]}"
        case operations.CreateFlow(version=version):
            return f"create flow of {version}"
        case operations.CreateAccessKeys():
            return "create access keys"
        case operations.CreateCallbackKey():
            return "create callback key"
        case operations.AnnotatePod(pod=pod, annotation=names.STANDBY_ANNOTATION, value=value):
            return f"tell {pod} that it {'was left' if value else 'serves'}"
        case operations.AnnotatePod(pod=pod):
            return f"tell {pod} of keys"
        case operations.ScaleWorkload(replicas=replicas):
            return f"scale to {replicas}"
        case _:
            return type(action).__name__

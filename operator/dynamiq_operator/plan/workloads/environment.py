"""Finds which changed parts of the App's environment wait for a row, and which access callers have meanwhile.

`Context.app_for` decides which environment new pods get.
"""

from __future__ import annotations

from collections.abc import Iterator

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.applied import has_same_access, with_access_of
from dynamiq_operator.desired.pod_template import checks_keys
from dynamiq_operator.desired.template_note import applied_digest
from dynamiq_operator.model.objects import App, Row
from dynamiq_operator.model.text import plugin_command
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import approved_environment, noted_environment

NOT_APPROVED = "NotApproved"
"""Reason of VariablesHeld if the target has no environment with which its pods may be made."""
_MOST_NAMES = 10
_BY_THEMSELVES = (
    "They take effect without a deploy once the App is not suspended, no freeze is on, and its policies are readable and need no approval"
)


def needs_keys(context: Context) -> bool:
    """Returns True if pods check Access Keys, or will."""
    # Pods that were made before a change of `access` still check keys while that change waits.
    pods_check = context.holds_variables and any(checks_keys(each["spec"]["template"]) for each in context.workloads.by_label.values())
    return context.app.spec.is_private or pods_check


def app_as_served(context: Context) -> App:
    """Returns the App with the access that callers have: while a change waits, that of the serving pods."""
    if not context.holds_variables or (serving := context.serving_workload) is None:
        return context.app
    return with_access_of(context.app, serving)


def why_held(context: Context) -> tuple[str, str] | None:
    """Returns the reason and message if the App's environment differs from its pods' and waits for a row; else None."""
    target, pins, observed = context.history.target, context.target_pins, context.workload
    if not context.holds_variables or target is None or pins is None:
        return None
    if observed is not None and context.keeps_environment(pins, observed):
        if workloads.template_digest(context.app, pins, observed) == applied_digest(observed):
            return None
        return "AwaitsRow", _awaits_row(context, workloads.as_applied(context.app, observed, pins))
    app = context.app_for(pins, observed)
    if app is None:
        return NOT_APPROVED, _not_approved(context, target)
    is_own = workloads.environment_digest(app) == workloads.environment_digest(context.app)
    return None if is_own else ("AwaitsRow", _awaits_row(context, app))


def not_approved(context: Context) -> str | None:
    """Returns why no pod of the target may be made; None if one may, or exists."""
    held = why_held(context)
    return held[1] if held is not None and held[0] == NOT_APPROVED else None


def _awaits_row(context: Context, applied: App | None) -> str:
    how = f"To apply them: {_deploy(context.app)}" if context.snapshot.guards.asks_approvals else _BY_THEMSELVES
    return f"Not in force yet: {_changed(context.app, applied)}. {how}. Else set them back"


def _not_approved(context: Context, target: Row) -> str:
    # Without a workload whose environment is known, nothing shows which parts were changed.
    known = (workloads.as_applied(context.app, each) for each in context.workloads_with(context.workload))
    changed = _changed(context.app, next((each for each in known if each is not None), None))
    if noted_environment(target) is None:
        return f"No pod is made: nothing tells what its pods had of {changed}. To go on: {_deploy(context.app)}"
    title = f"{target.pinned.workflow_version if target.pinned else ''} (#{target.sequence}, {target.name})"
    differs = "did not run with" if approved_environment(target) is None else "was not approved with"
    return f"No new pod is made: {title} {differs} these: {changed}. Set them back, or {_deploy(context.app)}"


def _deploy(app: App) -> str:
    return plugin_command(f"deploy {app.meta.name}", app.meta.namespace)


def _changed(app: App, applied: App | None) -> str:
    """Returns the parts of the environment that differ, variables by name; all parts if nothing is known of the applied one."""
    if applied is None:
        return "variables, access and runs"
    own, theirs = ({variable.name: variable for variable in each.spec.variables} for each in (app, applied))
    names = sorted(name for name in own.keys() | theirs.keys() if own.get(name) != theirs.get(name))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(_parts(app, applied, f"{', '.join(names[:_MOST_NAMES])}{more}")) or "variables, access or runs"


def _parts(app: App, applied: App, names: str) -> Iterator[str]:
    if names:
        yield f"variables ({names})"
    if not has_same_access(app, applied):
        yield "access"
    if workloads.environment_digest(_with(app, applied)) != workloads.environment_digest(applied):
        yield "runs"


def _with(app: App, applied: App) -> App:
    """Returns `applied` with the recording of `app`."""
    return App(app.meta, applied.spec.model_copy(update={"runs": app.spec.runs}), app.status)

"""`policy check`: prints what would block a deploy of an App now, in the operator's sentences, and which rows wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dynamiq_operator.cli import parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.model.manifests import RowKind
from dynamiq_operator.views.columns import as_data
from dynamiq_operator.views.history import HistoryRow, title

if TYPE_CHECKING:
    from dynamiq_operator.actions.guards import AppGuards
    from dynamiq_operator.model.guards import StandingGuard
    from dynamiq_operator.views.preview import Preview

WOULD_WAIT = 3
NOTHING = "it would not wait"
KINDS = tuple(each.value for each in RowKind)


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "It covers a deploy by hand, a promotion to this App, a rollback and changes from Git, and lists the rows that already wait."
        " You need the right to read the App, and none on policies.",
        ("check support", "check support --for Rollback", "check support -o json"),
        "exit codes: 0 it would not wait, 1 it failed or was refused, 2 wrong usage, 3 it would wait, 130 interrupted",
    )
    command.add_argument("action", choices=("check",), metavar="ACTION", help="check")
    parsing.app(command)
    command.add_argument(
        "--for",
        dest="kind",
        choices=KINDS,
        default=KINDS[0],
        metavar="KIND",
        help=f"the kind of deploy that sets the exit code: {', '.join(KINDS)} (default: {KINDS[0]})",
    )
    command.add_argument(
        "--version",
        type=parsing.version,
        metavar="VERSION",
        help="version of a policy that asks only where callers may break, such as v4 (default: the newest release)",
    )
    parsing.output(command)


def run(context: CommandContext) -> int:
    from dynamiq_operator.actions.guards import read_guards

    options = context.options
    evaluation = read_guards(context.api, context.namespace, options.app)
    preview = _preview(context, evaluation)
    guards = {kind: evaluation.of(kind) for kind in RowKind}
    if preview is not None:
        guards[RowKind.DEPLOY] = list(preview.guards)
    if not context.print_data(_data(context.namespace, evaluation, preview)):
        context.out.lines([context.out.paint("bold", f"{safe(options.app)} in {safe(context.namespace)}")])
        context.out.lines(safe(line) for line in _lines(evaluation, guards, preview))
    return WOULD_WAIT if guards[RowKind(options.kind)] else 0


def _preview(context: CommandContext, evaluation: AppGuards) -> Preview | None:
    """Returns the preview of the version, if a policy asks for approvals only where callers may break; None if it cannot be made."""
    from dynamiq_operator.actions.deploy import DeployRequest, plan_deploy
    from dynamiq_operator.actions.refusals import Refusal
    from dynamiq_operator.cli.callers import with_callers
    from dynamiq_operator.model.guards import ApprovalWhen

    if all(each.when is not ApprovalWhen.BREAKING for each in evaluation.of(RowKind.DEPLOY)):
        return None
    request = DeployRequest(context.namespace, context.options.app, version=context.options.version)
    try:
        return with_callers(context, plan_deploy(context.api, request)).preview
    except Refusal:
        if context.options.version is not None:
            raise
        return None  # nothing is released, or the newest version is rejected: the guards are shown without it


def _data(namespace: str, evaluation: AppGuards, preview: Preview | None) -> dict[str, Any]:
    app = evaluation.app
    return {
        "app": app.meta.name,
        "namespace": namespace,
        "suspended": bool(app.spec.suspend),
        "holds": evaluation.holds.as_json() if evaluation.holds is not None else None,
        "guards": [each.as_json() for each in app.status.guards],
        "waiting": [as_data(HistoryRow.of(row)) for row in evaluation.waiting],
        "version": preview.then.version if preview is not None else None,
        "callers": preview.as_json()["callers"] if preview is not None else None,
        "waits": [each.as_json() for each in preview.guards] if preview is not None else None,
    }


def _lines(evaluation: AppGuards, guards: Mapping[RowKind, Sequence[StandingGuard]], preview: Preview | None) -> Iterator[str]:
    for kind in RowKind:
        first, *more = [each.message for each in guards[kind]] or [NOTHING]
        if kind is RowKind.DEPLOY and preview is not None and preview.judgement is not None:
            more += preview.judgement.lines(preview.then.version)
        yield f"  {kind.value:<11} {first}"
        yield from (f"  {'':<11} {each}" for each in more)
    for row in map(HistoryRow.of, evaluation.waiting):
        yield f"  {'waiting':<11} {title(row)}: {row.waits or 'the operator has not evaluated it yet'}"

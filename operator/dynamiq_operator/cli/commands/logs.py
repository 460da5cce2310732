"""`logs`: what the pods of an App log."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dynamiq_operator.actions import history as reading
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli.connection import kubectl
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import template_digests
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.resources import PODS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Record

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext

MOST_PODS = 50
"""Without a limit, kubectl follows at most five pods at a time."""


def run(context: CommandContext) -> int:
    """Becomes `kubectl logs`, with the selector of the pods of one row."""
    options = context.options
    app = reading.find_app(context.api, context.namespace, options.app)
    row = _row(context, app)
    selector = f"{names.APP_LABEL}={options.app},{names.TEMPLATE_LABEL}{_templates(app, row)}"
    if not requests.items(context.api, PODS, context.namespace, label=selector):
        raise Refusal(
            f"no pod of {options.app} {_title(row)} runs in namespace {context.namespace}: see {context.hint(f'status {options.app}')}"
        )
    command = [kubectl(), "logs", *context.given.kubectl, f"--namespace={context.namespace}", f"--selector={selector}", "--prefix"]
    command += [f"--max-log-requests={MOST_PODS}"]
    command += ["--follow"] if options.follow else []
    command += [f"--since={options.since}"] if options.since else []
    command += [f"--tail={options.tail}"] if options.tail else []
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - what it is given goes to kubectl as it is, and to no shell


def _row(context: CommandContext, app: App) -> Record:
    """The row of --row, else the live one, else the candidate. Raises Refusal."""
    if context.options.row is not None:
        row = reading.typed(Record, reading.find_row(context.api, context.namespace, app.meta.name, context.options.row))
        if row.pinned is None:
            raise Refusal(f"row {row.name} was never rolled out, so it had no pods")
        return row
    rows = reading.open_rows(context.api, context.namespace, app.meta.name, app.meta.uid)
    if (found := rows.live or rows.candidate) is None or found.pinned is None:
        raise Refusal(
            f"nothing of {app.meta.name} is live in namespace {context.namespace}: see {context.hint(f'history {app.meta.name}')}"
        )
    return found


def _templates(app: App, row: Record) -> str:
    assert row.pinned is not None  # noqa: S101 - for the type checker: `_row` refuses others
    digest, of_before = template_digests(app, Pins.of(row.pinned))
    return f"={digest}" if digest == of_before else f" in ({digest},{of_before})"


def _title(row: Record) -> str:
    version = row.pinned.workflow_version if row.pinned is not None else ""
    return f"{version} (#{row.sequence}, {row.name})"

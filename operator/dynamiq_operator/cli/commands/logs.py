"""`logs`: prints the logs of an App's pods."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import parsing
from dynamiq_operator.cli.connection import kubectl
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.kube import api as requests
from dynamiq_operator.model import names
from dynamiq_operator.model.manifests import Manifest

if TYPE_CHECKING:
    from dynamiq_operator.model.objects import App

MOST_PODS = 50
"""Pods that kubectl may follow at a time. Its own default is five."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "They come from the pods of the live row, or of another row whose pods still run.",
        ("support -f", "support --since 10m", "support --row 12 --tail 50"),
    )
    parsing.app(command)
    command.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    command.add_argument("--since", metavar="TIME", help="only what is newer than this, such as 10m")
    command.add_argument("--tail", metavar="LINES", help="only the last lines of each pod (default: 10; -1: all)")
    command.add_argument("--row", metavar="ROW", help="pods of this row, by its sequence or name (default: the live one)")


def run(context: CommandContext) -> int:
    """Replaces this process by `kubectl logs`, with the selector of the pods of one row."""
    options = context.options
    app = context.find_app()
    pods = _pods(context, _row(context, app))
    templates = sorted({pod["metadata"]["labels"][names.TEMPLATE_LABEL] for pod in pods})
    # A selector has one label: of an earlier version only pods that finish background runs may be left.
    label = names.APP_LABEL if any(names.APP_LABEL in pod["metadata"]["labels"] for pod in pods) else names.FINISHING_OF_LABEL
    selector = f"{label}={options.app},{names.TEMPLATE_LABEL} in ({','.join(templates)})"
    command = [kubectl(), "logs", *context.command_line.kubectl, f"--namespace={context.namespace}", f"--selector={selector}", "--prefix"]
    command += [f"--max-log-requests={MOST_PODS}"]
    command += ["--follow"] if options.follow else []
    command += [f"--since={options.since}"] if options.since else []
    command += [f"--tail={options.tail}"] if options.tail else []
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - what it is given goes to kubectl as it is, and to no shell


def _row(context: CommandContext, app: App) -> Manifest:
    """Returns the row of --row, else the live one, else the candidate. Raises Refusal."""
    from dynamiq_operator.actions import reads, running
    from dynamiq_operator.model.objects import Row
    from dynamiq_operator.plan.history.lifecycle import RowHistory

    if context.options.row is not None:
        row = context.find_row(context.options.row)
        if "pinned" not in row["spec"]:
            raise Refusal(f"row {row['metadata']['name']} was never rolled out, so it had no pods")
        return row
    undecided = running.undecided(context.api, context.namespace, app.meta.name, app.meta.uid)
    rows = RowHistory.of(reads.typed(Row, raw) for raw in undecided)
    if (chosen := rows.live or rows.candidate) is None or chosen.pinned is None:
        raise Refusal(
            f"nothing of {app.meta.name} is live in namespace {context.namespace}: see {context.hint(f'history {app.meta.name}')}"
        )
    return next(raw for raw in undecided if raw["metadata"]["name"] == chosen.name)


def _pods(context: CommandContext, row: Manifest) -> list[Manifest]:
    """Returns the row's pods. Raises Refusal if none runs."""
    from dynamiq_operator.actions.pods import pods_of_row
    from dynamiq_operator.kube.resources import APPS

    app = context.options.app
    # Read from the pods: while variables are held, the App's spec would give other digests.
    pods = pods_of_row(context.api, requests.read_object(context.api, APPS, context.namespace, app), row)
    if not pods:
        raise Refusal(f"no pod of {app} {_title(row)} runs in namespace {context.namespace}: see {context.hint(f'status {app}')}")
    return pods


def _title(row: Manifest) -> str:
    spec = row["spec"]
    return f"{spec['pinned']['workflowVersion']} (#{spec['sequence']}, {row['metadata']['name']})"

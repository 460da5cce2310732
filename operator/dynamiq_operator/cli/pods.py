"""`logs` and `open`: what the App's pods say, and where it is called."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dynamiq_operator.actions import history as reading
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli.connection import kubectl
from dynamiq_operator.cli.output import safe
from dynamiq_operator.desired.workload import inputs
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.resources import PODS
from dynamiq_operator.model import names
from dynamiq_operator.model.app import ExposureType
from dynamiq_operator.model.objects import App, Record

if TYPE_CHECKING:
    from dynamiq_operator.cli.program import Session

MOST_PODS = 50
"""kubectl follows five pods at a time where nobody allows more."""


def logs_command(session: Session) -> int:
    """Becomes `kubectl logs`, with the selector of the pods of one row."""
    options = session.options
    app = reading.find_app(session.api, session.namespace, options.app)
    row = _row(session, app)
    selector = f"{names.APP_LABEL}={options.app},{names.TEMPLATE_LABEL}={_template(app, row)}"
    if not requests.items(session.api, PODS, session.namespace, label=selector):
        raise Refusal(
            f"no pod of {options.app} {_title(row)} runs in namespace {session.namespace}: see `kubectl dynamiq status {options.app}`"
        )
    command = [kubectl(), "logs", *session.given.kubectl, f"--namespace={session.namespace}", f"--selector={selector}", "--prefix"]
    command += [f"--max-log-requests={MOST_PODS}"]
    command += ["--follow"] if options.follow else []
    command += [f"--since={options.since}"] if options.since else []
    command += [f"--tail={options.tail}"] if options.tail else []
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - what it is given goes to kubectl as it is, and to no shell


def open_command(session: Session) -> int:
    """Prints the address; where it can be called from here and there is a desktop, opens it."""
    app = reading.find_app(session.api, session.namespace, session.options.app)
    hostname = app.status.hostname
    if not hostname:
        raise Refusal(f"{app.meta.name} has no address yet: see `kubectl dynamiq status {app.meta.name}`")
    exposure = app.spec.exposure
    url = f"{'https' if exposure is not None and exposure.tls is not None else 'http'}://{hostname}"
    session.out.lines([safe(url)])
    if (exposure is not None and exposure.type is ExposureType.CLUSTER_IP) or hostname.endswith(f".{app.meta.namespace}.svc"):
        session.err.lines(
            [
                f"that is inside the cluster; from here: `kubectl port-forward -n {app.meta.namespace} service/{names.service(app.meta.name)} 8080:80`"
            ]
        )
    elif _is_desktop():
        import webbrowser

        webbrowser.open(url)
    return 0


def _row(session: Session, app: App) -> Record:
    """The row whose pods are asked for. Raises Refusal."""
    if session.options.row is not None:
        row = Record.of(reading.find_row(session.api, session.namespace, app.meta.name, session.options.row))
        if row.pinned is None:
            raise Refusal(f"row {row.name} was never rolled out, so it had no pods")
        return row
    rows = reading.open_rows(session.api, session.namespace, app.meta.name)
    if (found := rows.live or rows.candidate) is None or found.pinned is None:
        raise Refusal(f"nothing of {app.meta.name} is live in namespace {session.namespace}: see `kubectl dynamiq history {app.meta.name}`")
    return found


def _template(app: App, row: Record) -> str:
    assert row.pinned is not None  # noqa: S101 - for the type checker: `_row` refuses others
    return inputs(app, row.pinned)


def _title(row: Record) -> str:
    version = row.pinned.workflow_version if row.pinned is not None else ""
    return f"{version} (#{row.sequence}, {row.name})"


def _is_desktop() -> bool:
    if not sys.stdout.isatty():
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

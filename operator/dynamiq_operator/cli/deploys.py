"""`deploy`, `rollback`, `promote` and `release`: preview, ask, act, follow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions.deploy import Deploy, preview
from dynamiq_operator.actions.promote import NeedsHostname, Promotion, plan_promotion, promote
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.actions.release import plan_release, release
from dynamiq_operator.actions.rollback import rollback
from dynamiq_operator.cli import output
from dynamiq_operator.cli.following import followed
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.objects import Manifest

if TYPE_CHECKING:
    from dynamiq_operator.cli.program import Session

NOTHING_DONE = "nothing was done"
QUESTIONS = {"deploy": "Deploy", "rollback": "Roll back", "promote": "Promote", "release": "Release"}


def deploy_command(session: Session) -> int:
    options = session.options
    asked = Deploy(
        session.namespace, options.app, version=options.version, runtime=options.runtime, config=_config(session), message=options.message
    )
    return _deploy(session, asked)


def rollback_command(session: Session) -> int:
    options = session.options
    row = int(number) if options.to_row and (number := options.to_row.removeprefix("#")).isdecimal() else options.to_row
    asked = rollback(
        session.api,
        session.namespace,
        options.app,
        version=options.to,
        row=row,
        with_config=options.with_config,
        runtime=options.runtime,
        message=options.message,
    )
    return _deploy(session, asked)


def promote_command(session: Session) -> int:
    api = session.api
    planned = _planned(session)
    return _act(session, planned.lines(), planned.preview.as_json(), lambda: promote(api, planned), planned.target_namespace)


def _planned(session: Session) -> Promotion:
    """The promotion; a hostname that it lacks is asked for where somebody sits there, else the refusal names the option."""
    options = session.options
    hostname = options.hostname
    while True:
        try:
            return plan_promotion(
                session.api,
                session.namespace,
                options.app,
                environment=options.to,
                target_namespace=options.target_namespace,
                hostname=hostname,
                message=options.message,
            )
        except NeedsHostname as lacking:
            if options.yes or options.preview or not sys.stdin.isatty() or not (hostname := _asked_for(session, lacking)):
                raise Refusal(f"{lacking}: --hostname", lacking.field) from None


def _asked_for(session: Session, lacking: NeedsHostname) -> str:
    session.err.write(f"{output.safe(lacking)}\nHostname: ")
    return sys.stdin.readline().strip()


def release_command(session: Session) -> int:
    options, api = session.options, session.api
    planned = plan_release(api, session.namespace, options.workflow, description=options.description)
    data = {"namespace": planned.namespace, "workflow": planned.workflow, "from": planned.before, "to": planned.version}
    if not _agreed(session, planned.lines(), {**data, "flowDiff": "\n".join(planned.flow_diff), "noOp": planned.is_no_op}):
        return 0 if options.preview else _declined(session)
    if planned.is_no_op:
        session.err.lines([f"the draft of {planned.workflow} is {planned.before} already: {NOTHING_DONE}"])
        return 0
    made = release(api, planned)
    if options.output is not None:
        session.out.lines([output.formatted(made, options.output)])
    else:
        version = made["spec"]["version"]
        session.out.lines([f"{planned.workflow} {version} is released: deploy it by `kubectl dynamiq deploy APP --version {version}`"])
    return 0


def _config(session: Session) -> dict[str, Any] | None:
    """The config that the options ask for; what they leave out keeps what is live."""
    options = session.options
    asked = {"minReplicas": options.min, "maxReplicas": options.max, "targetCPUUtilizationPercentage": options.cpu}
    scaling = {name: value for name, value in asked.items() if value is not None}
    if options.serverless:
        if scaling:
            raise Refusal("a serverless App scales by itself: leave out --min, --max and --cpu, or --serverless")
        return {"type": "serverless"}
    return {"type": "server", "autoscaling": scaling} if scaling else None


def _deploy(session: Session, asked: Deploy) -> int:
    api = session.api
    seen = preview(api, asked)
    return _act(session, seen.lines(), seen.as_json(), lambda: requests.create(api, RECORDS, seen.record), seen.namespace)


def _act(session: Session, lines: Iterable[str], data: dict[str, Any], make: Callable[[], Manifest], namespace: str) -> int:
    """Shows the preview, asks, makes the row, and follows it; returns the exit code."""
    options = session.options
    if not _agreed(session, lines, data):
        return 0 if options.preview else _declined(session)
    name = make()["metadata"]["name"]
    if options.no_wait:
        session.out.lines([name])
        return 0
    return followed(session, namespace, name, options.app)


def _agreed(session: Session, lines: Iterable[str], data: dict[str, Any]) -> bool:
    """Shows the preview, and asks where somebody sits there. Of what is to be read by a program only the end is on standard output."""
    options = session.options
    if options.preview:
        if options.output is not None:
            session.out.lines([output.formatted(data, options.output)])
        else:
            session.out.preview(lines)
        return False
    is_data = options.output is not None or getattr(options, "no_wait", False)
    (session.err if is_data else session.out).preview(lines)
    if options.yes or not sys.stdin.isatty():
        return True
    session.err.write(f"\n{QUESTIONS[options.command]}? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _declined(session: Session) -> int:
    session.err.lines([NOTHING_DONE])
    return 1

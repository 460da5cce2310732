"""Makes a project for pictures of the console: Apps of a support team, their releases, and a history with a failure and a rollback."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from dynamiq_operator.model import kinds
from dynamiq_operator.model import names as model
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.console.support.screens import SIGN_IN, addresses
from tests.support import factories, rest
from tests.support.api import RESTRICTED, Api, Manifest
from tests.support.browser.served import User
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.guards import policy_manifest
from tests.support.history_stage import HistoryStage
from tests.support.operator import OPERATOR_ACCOUNT, Operator, logged_in
from tests.support.recorder_answers import Recorded
from tests.support.recorder_runs import Row
from tests.support.waiting import eventually

SUPPORT, TRIAGE, FAQ = "support", "triage", "faq"
ANNA, BEN = "anna@example.com", "ben@example.com"
IMAGE = f"registry.example.com/dynamiq/runtime@sha256:{hashlib.sha256(b'1.4.0').hexdigest()}"
LARGER = {"requests": {"cpu": "100m", "memory": "256Mi"}}
SCALED = {"autoscaling": {"minReplicas": 2, "maxReplicas": 4, "targetCPUUtilizationPercentage": 70}, "resources": LARGER}
HOURS = timedelta(hours=5)
NIGHTLY = {"name": "nightly", "schedule": "0 3 * * *", "timezone": "Europe/Berlin", "input": '{"question": "What is still open?"}'}


@dataclass(frozen=True)
class Portrait:
    """The project in its two environments, and a user with every right that its screens offer."""

    user: User
    screens: Mapping[str, str]
    """The address of each screen, by the name of its picture."""

    recorded: Recorded
    """Made-up runs of its rows. Each row served for some hours; the newest one's runs are slower than the row before."""


@contextlib.contextmanager
def painted(cluster: Cluster, folder: Path, ending: str = "") -> Iterator[Portrait]:
    """Yields the project with its own operator. `ending`: a suffix of its name, if a cluster may have several."""
    api, home = Api.of(cluster), f"support{ending}"
    production = f"{home}-production"
    with _namespace(api, home, home, "staging"), _namespace(api, production, home, "production"):
        stage = HistoryStage(cluster, api, Kubectl(cluster), home)
        rest.bind(api, home, OPERATOR_ACCOUNT, "edit", OPERATOR_NAMESPACE)  # its lease is here: that of the suite's operator is held
        login = logged_in(cluster, folder, OPERATOR_NAMESPACE)
        with Operator(login, folder, [home, production], home=home):
            runtime = _runtime(stage)
            try:
                _released(stage)
                _apps(stage, ending)
                rows = _history(stage, runtime)
                _key(stage, "mobile-app")
                recorded = _recorded(stage, rows)
                failed = next(run for run in recorded.runs if run.status == "failed")
                with _rule(stage):
                    waiting = _waits(stage)
                    yield Portrait(_somebody(api, home, production), _screens(stage, rows, waiting, failed.id), recorded)
            finally:
                stage.delete(kinds.RUNTIME.kind, runtime)


@contextlib.contextmanager
def _namespace(api: Api, name: str, project: str, environment: str) -> Iterator[None]:
    labels = {**RESTRICTED, model.PROJECT_LABEL: project, model.ENVIRONMENT_LABEL: environment}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    eventually(f"namespace {name}, which another run may have left, can be made", lambda: api.create(manifest).ok)
    try:
        yield
    finally:
        api.delete(manifest)


def _runtime(stage: HistoryStage) -> str:
    spec = factories.with_spec(version="1.4.0", label="Python 3.11", image=IMAGE)
    made = factories.runtime_manifest(spec, name=f"{stage.namespace}-python-1.4")
    return str(stage.create(made)["metadata"]["name"])


def _example(stage: HistoryStage, file: str) -> Manifest:
    made: Manifest = yaml.safe_load((REPOSITORY / "examples" / file).read_text())
    made["metadata"]["namespace"] = stage.namespace
    return made


def _released(stage: HistoryStage) -> None:
    """Releases the workflow of the examples. v3 is its draft and its newest release."""
    draft, second = _example(stage, "workflow.yaml"), _example(stage, "support-v2.yaml")
    flow = second["spec"]["flow"].replace('if "invoice" in words', 'if "invoice" in words or "refund" in words').replace('"v2:', '"v3:')
    draft["spec"]["flow"] = flow
    third = factories.with_spec(version="v3", description="Refunds are a matter of billing, too", flow=flow)
    third(second)
    second["metadata"]["name"] = "support-v3"
    stage.apply(draft, _example(stage, "support-v1.yaml"), _example(stage, "support-v2.yaml"), second, user=ANNA)


def _apps(stage: HistoryStage, ending: str) -> None:
    here = factories.with_spec(workflow=SUPPORT, exposure={"type": "Ingress", "className": "contour"})

    def app(name: str, title: str, description: str, *modifiers: factories.Modifier) -> Manifest:
        modifier = factories.with_spec(displayName=title, description=description, hostname=f"{name}{ending}.example.com")
        return stage.manifest(here, modifier, *modifiers, name=name)

    variables = factories.with_variables(
        {"name": "GREETING", "value": "Hello"}, {"name": "OPENAI_API_KEY", "secret": {"name": "openai", "key": "key"}}
    )
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "openai", "namespace": stage.namespace},
        "stringData": {"key": "x"},
    }
    stage.create(secret)
    stage.apply(
        app(SUPPORT, "Customer support", "Answers customers' questions", variables, factories.with_triggers(NIGHTLY)),
        app(TRIAGE, "Triage", "Sorts what comes in by mail"),
        app(FAQ, "Frequent questions", "What the help desk is asked most", factories.public()),
        user=ANNA,
    )


def _history(stage: HistoryStage, runtime: str) -> list[Manifest]:
    """Makes the rows of the support App, and returns them, oldest first, once the newest is live."""
    server = {"type": "server"}
    _row(stage, FAQ, BEN, workflowVersion="v1", runtime=runtime, config=server, message="First release")
    first = _row(stage, SUPPORT, ANNA, workflowVersion="v1", runtime=runtime, config=server, message="First release")
    _row(stage, TRIAGE, BEN, workflowVersion="v2", runtime=runtime, config=server, message="First release")
    _row(stage, SUPPORT, BEN, workflowVersion="v2", message="Questions go to the right team")
    _row(stage, SUPPORT, BEN, phase="Failed", workflowVersion="v2", config={"idleSeconds": 900}, message="Let it sleep at night")
    _row(stage, SUPPORT, ANNA, restores=first, message="Invoices went to the help desk: back until that is mended")
    _row(stage, SUPPORT, BEN, workflowVersion="v2", message="Invoices go to billing again")
    _row(stage, SUPPORT, ANNA, workflowVersion="v2", config=SCALED, message="More callers are coming on Monday")
    stage.until_settled(SUPPORT)
    return stage.rows(SUPPORT)


def _row(stage: HistoryStage, app: str, author: str, phase: str = "Live", **asked: Any) -> str:
    """Deploys as a user, waits until the row has reached its phase, and returns its name."""
    made = factories.row_manifest("", factories.in_namespace(stage.namespace), factories.with_spec(app=app, **asked))
    made["metadata"] = {"generateName": f"{app}-", "namespace": stage.namespace}
    name = stage.as_user(author, "create", "-f", "-", "-o", "name", input=made).stdout.strip().rpartition("/")[2]
    stage.until(name, phase)
    return name


@contextlib.contextmanager
def _rule(stage: HistoryStage) -> Iterator[None]:
    """Requires an approval for deploys in the namespace while the block runs."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}
    made = policy_manifest(stage.namespace, selector=selector, approvals={"count": 1})
    assert stage.api.create(made).ok
    try:
        eventually("the App knows of it", lambda: stage.get(kinds.APP.kind, TRIAGE).get("status", {}).get("guards"))
        yield
    finally:
        stage.api.delete(made)


def _waits(stage: HistoryStage) -> Manifest:
    """Makes a row of the triage App, and returns it once it waits for its approval."""
    name = _row(stage, TRIAGE, BEN, phase="Pending", workflowVersion="v3", message="Mail about refunds goes to billing")
    return eventually("it waits", lambda: row if (row := stage.get(kinds.ROW.kind, name)).get("status", {}).get("waits") else None)


def _key(stage: HistoryStage, name: str) -> None:
    """Adds an Access Key to the support App."""
    secret = model.access_keys(SUPPORT)
    eventually("the App has keys", lambda: stage.find("Secret", secret))
    stage.change("Secret", secret, data={name: base64.b64encode(b"dynq-of-nobody").decode()})


def _somebody(api: Api, home: str, production: str) -> User:
    token = rest.account(api, home, "anna", "admin")
    rest.bind(api, "", "anna", "dynamiq-runtimes", home)
    for role in ("dynamiq-approver", "dynamiq-answerer"):
        rest.bind(api, home, "anna", role, home)
    for role in ("view", "dynamiq-promoter"):
        rest.bind(api, production, "anna", role, home)
    return User("anna", token)


def _recorded(stage: HistoryStage, rows: list[Manifest]) -> Recorded:
    now = datetime.now(UTC)
    served = [row["spec"] | {"uid": row["metadata"]["uid"]} for row in rows if row["spec"].get("outcome", {}).get("result") == "Succeeded"]
    made = [
        Row(
            each["uid"],
            each["sequence"],
            each["pinned"]["workflowVersion"],
            now - HOURS * (len(served) - place),
            1.4 if each is served[-1] else 1,
        )
        for place, each in enumerate(served)
    ]
    return Recorded(stage.get(kinds.APP.kind, SUPPORT)["metadata"]["uid"], made, count=900, apart=timedelta(minutes=2), now=now)


def _screens(stage: HistoryStage, rows: list[Manifest], waiting: Manifest, run: str) -> dict[str, str]:
    """Returns the addresses of the drawn screens of tests/console/support/screens.py, by the names of their pictures."""
    uids = {
        name: each["metadata"]["uid"]
        for name, each in {
            "app": stage.get(kinds.APP.kind, SUPPORT),
            "row": rows[-1],
            "older": rows[0],
            "workflow": stage.get(kinds.WORKFLOW.kind, SUPPORT),
            "version": stage.get(kinds.WORKFLOW_VERSION.kind, f"{SUPPORT}-v3"),
        }.items()
    }
    found = addresses(**uids)
    triage = addresses(**uids | {"app": stage.get(kinds.APP.kind, TRIAGE)["metadata"]["uid"], "row": waiting["metadata"]["uid"]})
    drawn = {"roll back": "roll-back", "version": "workflow-version"}
    left_out = {"unknown", "deploy of a workflow", "workflow", "background run"}
    day = f"{found['monitoring']}?range=24+h"  # the App is young, and its runs are made up for a day
    found |= {
        "run": f"{found['runs']}/{run}",
        "monitoring": day,
        "question": found["runs"],
        "review": triage["review"],
        "waiting": triage["history"],
    }
    return {"sign-in": SIGN_IN} | {drawn.get(name, name): path for name, path in found.items() if name not in left_out}

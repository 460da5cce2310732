"""Shapes of inputs on a real API server: who may deploy an App learns them, and nothing else that the recorder has."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from local.clusters import Cluster
from tests.api.test_recorder_rights import QUESTIONS as ALL
from tests.support import recorders, rest
from tests.support.admission import made
from tests.support.api import Api, fresh_namespace
from tests.support.operator import install_rights
from tests.support.otlp_runs import a_run, request, run_id_of
from tests.support.recorders import Recorder
from tests.support.waiting import eventually

DEPLOYER = "only-deploys"
QUESTIONS = [question for question in ALL if "/shapes" not in question.path]
RULE = {"apiGroups": [GROUP], "resources": ["deployments"], "verbs": ["create"]}


def only_deploys(api: Api, namespace: str) -> str:
    """Returns the token of an account that may create rows in a namespace, and nothing else."""
    token, meta = rest.account(api, namespace, DEPLOYER), {"name": DEPLOYER, "namespace": namespace}
    made(api.create({"apiVersion": f"{rest.RBAC}/v1", "kind": "Role", "metadata": meta, "rules": [RULE]}))
    binding = {
        "apiVersion": f"{rest.RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": rest.RBAC, "kind": "Role", "name": DEPLOYER},
        "subjects": [{"kind": "ServiceAccount", **meta}],
    }
    made(api.create(binding))
    return token


@pytest.fixture
def recorder(cluster: Cluster, tmp_path: Path) -> Iterator[Recorder]:
    install_rights(cluster)
    with recorders.running(cluster, tmp_path) as running:
        yield running


def recorded(api: Api, recorder: Recorder, namespace: str) -> tuple[str, str]:
    """Returns the uid of a new App, and the id of its only run."""
    app = recorders.an_app(api, namespace, content=True)
    token = recorders.token(api, namespace, "default", audience=RECORDER_AUDIENCE, pod=recorders.a_pod(api, namespace, app))
    run = a_run(content=True, dynamiq__key="web", dynamiq__run__shape='{"question":"string"}')
    body = request(run, instance=namespace)
    eventually("the App is known", lambda: recorder.send(token, body).status_code == 200)
    return str(app["metadata"]["uid"]), run_id_of(run)


def answered(recorder: Recorder, path: str, token: str) -> Any:
    """Returns the data of an answer, once the rights of its reader apply."""
    eventually("the right applies", lambda: recorder.call("GET", path, token).ok)
    return recorder.call("GET", path, token).json()["data"]


def test_who_may_only_deploy_an_app_reads_its_shapes_and_nothing_else(api: Api, recorder: Recorder) -> None:
    with fresh_namespace(api, "mine") as mine, fresh_namespace(api, "theirs") as theirs:
        (uid, run), (other_uid, _) = (recorded(api, recorder, namespace) for namespace in (mine, theirs))
        deployer, stranger, viewer = only_deploys(api, mine), rest.account(api, mine, "stranger"), rest.account(api, mine, "viewer", "view")
        path = f"/v1/apps/{uid}/shapes?field=question"

        answer = answered(recorder, path, deployer)

        expected = {"key": "web", "trigger": None, "runs": 1, "others": 0, "fields": {"question": {"string": 1}}}
        assert answer["callers"] == [expected]
        assert answered(recorder, path, viewer) == answer
        statuses = {}
        for question in QUESTIONS:
            other = question.path.format(app=uid, run=run, spare=run, row=uuid.uuid4())
            statuses[question.method, other] = recorder.call(question.method, other, deployer, json=question.body).status_code
        assert set(statuses.values()) == {404}, statuses
        for who, hidden in ((deployer, other_uid), (stranger, uid)):
            found, none = (recorder.call("GET", f"/v1/apps/{each}/shapes", who) for each in (hidden, "none"))
            assert (found.status_code, found.text.replace(hidden, "none")) == (404, none.text)

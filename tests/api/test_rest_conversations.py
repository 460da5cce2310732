"""Conversations and callbacks by the management API, over a real API server, with a real journal and a real recorder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.api.support import recorded_app, rest_rehearsal
from tests.api.support.recorded_app import APP, Recorded
from tests.api.support.recorder_process import a_pod
from tests.support import factories, history_stage
from tests.support.rest import problem

RUN = "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d36"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def known(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Yields an App with two rows, and runs of ten sessions each."""
    with recorded_app.recorded(cluster, account, tmp_path_factory.mktemp("conversations"), "conversations") as made:
        made.stage.create(factories.workflow_manifest(factories.in_namespace(made.stage.namespace), name=history_stage.APP))
        yield made


def test_a_session_is_listed_with_its_row_and_its_turns_are_read_oldest_first(known: Recorded) -> None:
    viewer = known.callers["viewer"]
    listed = viewer.get(f"{known.path}/sessions?page_size=100")
    assert {(each["row"]["version"], each["row"]["sequence"]) for each in listed} == {("v1", 1), ("v2", 2)}
    turns = viewer.get(f"{known.path}/sessions/v1-0/messages")
    assert {each["row"]["version"] for each in turns} == {"v1"}
    times = [each["created_at"] for each in turns]
    assert times
    assert times == sorted(times)
    for path in ("sessions", "sessions/v1-0/messages", "conversations"):
        problem(known.callers["stranger"]("GET", f"{known.path}/{path}"), 404)


def test_an_app_without_sessions_has_no_conversations_and_no_deploy_takes_any(known: Recorded) -> None:
    viewer, deployer, ids = known.callers["viewer"], known.callers["deployer"], rest_rehearsal.ids(known.stage)
    assert viewer.get(f"{known.path}/conversations") == []
    body = {"workflow_id": ids["workflow"], "workflow_version_id": ids["v1"]}
    refused = deployer("POST", f"{known.path}/deploy", {**body, "take_sessions": True})
    assert "take_sessions" in problem(refused, 422)["details"]


def test_callbacks_of_an_ended_run_are_sent_again_by_who_may_change_runs(known: Recorded) -> None:
    pod = a_pod(known.stage.api, known.stage.namespace, APP, "v2")
    known.journal.accept(pod, known.app, RUN, ends=True)
    path = f"{known.path}/runs/{RUN}/callbacks"
    sent = known.callers["deployer"].post(path, {}, 200)
    assert sent["id"] == RUN
    assert [(each["n"], each["host"], each["state"]) for each in sent["callbacks"]] == [(0, "hooks.example.com", "pending")]
    problem(known.callers["viewer"]("POST", path, {}), 403)
    problem(known.callers["deployer"]("POST", f"{known.path}/runs/{UNKNOWN}/callbacks", {}), 404)

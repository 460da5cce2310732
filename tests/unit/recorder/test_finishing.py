"""Runs of pods that finish an earlier version's runs, and runs that the journal sends for pods: both are the App's pods' own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from dynamiq_operator.kube.informer import Listing
from dynamiq_operator.model import names
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from dynamiq_recorder.identity.apps import Apps, Durable, Sessions
from tests.support.otlp_runs import a_run, request, run_id_of
from tests.support.recorder_stage import APP, APP_UID, NAMESPACE, RecorderStage, app, pod_of, pod_user

OLDER = "fedcba9876543210"
JOURNAL, JOURNAL_USER = "journal-token", "system:serviceaccount:dynamiq-journal:dynamiq-journal"
VERSION: dict[str, Any] = {"dynamiq__workflow__version": "v7", "dynamiq__workflow__hash": "sha256:f7"}


@pytest.mark.parametrize(("label", "status"), [(names.FINISHING_OF_LABEL, 200), ("example.test/finishing-of", 403)])
def test_a_finishing_pod_is_a_pod_of_its_app(recorder: RecorderStage, label: str, status: int) -> None:
    recorder.users["finishing"] = pod_user(NAMESPACE, "chat-fin-1", "pod-uid-2")
    for raw, path in pod_of(NAMESPACE, "chat-fin-1", "pod-uid-2", APP, APP_UID, OLDER, label):
        recorder.script.on("GET", path, raw)
    run = a_run()
    answer = recorder.send(request(run, instance="of-the-finishing-pod"), "finishing")
    assert answer.status_code == status, answer.text
    if status == 403:
        return
    found = recorder.get(f"/v1/runs/{run_id_of(run)}")
    assert (found["source"], found["pins"]) == ("runtime", OLDER)


def test_finishing_pods_count_as_alive(recorder: RecorderStage) -> None:
    """Lists pods by both labels."""
    recorder.get(f"/v1/apps/{APP_UID}/recorder")
    selectors = {sent.query.get("labelSelector") for sent in recorder.script.sent if sent.path.endswith(f"/{NAMESPACE}/pods")}
    assert selectors == {f"{names.APP_LABEL}={APP}", f"{names.FINISHING_OF_LABEL}={APP}"}


@pytest.fixture
def with_journal(stage: RecorderStage) -> RecorderStage:
    """Returns a ready recorder that knows the journal's account."""
    stage.users[JOURNAL] = {"username": JOURNAL_USER, "audience": RECORDER_AUDIENCE}
    stage.start(journal=JOURNAL_USER)
    return stage


def sent(stage: RecorderStage, run: dict[str, Any], pins: str | None = OLDER, app_uid: str = APP_UID, token: str = JOURNAL) -> int:
    headers = {"X-Dynamiq-App-Id": app_uid, **({"X-Dynamiq-Pins": pins} if pins else {})}
    return stage.send(request(run, **VERSION), token, **headers).status_code


def test_the_journal_sends_pods_runs_with_their_pins_and_content(with_journal: RecorderStage) -> None:
    run = a_run(content=True)
    assert sent(with_journal, run) == sent(with_journal, run) == 200
    found = with_journal.get(f"/v1/runs/{run_id_of(run)}?include=content")
    assert (found["source"], found["pins"], found["workflow_version"]) == ("runtime", OLDER, "v7")
    assert found["input"] == {"q": "hi"}, "its pod has redacted it"
    assert with_journal.get(f"/v1/apps/{APP_UID}/metrics")["series"][0]["total"]["runs"] == 1
    state = with_journal.get(f"/v1/apps/{APP_UID}/recorder")
    assert (state["instances"], state["missing"]) == (0, 0), "they belong to no process"


def test_only_the_journals_account_names_pins(with_journal: RecorderStage) -> None:
    assert sent(with_journal, a_run(), pins=None) == 403
    assert sent(with_journal, a_run(), app_uid="missing") == 403
    assert sent(with_journal, a_run(), token="stranger-token") == 403
    relayed = a_run(content=True)
    assert sent(with_journal, relayed, token="pod-token") == 200
    found = with_journal.get(f"/v1/runs/{run_id_of(relayed)}?include=content")
    assert (found["source"], found["pins"], found["workflow_version"]) == ("otlp", None, None)


@pytest.mark.parametrize(
    ("durable", "known"),
    [
        (None, Durable()),
        ({}, Durable()),
        ({"keepSeconds": 60, "maxOpen": 2, "interruptions": 0, "pods": 3, "waitSeconds": 90}, Durable(60, 2, 0, 90)),
        ({"keepSeconds": "60", "maxOpen": -1, "interruptions": True}, Durable()),
        ({"callbackHosts": ["hooks.example.com", "receiver.team.svc"]}, Durable(callback_hosts=("hooks.example.com", "receiver.team.svc"))),
        ({"callbackHosts": "hooks.example.com"}, Durable()),
        ("everything", Durable()),
    ],
)
def test_limits_of_an_app_are_read_with_their_defaults(durable: Any, known: Durable) -> None:
    apps = Apps(None)  # type: ignore[arg-type] # it is not asked
    raw = app(APP_UID, NAMESPACE)
    raw["spec"]["runs"] = {"durable": durable}
    asyncio.run(apps.change(raw))
    found = apps.get(APP_UID)
    assert found is not None
    assert found.durable == known


@pytest.mark.parametrize(("network", "limits"), [(None, False), ({"ingressFrom": []}, False), ({"egress": []}, True)])
def test_limits_of_egress_are_known(network: Any, *, limits: bool) -> None:
    apps = Apps(None)  # type: ignore[arg-type] # it is not asked
    raw = app(APP_UID, NAMESPACE)
    raw["spec"]["network"] = network
    asyncio.run(apps.change(raw))
    found = apps.get(APP_UID)
    assert found is not None
    assert found.limits_egress == limits


@pytest.mark.parametrize(
    ("sessions", "known"),
    [
        (None, None),
        ({}, Sessions()),
        ({"idleSeconds": 60, "warmSeconds": 0, "whenUnknown": "Refuse"}, Sessions(60, 0, "Refuse")),
        ({"idleSeconds": "60", "warmSeconds": -1, "whenUnknown": "Ask"}, Sessions()),
        ("all", None),
    ],
)
def test_sessions_of_an_app_are_read_with_their_defaults(sessions: Any, known: Sessions | None) -> None:
    apps, changed = Apps(None), list[str]()  # type: ignore[arg-type] # it is not asked
    apps.sessions_changed = changed.append
    raw, without = app(APP_UID, NAMESPACE), app(APP_UID, NAMESPACE)
    raw["spec"]["sessions"] = sessions

    async def pages(*objects: Any) -> AsyncIterator[list[Any]]:
        yield list(objects)

    def listed(*objects: Any) -> Listing:
        return cast("Listing", pages(*objects))

    async def follow() -> None:
        for each in (raw, raw, without, raw):
            await apps.change(each)
        await apps.replace(listed(raw))
        await apps.replace(listed(without))
        await apps.delete(without)

    asyncio.run(follow())
    assert changed == ([APP_UID] * 4 if known is not None else []), "each change once"
    asyncio.run(apps.change(raw))
    found = apps.get(APP_UID)
    assert found is not None
    assert found.sessions == known
    assert [each.uid for each in apps.with_sessions()] == ([APP_UID] if known is not None else [])

"""The modules through which a deploy by REST goes, from its route to the POST of the row, and the requests on the way.

A stop is a module of ours whose function is entered after one of another module. A return is a stop at a module left before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from types import FrameType
from typing import Any

import pytest
from kubernetes import client as kubernetes

from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, RUNTIMES, VERSIONS, WORKFLOWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments.requests import NewDeployment
from dynamiq_operator.rest.deployments.routes import deploy
from dynamiq_operator.rest.http.sessions import CallerSession, Sessions, User
from dynamiq_operator.rest.kube.client import ApiServer
from dynamiq_operator.rest.kube.id_index import IdIndex
from tests.support import factories as given
from tests.support.scripted import Reply, Script, ScriptedServer, Sent

STOPS_MOST, RETURNS_MOST = 15, 6
PACKAGE = "dynamiq_operator."
ROW_LIST = ROWS.path(given.NAMESPACE)


def uid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def stored(manifest: Manifest, number: int) -> Manifest:
    meta = {**manifest["metadata"], "uid": uid(number), "resourceVersion": "5", "creationTimestamp": "2026-11-24T12:00:00Z"}
    return {**manifest, "metadata": meta}


@dataclass(frozen=True)
class Place:
    context: ApiContext
    session: CallerSession
    script: Script


@pytest.fixture
def place() -> Iterator[Place]:
    """Yields an App that serves v1, and a caller."""
    app = stored(given.app_manifest(given.with_status(live={"row": "chat-1", "sequence": 1})), 1)
    row = stored(given.row_manifest("chat-1", given.live(1, "v1")), 4)
    objects = [
        (APPS, app),
        (WORKFLOWS, stored(given.workflow_manifest(), 2)),
        (VERSIONS, stored(given.version_manifest("v2"), 3)),
        (ROWS, row),
        (NAMESPACES, stored({"metadata": {"name": given.NAMESPACE}}, 5)),
        (RUNTIMES, stored(given.runtime_manifest(), 6)),
    ]

    def made(sent: Sent) -> Reply:
        name = {"name": "chat-new"} if "generateName" in sent.body["metadata"] else {}
        return Reply(201, stored({**sent.body, "metadata": {**sent.body["metadata"], **name}}, 9))

    script = (
        Script()
        .on("GET", APPS.path(given.NAMESPACE, given.NAME), app)
        .on("GET", ROWS.path(given.NAMESPACE, "chat-1"), row)
        .on("GET", VERSIONS.path(given.NAMESPACE, f"{given.NAME}-v2"), objects[2][1])
        .on("POST", ROW_LIST, made)
    )
    with ScriptedServer(script) as server:
        configuration = kubernetes.Configuration()
        configuration.host = server.url
        api_server = ApiServer(configuration)
        index = IdIndex(api_server.own)
        for resource, manifest in objects:
            index.of(resource).put(manifest)
        context = ApiContext(api_server, Settings(), index, Sessions(api_server))
        yield Place(context, CallerSession(api_server.of("token"), User("anna"), "hash"), script)


def stops_of(call: Callable[[], Any], script: Script) -> list[str]:
    """Returns the stops until the first request that is more than a read."""
    entered: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        name = str(frame.f_globals.get("__name__", ""))
        if event == "call" and name.startswith(PACKAGE) and not script.writes():
            entered.append(name.removeprefix(PACKAGE))

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return [name for name, _ in groupby(entered)]


def test_a_deploy_goes_straight_to_its_row(place: Place) -> None:
    body = NewDeployment(workflow_id=uid(2), workflow_version_id=uid(3), message="why")
    stops = stops_of(lambda: deploy(place.context, place.session, uid(1), body), place.script)
    returns = len(stops) - len(set(stops))
    assert len(stops) <= STOPS_MOST, " > ".join(stops)
    assert returns <= RETURNS_MOST, " > ".join(stops)
    assert stops[0] == "rest.deployments.routes"


def test_a_deploy_of_a_version_sends_three_reads_and_its_row(place: Place) -> None:
    body = NewDeployment(workflow_id=uid(2), workflow_version_id=uid(3), message="why")
    answer = deploy(place.context, place.session, uid(1), body)
    assert answer.status_code == 201
    assert sorted((sent.method, sent.path) for sent in place.script.sent) == [
        ("GET", APPS.path(given.NAMESPACE, given.NAME)),
        ("GET", ROWS.path(given.NAMESPACE, "chat-1")),
        ("GET", VERSIONS.path(given.NAMESPACE, f"{given.NAME}-v2")),
        ("POST", ROW_LIST),
    ]
    (record,) = place.script.bodies("POST", ROW_LIST)
    assert record["spec"] == {"app": given.NAME, "workflowVersion": "v2", "message": "why"}
    assert record["metadata"] == {"namespace": given.NAMESPACE, "generateName": "chat-"}


def test_a_created_row_is_returned_though_the_live_one_is_unreadable(place: Place) -> None:
    place.script.on("GET", ROWS.path(given.NAMESPACE, "chat-1"), Reply(503))
    answer = deploy(place.context, place.session, uid(1), NewDeployment(workflow_id=uid(2)))
    assert answer.status_code == 201
    assert len(place.script.bodies("POST", ROW_LIST)) == 1

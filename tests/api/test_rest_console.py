"""The console's session and streams on a real API server: whose a token is, who may watch what, and how soon a change is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from local.clusters import Cluster
from tests.support import rest, rest_rehearsal
from tests.support.console import cookie, kept
from tests.support.rest import Client, problem
from tests.support.rest_rehearsal import Rehearsal
from tests.support.waiting import eventually

SESSION = "/console/session"
OWN = {"Sec-Fetch-Site": "same-origin", "X-Dynamiq-Console": "1"}
SOON = 30.0
"""Seconds in which an event has to come: a machine that is busy may take some."""


@pytest.fixture(scope="module")
def at(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with rest_rehearsal.rehearsal(cluster, account, tmp_path_factory.mktemp("console"), "console") as found:
        yield found


@pytest.fixture(scope="module")
def app(at: Rehearsal) -> str:
    return at.new_app("Watched")


@pytest.fixture
def nobody(at: Rehearsal) -> Client:
    return Client(at.url, None)


class Reading:
    """A stream as a browser reads it."""

    def __init__(self, answer: requests.Response) -> None:
        self._lines = (line for line in answer.iter_lines(chunk_size=1, decode_unicode=True) if line)

    def event(self, kind: str) -> Any:
        """The data of the next event of this kind; others are passed over. Fails where the stream ends."""
        deadline = time.monotonic() + SOON
        for line in self._lines:
            assert time.monotonic() < deadline, f"no event {kind}"
            if line == f"event: {kind}":
                return json.loads(next(self._lines).removeprefix("data: "))
        raise AssertionError(f"the stream ended without an event {kind}")

    def ends(self) -> bool:
        return next(self._lines, None) is None


@contextmanager
def reading(client: Client, path: str, **headers: str) -> Iterator[Reading]:
    with client("GET", path, stream=True, headers=headers) as answer:
        assert answer.status_code == 200, answer.text
        found = Reading(answer)
        found.event("ready")
        yield found


# The session.


def test_a_service_accounts_token_signs_in_and_its_cookies_are_its_rights(at: Rehearsal, nobody: Client, app: str) -> None:
    answer = nobody("POST", SESSION, {"token": at.token}, headers=OWN)
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert data["user"]["username"].endswith(f":{at.stage.namespace}:anna")
    cookies = cookie(kept(answer.raw.headers.getlist("Set-Cookie")))
    ends = data["expires_at"]
    assert ends is None or datetime.fromisoformat(ends) > datetime.now(UTC)
    assert nobody("GET", SESSION, headers={**OWN, **cookies}).json()["data"] == data
    read = nobody("GET", f"/v1/apps/{app}", headers={**OWN, **cookies})
    assert read.json()["data"]["id"] == app
    problem(nobody("GET", f"/v1/apps/{app}", headers={**cookies, "Sec-Fetch-Site": "same-site"}), 403, "origin")
    problem(nobody("GET", f"/v1/apps/{app}", headers={**cookies, "Sec-Fetch-Site": "same-origin", "Host": "chat.example.com"}), 403)
    problem(nobody("POST", f"/v1/apps/{app}/deploy", {}, headers={**cookies, "Sec-Fetch-Site": "same-origin"}), 403, "X-Dynamiq-Console")
    assert nobody("DELETE", SESSION, headers={**OWN, **cookies}).status_code == 204


def test_a_token_that_the_api_server_does_not_know_signs_nobody_in(nobody: Client) -> None:
    answer = nobody("POST", SESSION, {"token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0."}, headers=OWN)
    problem(answer, 401)
    assert "Set-Cookie" not in answer.headers


def test_a_row_that_was_written_with_a_cookie_has_its_author(at: Rehearsal, nobody: Client, app: str) -> None:
    signed_in = nobody("POST", SESSION, {"token": at.token}, headers=OWN)
    cookies = cookie(kept(signed_in.raw.headers.getlist("Set-Cookie")))
    asked = {"workflow_id": at.ids["workflow"], "workflow_version_id": at.ids["v1"]}
    made = nobody("POST", f"/v1/apps/{app}/deploy", asked, headers={**OWN, **cookies})
    assert made.status_code == 201, made.text
    at.until_live(app, made.json()["data"]["id"])


# Streams.


def test_a_deploy_is_told_from_its_begin_to_its_end(at: Rehearsal, app: str) -> None:
    with reading(at.caller, f"/v1/apps/{app}/watch") as stream:
        asked = {"workflow_id": at.ids["workflow"], "workflow_version_id": at.ids["v2"]}
        row = at.caller.post(f"/v1/apps/{app}/deploy", asked)["id"]
        statuses: list[str] = []
        while not statuses or statuses[-1] != "Live":
            told = stream.event("deployment")
            if told["id"] == row:
                statuses.append(told["status"])
                assert "ready" in told
        assert set(statuses) <= {"Pending", "Progressing", "Live"}
        while (shown := stream.event("app"))["latest_deployment_id"] != row or shown["live"]["deployment_id"] != row:
            pass
        assert shown == at.caller.get(f"/v1/apps/{app}")


def test_a_change_by_kubectl_is_told_within_a_second(at: Rehearsal, app: str) -> None:
    name = at.caller.get(f"/v1/apps/{app}")["resource_name"]
    with reading(at.caller, f"/v1/apps/{app}/watch") as stream, reading(at.caller, f"/v1/projects/{at.ids['project']}/watch") as project:
        took = []
        for number in range(5):
            began = time.monotonic()
            _describe(at, name, f"{number}")
            sent = time.monotonic()
            while stream.event("app")["description"] != f"{number}":
                pass  # the operator wrote the status after the change before this one
            took.append(time.monotonic() - sent)
            while project.event("app")["description"] != f"{number}":
                pass
            assert time.monotonic() - began < SOON
        print(f"told after {', '.join(f'{1000 * each:.0f} ms' for each in took)}")
        assert min(took) < 1


def _describe(at: Rehearsal, app: str, description: str) -> None:
    change = json.dumps({"spec": {"description": description}})
    at.stage.kubectl("patch", "apps.dynamiq.getdynamiq.ai", app, "--type=merge", "-p", change, namespace=at.stage.namespace)


def test_who_may_not_read_an_app_may_not_watch_it(at: Rehearsal, app: str) -> None:
    stranger = rest.client(at.stage.api, at.url, at.stage.namespace, "stranger")
    unknown = stranger("GET", f"/v1/apps/{rest.UNKNOWN}/watch").json()
    assert json.dumps(stranger("GET", f"/v1/apps/{app}/watch").json()).replace(app, rest.UNKNOWN) == json.dumps(unknown)
    problem(stranger("GET", f"/v1/projects/{at.ids['project']}/watch"), 404)
    problem(Client(at.url, None)("GET", f"/v1/apps/{app}/watch"), 401)


def test_who_loses_the_right_is_told_nothing_more(at: Rehearsal, app: str) -> None:
    name = at.caller.get(f"/v1/apps/{app}")["resource_name"]
    viewer = rest_rehearsal.new_caller(at.stage, at.url, "watcher", "view")
    with reading(viewer, f"/v1/apps/{app}/watch") as stream:
        binding = f"{at.stage.namespace}-watcher-view"
        at.stage.kubectl("delete", "rolebinding", binding, namespace=at.stage.namespace)
        user = f"system:serviceaccount:{at.stage.namespace}:watcher"
        eventually("the right is gone", lambda: not rest.allowed(at.stage.api, user, at.stage.namespace, "get", "apps"))
        _describe(at, name, "hidden")
        assert stream.event("deleted") == {}
        assert stream.ends()


def test_an_app_that_is_deleted_ends_its_stream(at: Rehearsal) -> None:
    gone = at.new_app("Gone")
    with reading(at.caller, f"/v1/apps/{gone}/watch") as stream, reading(at.caller, f"/v1/projects/{at.ids['project']}/watch") as project:
        assert at.caller("DELETE", f"/v1/apps/{gone}").status_code == 204
        assert stream.event("deleted") == {}
        assert stream.ends()
        while project.event("removed") != {"id": gone}:
            pass

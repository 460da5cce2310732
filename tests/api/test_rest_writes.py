"""Flows and triggers by the management API over a real API server, its schemas and its store: nothing is changed or lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model.base import FLOW_MAX_BYTES
from dynamiq_operator.model.names import APP_LABEL
from dynamiq_operator.model.settings import TRIGGER_IMAGE
from dynamiq_operator.rest.http.examples import EXAMPLES
from dynamiq_operator.rest.triggers.responses import TriggerEvent, TriggerResponse
from dynamiq_operator.rest.workflows.parse import FLOW_UI_MAX_BYTES
from local.clusters import Cluster
from tests.support import factories, rest
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.rest import Client, problem
from tests.support.waiting import eventually

FLOW = EXAMPLES["flow"]

NODES = '"nodes":[{"id":"a"}]'
WRITTEN: Mapping[str, str] = {
    "order": '{"z":1,"a":2,' + NODES + ',"m":{"b":1,"a":{}}}',
    "numbers": "{" + NODES + ',"n":[123456789012345678901234567890,-0,0.1,1.0,1e5,1E+5,1e-7,1.10,9007199254740993,1e400,-0.0]}',
    "escapes": "{" + NODES + ',"s":"\\u0000\\u001f\\ud83d\\ude00\\ud800\\u00e9\\/\\n\\"\\\\ {}[],: \\u2028"}',
    "letters": "{" + NODES + ',"s":"é 字 🦊 \u2028\u0085\ufeff\x7f","é\\u0000":null,"\\ud800":true}',
    "depth": '{"nodes":{"a":{"type":"x"}},"flows":{},"deep":' + "[" * 150 + "]" * 150 + "}",
    "looks": "{" + NODES + ',"yaml":"{a: b}","empty":"","list":[],"t":[true,false,null]}',
}
DAILY = {"schedule": "0 9 * * *"}
SHOWN = ("Every Monday, 9 o'clock", "Every Monday, 9 o'clock sharp", "每日", "每周", "x" * 128, "7", "a/b \u2028 🦊")
LIVE = {"row": "now-1", "sequence": 1, "workflowVersion": "v1", "runtime": "1.0.0"}


@dataclass(frozen=True)
class Place:
    """A namespace, the id of its project, and a caller who may edit it. No operator runs."""

    api: Api
    namespace: str
    project: str
    anna: Client

    def workflow(self, name: str) -> str:
        """Makes a workflow, and returns its path."""
        return f"/v1/workflows/{self.anna.post('/v1/workflows', {'name': name, 'project_id': self.project, 'flow': FLOW})['id']}"

    def triggers(self, app: str) -> str:
        """Makes an App, and returns the path of its triggers."""
        made = self.api.create(factories.app_manifest(factories.in_namespace(self.namespace), name=app))
        assert made.ok, made.message
        return f"/v1/apps/{made.body['metadata']['uid']}/triggers"

    def spec(self, kind: str, name: str) -> Manifest:
        """Returns the stored spec of an object."""
        found: Manifest = self.api.get(kind, name, self.namespace).body["spec"]
        return found

    def change(self, app: str, subresource: str = "", **parts: Manifest) -> int:
        """Changes an App without the API, and returns the status of the answer."""
        manifest = factories.app_manifest(factories.in_namespace(self.namespace), name=app)
        return self.api.merge(manifest, parts, subresource=subresource).status


@pytest.fixture(scope="module")
def place(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, api = tmp_path_factory.mktemp("writes"), Api.of(cluster)
    kubeconfig = rest.install(cluster, folder)
    with fresh_namespace(api, "writes") as namespace, rest.serving(kubeconfig, folder) as url:
        yield Place(api, namespace, rest.uid(api, "Namespace", namespace), rest.client(api, url, namespace, "anna", "edit"))


def _raw(who: Client, method: str, path: str, body: str = "") -> str:
    answer = who(method, path, data=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code < 300, answer.text
    return answer.content.decode()


def _spaced(flow: str) -> str:
    """Returns the same JSON with additional white space."""
    return flow.replace('"nodes":', '\n\t"nodes" :  ').replace("[1", "[ 1")


def test_a_flow_comes_back_as_it_was_written(place: Place) -> None:
    """Every call that returns the flow has the same text, and so has the stored object."""
    for name, flow in WRITTEN.items():
        ui = flow.replace('"nodes"', '"layout"')
        body = '{ "name": "%s" , "project_id": "%s" , "flow_ui" : %s , "flow":\n%s }' % (name, place.project, _spaced(ui), _spaced(flow))  # noqa: UP031 - of braces there are enough
        answers = [_raw(place.anna, "POST", "/v1/workflows", body)]
        path = f"/v1/workflows/{json.loads(answers[0])['data']['id']}"
        answers.append(_raw(place.anna, "POST", f"{path}/save", f'{{"flow":{_spaced(flow)},"flow_ui":{ui}}}'))
        answers.append(_raw(place.anna, "GET", path))
        assert all(f'"flow":{flow},"flow_ui":{ui}' in answer for answer in answers), name
        _raw(place.anna, "POST", f"{path}/release", f'{{"flow":{_spaced(flow)},"force":true}}')
        assert place.spec("Workflow", name)["flow"] == place.spec("WorkflowVersion", f"{name}-v1")["flow"] == flow


def _send(who: Client, path: str, body: Any) -> Any:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return who("POST", path, data=text, headers={"Content-Type": "application/json"})


def test_the_limits_of_schema_and_store_are_reported(place: Place) -> None:
    anna = place.anna
    for letter in ("x", "é"):
        size = len(letter.encode())
        path = place.workflow(f"large-{size}")
        flow: Manifest = {"nodes": [{"id": "a", "type": "dynamiq.nodes.utils.Output"}], "text": "", "rest": ""}
        room = FLOW_MAX_BYTES - len(json.dumps(flow, separators=(",", ":")))
        largest = {**flow, "text": letter * (room // size), "rest": "." * (room % size)}
        ui = letter * ((FLOW_UI_MAX_BYTES - 2) // size)
        assert _send(anna, f"{path}/save", {"flow": largest, "flow_ui": ui}).status_code == 200
        assert anna.get(path)["flow"] == largest
        assert _send(anna, f"{path}/release", {"flow": largest}).status_code == 201
        for call in ("save", "release"):
            refused = _send(anna, f"{path}/{call}", {"flow": {**largest, "rest": largest["rest"] + "."}})
            assert "at most 900 KiB (921600 bytes)" in problem(refused, 422)["details"]["flow"]
        assert "256 KiB" in problem(_send(anna, f"{path}/save", {"flow": FLOW, "flow_ui": ui + "ab字"}), 422)["details"]["flow_ui"]
    # Each quote takes two bytes in the store, whose objects have at most 1.5 MiB: that is no outage.
    quotes = {"flow": {"nodes": [{"id": "a"}], "list": [""] * 300_000}, "flow_ui": [""] * 85_000}
    for path, more in ((f"{place.workflow('quotes')}/save", {}), ("/v1/workflows", {"name": "quotes-2", "project_id": place.project})):
        assert "the cluster does not store this much in one object" in problem(_send(anna, path, {**quotes, **more}), 422)["message"]
    large = {"selector": {str(number): "\0" * 4096 for number in range(64)}}
    triggers = {"name": "first", "provider": "schedule", "config": DAILY, "input_transformer": large}
    problem(anna("POST", place.triggers("large"), triggers), 422, "the cluster does not store this much")


def test_writes_at_once_lose_nothing(place: Place) -> None:
    """Drafts, releases and triggers are written while another manager writes the same App."""
    workflow, triggers = place.workflow("busy"), place.triggers("busy")

    def edit(caller: Client, number: int) -> int:
        if number % 2:
            return caller("PUT", workflow, {"description": str(number)}).status_code
        return caller("POST", f"{workflow}/save", {"flow": {**FLOW, "id": str(number)}, "flow_ui": number}).status_code

    def release(caller: Client, _: int) -> int:
        return caller("POST", f"{workflow}/release", {"flow": FLOW}).status_code

    def add(caller: Client, number: int) -> int:
        if number % 3 == 0:
            while (status := place.change("busy", spec={"description": str(number)})) == 409:
                pass  # the API server itself was overtaken too often: kubectl tries that again, too
            return status
        return caller("POST", triggers, {"name": f"No. {number}", "provider": "schedule", "config": DAILY}).status_code

    def at_once(act: Callable[[Client, int], int], count: int) -> set[int]:
        with ThreadPoolExecutor(count) as threads:
            return set(threads.map(lambda number: act(place.anna.at(place.anna.url), number), range(1, count + 1)))

    assert [at_once(edit, 12), at_once(release, 5), at_once(add, 12)] == [{200}, {201}, {200, 201}]
    now = place.anna.get(workflow)
    assert int(now["description"]) % 2 == 1
    assert now["flow"]["id"] == str(now["flow_ui"]), "each save is whole"
    assert [each["version"] for each in place.anna.get(f"{workflow}/versions")] == ["v5", "v4", "v3", "v2", "v1"]
    assert {each["name"] for each in place.anna.get(triggers)} == {f"No. {number}" for number in range(1, 13) if number % 3}
    assert int(place.spec("App", "busy")["description"]) % 3 == 0


def test_a_trigger_is_a_part_of_its_app_and_runs_a_job_on_request(place: Place) -> None:
    anna, path = place.anna, place.triggers("now")
    made = [anna.post(path, {"name": name, "provider": "schedule", "config": {**DAILY, "timezone": "Europe/Berlin"}}) for name in SHOWN]
    for each in made:
        TriggerResponse.model_validate(each)
    assert [each["name"] for each in anna.get(path)] == list(SHOWN[::-1])
    assert len({each["name"] for each in place.spec("App", "now")["triggers"]}) == len(SHOWN)
    one = f"{path}/{made[0]['id']}"
    problem(anna("POST", f"{one}/run"), 409, "this one is draft")
    assert anna.post(f"{one}/activate", status=200)["status"] == "active"
    problem(anna("POST", f"{one}/run"), 409, "deploy it first")
    assert place.change("now", "/status", status={"live": LIVE}) == 200

    event = anna.post(f"{one}/run", status=202)
    TriggerEvent.model_validate(event)
    assert (event["status"], event["trigger_id"]) == ("running", made[0]["id"])
    job = place.api.get("Job", event["name"], place.namespace, api_version="batch/v1").body
    assert [(each["kind"], each["name"]) for each in job["metadata"]["ownerReferences"]] == [("App", "now")]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == TRIGGER_IMAGE
    name = place.spec("App", "now")["triggers"][0]["name"]
    assert {"name": "DYNAMIQ_TRIGGER", "value": name} in container["env"], "the run's record names what started it"
    assert APP_LABEL not in job["spec"]["template"]["metadata"]["labels"]
    twice = [anna("POST", f"{one}/run", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in twice] == [202, 202]
    first, second = (answer.json()["data"] for answer in twice)
    assert first["id"] == second["id"] != event["id"]
    assert twice[1].headers["Idempotency-Replayed"] == "true"
    eventually("both have ended", lambda: [each["status"] for each in anna.get(f"{one}/events")] == ["succeeded", "succeeded"])
    assert anna.get(f"{path}/{made[1]['id']}/events") == [], "they are none of another trigger's"

    for each in made:
        assert anna("DELETE", f"{path}/{each['id']}").status_code == 204
    assert "triggers" not in place.spec("App", "now")
    problem(anna("GET", one), 404, made[0]["id"])

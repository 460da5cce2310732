"""The management API's workflows: a flow comes back as it was written, one call alone changes the draft, and releases never change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model.base import FLOW_MAX_BYTES
from dynamiq_operator.rest.workflows import responses
from dynamiq_operator.rest.workflows.parse import FLOW_UI_MAX_BYTES
from local.clusters import Cluster
from tests.support import factories, rest, rest_callers
from tests.support.api import Manifest
from tests.support.rest import UNKNOWN, Client, problem
from tests.support.rest_callers import Callers
from tests.support.waiting import eventually

FLOW = responses.FLOW
UI = responses.FLOW_UI
NODES = '"nodes":[{"id":"a"}]'


@pytest.fixture(scope="module")
def place(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    with rest_callers.calling(cluster, tmp_path_factory.mktemp("rest"), "workflows") as made:
        yield made


def _new(place: Callers, name: str, **more: Any) -> str:
    """The id of a new workflow."""
    return str(place.anna.post("/v1/workflows", {"name": name, "project_id": place.project, "flow": FLOW, **more})["id"])


def _stored(place: Callers, name: str, kind: str = "Workflow") -> Manifest:
    found: Manifest = place.api.get(kind, name, place.namespace).body
    return found


def test_a_workflow_from_its_draft_to_its_releases(place: Callers) -> None:
    anna = place.anna
    made = anna.post(
        "/v1/workflows", {"name": "support", "project_id": place.project, "flow": FLOW, "flow_ui": UI, "description": "Answers customers"}
    )
    responses.WorkflowDetail.model_validate(made)
    assert (made["name"], made["description"], made["project_id"]) == ("support", "Answers customers", place.project)
    assert made["id"] == _stored(place, "support")["metadata"]["uid"]
    path = f"/v1/workflows/{made['id']}"
    assert anna.get(path) == made
    assert anna.get(f"{path}/versions") == []

    changed = anna("PUT", path, {"name": "support", "description": None}).json()["data"]
    assert (changed["description"], changed["flow"], changed["flow_ui"]) == (None, FLOW, UI)
    assert anna("PUT", path, {"description": "Helps"}).json()["data"]["description"] == "Helps"
    assert anna("PUT", path, {}).json()["data"]["description"] == "Helps"
    assert "keeps its name, support" in problem(anna("PUT", path, {"name": "other"}), 422)["details"]["name"]

    first = anna.post(f"{path}/release", {"name": "Greets", "flow": FLOW, "flow_ui": UI})
    responses.Version.model_validate(first)
    assert (first["version"], first["name"], first["description"], first["workflow_id"]) == ("v1", "Greets", "Greets", made["id"])
    second_flow = {**FLOW, "id": "second"}
    assert anna.get(path)["flow"] == FLOW
    second = anna.post(f"{path}/release", {"flow": second_flow})
    assert (second["version"], second["description"]) == ("v2", "Helps")
    assert anna.get(path)["flow"] == FLOW, "a release changes no draft"

    saved = anna.post(f"{path}/save", {"flow": second_flow}, 200)
    assert (saved["flow"], saved["flow_ui"], saved["description"]) == (second_flow, UI, "Helps")
    assert anna.post(f"{path}/save", {"flow": FLOW, "flow_ui": None}, 200)["flow_ui"] is None
    for version, flow in (("v1", FLOW), ("v2", second_flow)):
        assert json.loads(_stored(place, f"support-{version}", "WorkflowVersion")["spec"]["flow"]) == flow
    assert [each["version"] for each in anna.get(f"{path}/versions")] == ["v2", "v1"]


def test_lists_are_paged_and_hold_no_flows(place: Callers) -> None:
    ids = [_new(place, f"paged-{number}", description=f"No. {number}") for number in range(3)]
    for number in range(12):
        place.anna.post(f"/v1/workflows/{ids[0]}/release", {"name": f"No. {number + 1}", "flow": FLOW})
    answer = place.anna("GET", f"/v1/workflows/{ids[0]}/versions?page_size=5&page=2")
    assert [each["version"] for each in answer.json()["data"]] == ["v7", "v6", "v5", "v4", "v3"]
    assert answer.json()["pagination"] == {"page": 2, "page_size": 5, "page_count": 3, "total_count": 12}
    oldest = place.anna.get(f"/v1/workflows/{ids[0]}/versions?page_size=1&sort=created_at")
    assert [(each["version"], each["description"]) for each in oldest] == [("v1", "No. 1")]
    for query in ("", f"?project_id={place.project}"):
        found = [each for each in place.anna.get(f"/v1/workflows{query}") if each["name"].startswith("paged-")]
        assert sorted((each["name"], each["description"], each["id"]) for each in found) == [
            (f"paged-{number}", f"No. {number}", ids[number]) for number in range(3)
        ]
        for each in found:
            responses.ListedWorkflow.model_validate(each)


WRITTEN = [
    '{"z":1,"a":2,' + NODES + ',"m":{"b":1,"a":{}}}',
    "{" + NODES + ',"n":[123456789012345678901234567890,-0,0.1,1.0,1e5,1E+5,1e-7,1.10,9007199254740993,1e400,-0.0]}',
    "{" + NODES + ',"s":"\\u0000\\u001f\\ud83d\\ude00\\ud800\\u00e9\\/\\n\\"\\\\ {}[],: \\u2028"}',
    "{" + NODES + ',"s":"é 字 🦊 \u2028\u0085\ufeff\x7f","é\\u0000":null,"\\ud800":true}',
    '{"nodes":{"a":{"type":"x"}},"flows":{},"deep":' + "[" * 150 + "]" * 150 + "}",
    "{" + NODES + ',"yaml":"{a: b}","empty":"","list":[],"t":[true,false,null]}',
]


@pytest.mark.parametrize("flow", WRITTEN, ids=["order", "numbers", "escapes", "letters", "depth", "looks"])
def test_a_flow_comes_back_as_it_was_written(place: Callers, flow: str, request: pytest.FixtureRequest) -> None:
    """In every call that tells of it; what is stored is the same text."""
    name = f"written-{request.node.callspec.id}"
    ui = flow.replace('"nodes"', '"layout"')
    body = '{ "name": "%s" , "project_id": "%s" , "flow_ui" : %s , "flow":\n%s }' % (name, place.project, _spaced(ui), _spaced(flow))  # noqa: UP031 - of braces there are enough
    told = [_raw(place.anna, "POST", "/v1/workflows", body)]
    path = f"/v1/workflows/{json.loads(told[0])['data']['id']}"
    told.append(_raw(place.anna, "POST", f"{path}/save", f'{{"flow":{_spaced(flow)},"flow_ui":{ui}}}'))
    told.append(_raw(place.anna, "GET", path))
    for answer in told:
        assert f'"flow":{flow},"flow_ui":{ui}' in answer
    _raw(place.anna, "POST", f"{path}/release", f'{{"flow":{_spaced(flow)}}}')
    assert _stored(place, name)["spec"]["flow"] == _stored(place, f"{name}-v1", "WorkflowVersion")["spec"]["flow"] == flow


def _spaced(flow: str) -> str:
    """The same with space where JSON has room for it."""
    return flow.replace('"nodes":', '\n\t"nodes" :  ').replace("[1", "[ 1")


def _raw(who: Client, method: str, path: str, body: str = "") -> str:
    answer = who(method, path, data=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code < 300, answer.text
    return answer.content.decode()


@pytest.mark.parametrize(
    ("ui", "back"), [('"text"', "text"), ("1", 1), ("[]", []), ("false", False), ('"{\\"a\\":1}"', '{"a":1}'), ("null", None)]
)
def test_a_layout_may_be_anything(place: Callers, ui: str, back: Any) -> None:
    existing = [each for each in place.anna.get("/v1/workflows?page_size=500") if each["name"] == "layouts"]
    workflow = existing[0]["id"] if existing else _new(place, "layouts")
    _raw(place.anna, "POST", f"/v1/workflows/{workflow}/save", f'{{"flow":{{{NODES}}},"flow_ui":{ui}}}')
    assert place.anna.get(f"/v1/workflows/{workflow}")["flow_ui"] == back


@pytest.mark.parametrize("letter", ["x", "é"], ids=["1 byte", "2 bytes"])
def test_the_limit_of_a_flow_is_in_bytes_and_is_said(place: Callers, letter: str) -> None:
    workflow = _new(place, f"large-{len(letter.encode())}")
    path = f"/v1/workflows/{workflow}"
    flow: Manifest = {"nodes": [{"id": "a"}], "text": "", "rest": ""}
    room = FLOW_MAX_BYTES - len(json.dumps(flow, separators=(",", ":")))
    largest = {**flow, "text": letter * (room // len(letter.encode())), "rest": "." * (room % len(letter.encode()))}
    assert _sent(place.anna, f"{path}/save", {"flow": largest, "flow_ui": ""}).status_code == 200
    assert place.anna.get(path)["flow"] == largest
    assert _sent(place.anna, f"{path}/release", {"flow": largest}).status_code == 201
    for call in ("save", "release"):
        refused = _sent(place.anna, f"{path}/{call}", {"flow": {**largest, "rest": largest["rest"] + "."}})
        assert "at most 900 KiB (921600 bytes)" in problem(refused, 422)["details"]["flow"]
    ui = letter * ((FLOW_UI_MAX_BYTES - 2) // len(letter.encode()))
    assert _sent(place.anna, f"{path}/save", {"flow": largest, "flow_ui": ui}).status_code == 200
    assert "256 KiB" in problem(_sent(place.anna, f"{path}/save", {"flow": FLOW, "flow_ui": ui + "ab字"}), 422)["details"]["flow_ui"]


def test_what_etcd_does_not_take_is_refused_and_not_called_an_outage(place: Callers) -> None:
    """Each quote is two bytes in the store, which takes 1.5 MiB of an object."""
    workflow = _new(place, "quotes")
    quotes = {"nodes": [{"id": "a"}], "list": [""] * 300_000}
    answer = _sent(place.anna, f"/v1/workflows/{workflow}/save", {"flow": quotes, "flow_ui": [""] * 85_000})
    assert "more than the cluster stores in one object" in problem(answer, 422)["message"]
    answer = _sent(place.anna, "/v1/workflows", {"name": "quotes-2", "project_id": place.project, "flow": quotes, "flow_ui": [""] * 85_000})
    assert "more than the cluster stores in one object" in problem(answer, 422)["message"]


def _sent(who: Client, path: str, body: Any) -> Any:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return who("POST", path, data=text, headers={"Content-Type": "application/json"})


def test_writes_at_once_lose_nothing(place: Callers) -> None:
    workflow = _new(place, "busy", description="0")
    path = f"/v1/workflows/{workflow}"

    def act(number: int) -> int:
        caller = place.anna.at(place.anna.url)
        if number % 2:
            return caller("PUT", path, {"description": str(number)}).status_code
        return caller("POST", f"{path}/save", {"flow": {**FLOW, "id": str(number)}, "flow_ui": number}).status_code

    with ThreadPoolExecutor(12) as threads:
        assert set(threads.map(act, range(1, 25))) == {200}
        releases = list(threads.map(lambda _: place.anna.at(place.anna.url).post(f"{path}/release", {"flow": FLOW})["version"], range(5)))
    now = place.anna.get(path)
    assert int(now["description"]) % 2 == 1
    assert now["flow"]["id"] == str(now["flow_ui"]), "each save is whole"
    assert sorted(releases) == ["v1", "v2", "v3", "v4", "v5"]


def test_what_kubectl_stored_is_told_as_json(place: Callers) -> None:
    yaml = "# by hand\nnodes:\n  one: {type: dynamiq.nodes.utils.Input, since: 2024-01-02, share: &a [1, 2.50]}\n  two: {share: *a}\n"
    bomb = "nodes: {}\n" + "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 8))])
    where = factories.in_namespace(place.namespace)
    for name, flow in (("by-hand", yaml), ("bomb", bomb), ("nonsense", "nodes: [")):
        spec = factories.with_spec(flow=flow, flowUI="not JSON")
        place.kubectl("apply", "--server-side", "-f", "-", input=factories.workflow_manifest(where, spec, factories.with_meta(name=name)))
    ids = {each["name"]: each["id"] for each in place.anna.get("/v1/workflows?page_size=500")}
    told = place.anna.get(f"/v1/workflows/{ids['by-hand']}")
    responses.WorkflowDetail.model_validate(told)
    one = {"type": "dynamiq.nodes.utils.Input", "since": "2024-01-02", "share": [1, 2.5]}
    assert told["flow"] == {"nodes": {"one": one, "two": {"share": [1, 2.5]}}}
    assert (told["flow_ui"], told["flow_error"]) == ("not JSON", None)
    place.anna("PUT", f"/v1/workflows/{ids['by-hand']}", {"description": "kept"})
    assert _stored(place, "by-hand")["spec"]["flow"] == yaml, "what is not saved stays as it is"
    for name, why in (("bomb", "aliases written out"), ("nonsense", "cannot be told as JSON")):
        told = place.anna.get(f"/v1/workflows/{ids[name]}")
        assert told["flow"] is None
        assert why in told["flow_error"]


WRONG = [
    ({"name": "Support"}, "name"),
    ({"name": "1st"}, "name"),
    ({"name": "a-"}, "name"),
    ({"name": "a" * 41}, "name"),
    ({"name": "a\0"}, "name"),
    ({"name": "a\n"}, "name"),
    ({"name": ""}, "name"),
    ({"name": 7}, "name"),
    ({"project_id": "none"}, "project_id"),
    ({"flow": None}, "flow"),
    ({"flow": []}, "flow"),
    ({"flow": "nodes: []"}, "flow"),
    ({"flow": {}}, "flow"),
    ({"flow": {"nodes": []}}, "flow"),
    ({"flow": {"nodes": {}}}, "flow"),
    ({"flow": {"nodes": [1]}}, "flow"),
    ({"flow": {"nodes": "a"}}, "flow"),
    ({"description": "x" * 513}, "description"),
    ({"description": ["x"]}, "description"),
]


@pytest.mark.parametrize(("change", "field"), WRONG)
def test_a_wrong_body_is_refused_with_its_field(place: Callers, change: Manifest, field: str) -> None:
    body = {"name": "fine", "project_id": place.project, "flow": FLOW, **change}
    assert field in problem(place.anna("POST", "/v1/workflows", body), 422)["details"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"flow":{%s,"a":{"x":1,"x":2}}}', "flow"),
        ('{"flow":{%s,"nodes":[{}]}}', "flow"),
        ('{"flow":{%s},"flow":{"nodes":[{"id":"b"}]}}', "flow"),
        ('{"flow":{%s},"flow_ui":{"a":1,"\\u0061":2}}', "flow_ui"),
        ('{"flow":{%s,"n":NaN}}', "body"),
        ('{"flow":{%s,"n":Infinity}}', "body"),
        ('{"flow":{%s}', "body"),
        ("[1]", "body"),
        ("7", "body"),
        ("{}", "flow"),
        (" ", "body"),
    ],
)
def test_a_body_that_readers_would_read_differently_is_refused(place: Callers, body: str, field: str) -> None:
    existing = [each for each in place.anna.get("/v1/workflows?page_size=500") if each["name"] == "twice"]
    workflow = existing[0]["id"] if existing else _new(place, "twice")
    text = body.replace("%s", NODES).encode()
    for call in ("save", "release"):
        answer = place.anna("POST", f"/v1/workflows/{workflow}/{call}", data=text, headers={"Content-Type": "application/json"})
        assert field in problem(answer, 422)["details"]
    assert place.anna.get(f"/v1/workflows/{workflow}")["flow"] == FLOW


def test_a_name_that_is_taken(place: Callers) -> None:
    _new(place, "taken")
    answer = place.anna("POST", "/v1/workflows", {"name": "taken", "project_id": place.project, "flow": FLOW})
    assert problem(answer, 409, "use another name")["details"] == {"name": "taken"}


def test_who_may_only_read_is_told_so_and_who_may_not_is_told_nothing(place: Callers) -> None:
    workflow = _new(place, "guarded")
    path = f"/v1/workflows/{workflow}"
    writes = [
        ("PUT", path, {"description": "x"}),
        ("POST", f"{path}/save", {"flow": FLOW}),
        ("POST", f"{path}/release", {"flow": FLOW}),
    ]
    create = {"name": "more", "project_id": place.project, "flow": FLOW}
    assert place.viewer.get(path)["flow"] == FLOW
    assert place.viewer.get(f"{path}/versions") == []
    for method, where, body in (*writes, ("POST", "/v1/workflows", create)):
        problem(place.viewer(method, where, body), 403)
    reads: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("GET", f"{path}/versions", None),
        ("PUT", path, {"name": "x"}),
        ("PUT", path, {}),
    ]
    for method, where, body in (*reads, *writes):
        hidden = problem(place.stranger(method, where, body), 404)
        unknown = problem(place.stranger(method, where.replace(workflow, UNKNOWN), body), 404)
        assert json.dumps(hidden).replace(workflow, UNKNOWN) == json.dumps(unknown)
    problem(place.stranger("GET", f"/v1/workflows?project_id={place.project}"), 404)
    assert problem(place.stranger("POST", "/v1/workflows", create), 404)["details"] == {"project_id": "unknown"}
    assert place.stranger.get("/v1/workflows") == []
    assert workflow in [each["id"] for each in place.viewer.get("/v1/workflows?page_size=500")]
    assert _stored(place, "guarded")["metadata"]["generation"] == 1
    for odd in ("none", "%00", "%F0%9F%A6%8A", "7" * 300, f"{workflow}%0A"):
        problem(place.anna("GET", f"/v1/workflows/{odd}"), 404)


def test_another_workflow_of_the_same_name_is_another(place: Callers) -> None:
    before = _new(place, "again")
    assert place.api.delete(factories.workflow_manifest(factories.in_namespace(place.namespace), factories.with_meta(name="again"))).ok
    after = _new(place, "again", flow={**FLOW, "id": "after"})
    path = f"/v1/workflows/{before}"
    for method, where, body in (
        ("GET", path, None),
        ("PUT", path, {"description": "x"}),
        ("POST", f"{path}/save", {"flow": FLOW}),
        ("POST", f"{path}/release", {"flow": FLOW}),
    ):
        problem(place.anna(method, where, body), 404)
    assert place.anna.get(f"/v1/workflows/{after}")["flow"]["id"] == "after"


def test_the_node_types_are_those_of_the_newest_runtime(place: Callers) -> None:
    every = [each["type"] for each in place.anna.get("/v1/agent-builder/nodes")]
    assert every == ["dynamiq.nodes.utils.Input", "dynamiq.nodes.tools.Python", "dynamiq.nodes.utils.Output"]
    unread = place.anna("GET", "/v1/agent-builder/nodes").json()
    assert (unread["engine"], unread["complete"], "may not list Runtimes" in unread["message"]) == (None, False, True)
    rest.bind(place.api, "", "anna", "dynamiq-view", place.namespace)

    def asked() -> Manifest:
        found: Manifest = place.anna("GET", "/v1/agent-builder/nodes").json()
        return found

    eventually("Runtimes may be listed", lambda: "may not" not in (asked()["message"] or ""))
    made: list[Manifest] = []
    try:
        for engine in ("tiny", "sdk"):
            runtime = factories.runtime_manifest(
                factories.with_meta(name=f"{place.namespace}-{engine}"), factories.with_spec(version=f"999.{len(made)}", engine=engine)
            )
            assert place.api.create(runtime).ok
            made.append(runtime)
            told = asked()
            responses.NodeTypes.model_validate(told)
            assert (told["engine"], told["runtime"], told["complete"]) == (engine, runtime["spec"]["version"], engine == "tiny")
            assert [each["type"] for each in told["data"]] == every
        assert "is not known here" in told["message"]
        assert place.api.merge(made[1], {"spec": {"deprecated": True}}).ok
        assert asked()["engine"] == "tiny"
    finally:
        for runtime in made:
            place.api.delete(runtime)

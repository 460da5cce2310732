"""Requests at the recorder: bodies and their limits, the App that they are for, and the rights of readers."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import uuid
import zlib
from dataclasses import MISSING, fields
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from dynamiq_operator.model.names import GATE_NAMESPACE
from dynamiq_operator.serving.limits import RUNS_MAX
from dynamiq_recorder.http import context
from dynamiq_recorder.identity import rights
from tests.support.otlp_runs import a_run, request, run_id_of, sdk_runs
from tests.support.recorder_stage import (
    ADMIN,
    APP,
    APP_UID,
    GATE,
    GATE_USER,
    HOST,
    NAMESPACE,
    OPERATOR,
    OTHER_NAMESPACE,
    OTHER_UID,
    POD_TOKEN,
    READER,
    STRANGER,
    VIEWER,
    RecorderStage,
    pod_of,
    pod_user,
)
from tests.support.scripted import missing
from tests.support.waiting import IN_TIME, eventually
from tests.unit.recorder.test_otlp import as_protobuf

RUNS = f"/v1/apps/{APP_UID}/runs"


def problem(answer: Any, status: int, *says: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message", "details"}
    for word in says:
        assert word in answer.text
    found: dict[str, Any] = answer.json()["error"]
    return found


def test_every_form_of_a_body_is_taken(recorder: RecorderStage) -> None:
    plain = orjson.dumps(request(a_run()))
    assert recorder.send(gzip.compress(plain), Content_Encoding="gzip").json() == {"partialSuccess": {}}
    assert recorder.send(zlib.compress(orjson.dumps(request(a_run()))), Content_Encoding="deflate").status_code == 200
    by_protobuf = recorder.send(as_protobuf(request(a_run())), Content_Type="application/x-protobuf")
    assert (by_protobuf.status_code, by_protobuf.headers["Content-Type"], by_protobuf.content) == (200, "application/x-protobuf", b"")
    assert recorder.send({"runs": sdk_runs()}, X_Dynamiq_App_Id=APP_UID).json() == {"partialSuccess": {}}
    assert recorder.send(plain, Content_Type="application/json; charset=utf-8").status_code == 200
    assert recorder.call("GET", RUNS).json()["pagination"]["total_count"] == 4, "one came twice"
    nested = sdk_runs()
    nested[0]["input"] = {"resourceSpans": [], "runs": 1}
    assert recorder.send({"runs": nested}, X_Dynamiq_App_Id=APP_UID).status_code == 200
    assert recorder.get(f"/v1/runs/{nested[0]['id']}")["source"] == "sdk"


def test_refused_spans_are_reported_and_counted(recorder: RecorderStage) -> None:
    wrong = a_run(began=1)
    result = recorder.send(request(wrong, a_run())).json()["partialSuccess"]
    assert (result["rejectedSpans"], "clock" in result["errorMessage"]) == ("3", True)
    by_protobuf = recorder.send(as_protobuf(request(wrong)), Content_Type="application/x-protobuf")
    assert b"clock" in by_protobuf.content
    assert recorder.metrics()["dynamiq_recorder_runs_refused_total"] == 6


def test_a_caller_with_a_key_does_not_change_a_run_of_a_pod(recorder: RecorderStage) -> None:
    """Callers get the run's id, and the App's pod forwards what they send with a key."""
    run = a_run(outcome="failed")
    recorder.record(run)
    forged = [sdk_runs()[0] | {"id": run_id_of(run)}]
    for body in ({"runs": forged}, request(a_run(run_id_of(run)))):
        result = recorder.send(body, X_Dynamiq_App_Id=APP_UID).json()["partialSuccess"]
        assert (int(result["rejectedSpans"]) > 0, "it is not changed" in result["errorMessage"]) == (True, True)
    found = recorder.get(f"/v1/runs/{run_id_of(run)}")
    assert (found["status"], found["source"], len(found["nodes"])) == ("failed", "runtime", 2)


def test_a_caller_who_knows_the_id_of_another_apps_run_neither_takes_nor_reads_it(recorder: RecorderStage) -> None:
    """Logs, links and traces contain run ids. Any container of a pod can read the pod's token."""
    recorder.users["rival"] = pod_user(OTHER_NAMESPACE, "chat-2", "pod-uid-2")
    for raw, path in pod_of(OTHER_NAMESPACE, "chat-2", "pod-uid-2", APP, OTHER_UID):
        recorder.script.on("GET", path, raw)
    of_admin, of_both = recorder.rights, {"stranger": (OTHER_NAMESPACE,), "reader": (NAMESPACE, OTHER_NAMESPACE)}
    recorder.rights = lambda spec: (
        spec["resourceAttributes"].get("namespace") in of_both[spec["user"]] if spec["user"] in of_both else of_admin(spec)
    )
    sent = sdk_runs()
    path = f"/v1/runs/{sent[0]['id']}"
    assert recorder.send({"runs": sent}, X_Dynamiq_App_Id=APP_UID).json() == {"partialSuccess": {}}
    assert recorder.call("POST", f"{path}/scores", json={"name": "helpful", "value": 1}).status_code == 201
    ours = recorder.get(path)
    problem(recorder.call("GET", path, STRANGER), 404)

    recorder.record(a_run(sent[0]["id"], outcome="failed"), token="rival")

    assert recorder.get(path) == ours
    theirs = recorder.get(path, STRANGER)
    assert (theirs["app_id"], theirs["source"], theirs["scores"]) == (OTHER_UID, "runtime", [])
    assert recorder.get(path, READER)["app_id"] == APP_UID, "of those that one may see, the one that was stored first"
    assert recorder.get(f"{path}?app_id={OTHER_UID}", READER)["source"] == "runtime"
    problem(recorder.call("GET", f"{path}?app_id={APP_UID}", STRANGER), 404)
    problem(recorder.call("DELETE", path, READER), 409, "app_id")
    assert recorder.call("POST", f"{path}/scores?app_id={OTHER_UID}", READER, json={"name": "tone", "value": 0}).status_code == 201
    assert [score["name"] for score in recorder.get(f"{path}?app_id={OTHER_UID}", READER)["scores"]] == ["tone"]
    problem(recorder.call("POST", f"{path}/scores?app_id={APP_UID}", STRANGER, json={"name": "tone", "value": 0}), 404)
    assert recorder.get(path) == ours
    assert recorder.call("DELETE", f"{path}?app_id={OTHER_UID}", READER).status_code == 204
    assert recorder.send({"runs": sent}, X_Dynamiq_App_Id=APP_UID).json() == {"partialSuccess": {}}
    assert recorder.get(path) == ours
    problem(recorder.call("GET", path, STRANGER), 404)


def test_bodies_that_are_refused(recorder: RecorderStage) -> None:
    packed = {"Content_Encoding": "gzip"}
    bomb = gzip.compress(b" " * (RUNS_MAX * 20))
    assert len(bomb) < RUNS_MAX // 20
    refused: list[tuple[bytes, dict[str, str], int, str]] = [
        (b"{", {}, 400, "not JSON"),
        (b"", {}, 400, "not JSON"),
        (b"{}", {}, 400, "runs"),
        (b"\xff" * 9, {"Content_Type": "application/x-protobuf"}, 400, "protobuf"),
        (b"{}", {"Content_Type": "text/plain"}, 415, "application/json"),
        (b"{}", {"Content_Encoding": "br"}, 415, "gzip"),
        (b"{}", packed, 400, "gzip"),
        (gzip.compress(b"{}")[:-4], packed, 400, "ends before"),
        (bomb, packed, 413, "decompressed"),
        (gzip.compress(bomb), packed, 400, "JSON"),
        (b"x" * (RUNS_MAX + 1), {}, 413, "decompressed"),
        (b'{"resourceSpans": ' + b"[" * 1_000_000, {}, 400, "not an ExportTraceServiceRequest"),
        (b'{"runs": ' + b"[" * 1_000_000, {}, 400, "nested"),
    ]
    for body, headers, status, says in refused:
        problem(recorder.send(body, **headers), status, says)
        recorder.record()


def test_every_request_without_a_token_is_refused(recorder: RecorderStage) -> None:
    run = a_run()
    recorder.record(run)
    for headers in (
        {},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer nobody"},
        {"X-Dynamiq-Token": "nobody"},
        {"Authorization": "Bearer " + "x" * 20_000},
    ):
        for method, path in (("POST", "/v1/traces"), ("GET", RUNS), ("GET", f"/v1/runs/{run_id_of(run)}"), ("DELETE", f"{RUNS}?user_id=a")):
            answer = recorder.session.request(method, recorder.url + path, headers=headers, timeout=IN_TIME)
            problem(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_other_header_counts_where_authorization_is_absent_and_only_there(recorder: RecorderStage) -> None:
    def status(**headers: str) -> int:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return recorder.session.get(recorder.url + RUNS, headers=given, timeout=IN_TIME).status_code

    assert status(X_Dynamiq_Token=ADMIN) == 200
    assert status(X_Dynamiq_Token=ADMIN, Authorization=f"Bearer {STRANGER}") == 404
    assert status(X_Dynamiq_Token=STRANGER, Authorization=f"Bearer {ADMIN}") == 200
    assert status(X_Dynamiq_Token=ADMIN, Authorization="") == 401


def test_each_request_for_runs_needs_its_right(recorder: RecorderStage) -> None:
    run = a_run(content=True, dynamiq__error="it broke", outcome="failed")
    recorder.record(run)
    one = f"/v1/runs/{run_id_of(run)}"
    nobodys = recorder.call("GET", f"/v1/runs/{uuid.uuid4()}", STRANGER)
    for path in (one, f"{one}/trace", f"{one}?include=content"):
        answer = recorder.call("GET", path, STRANGER)
        assert problem(answer, 404)["message"].replace(run_id_of(run), "-") == problem(nobodys, 404)["message"].replace(
            nobodys.json()["error"]["message"].split()[-1], "-"
        )
    for path in ("runs", "runs.jsonl", "metrics", "sessions", "recorder"):
        for who, uid in ((STRANGER, APP_UID), (ADMIN, OTHER_UID), (ADMIN, str(uuid.uuid4())), (ADMIN, "x" * 300)):
            problem(recorder.call("GET", f"/v1/apps/{uid}/{path}", who), 404)
    detail = recorder.get(f"{one}?include=content", VIEWER)
    assert (detail["content"], detail["input"], detail["error"], detail["nodes"][0]["input"]) == ("denied", None, None, None)
    assert "it broke" not in recorder.call("GET", f"{RUNS}.jsonl?include=content", VIEWER).text
    assert recorder.get(RUNS, VIEWER)[0]["error"] is None
    assert recorder.get(RUNS)[0]["error"] == "it broke"
    problem(recorder.call("GET", f"{RUNS}?error=broke", VIEWER), 403, "runcontents")
    assert len(recorder.get(f"{RUNS}?error=BROKE")) == 1
    problem(recorder.call("DELETE", one, VIEWER), 403, "delete")
    problem(recorder.call("DELETE", f"{RUNS}?user_id=a", VIEWER), 403)
    problem(recorder.call("DELETE", one, STRANGER), 404)
    problem(recorder.call("POST", f"{one}/scores", VIEWER, json={"name": "a", "value": 1}), 403, "update")
    assert recorder.call("DELETE", one).status_code == 204
    problem(recorder.call("GET", one), 404)


def test_a_process_belongs_to_the_pod_that_used_it_first(recorder: RecorderStage) -> None:
    recorder.record(a_run())
    recorder.users["second-pod"] = pod_user("team", "chat-2", "pod-uid-2")
    for raw, path in pod_of("team", "chat-2", "pod-uid-2", "chat", APP_UID)[:1]:
        recorder.script.on("GET", path, raw)
    problem(recorder.send(request(a_run()), "second-pod"), 403, "another pod")
    assert recorder.send(request(a_run(), instance=str(uuid.uuid4())), "second-pod").status_code == 200


def test_a_pod_is_one_process_at_once_and_as_many_as_it_is_restarted(recorder: RecorderStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "INSTANCES_OF_A_POD", 5)
    monkeypatch.setattr(context, "INSTANCES_MOST", 7)
    one, other = request(a_run()), request(a_run(), instance=str(uuid.uuid4()))
    problem(recorder.send({"resourceSpans": one["resourceSpans"] + other["resourceSpans"]}), 400, "each process")
    assert recorder.send({"resourceSpans": one["resourceSpans"] * 2}).status_code == 200
    for number in [*range(2, 9), 2, 8]:
        assert recorder.send(request(instance=str(number))).status_code == 200
    recorder.record()
    assert recorder.get(f"/v1/apps/{APP_UID}/recorder")["instances"] == 8


def test_the_oldest_processes_leave_the_memory_and_stay_in_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "INSTANCES_OF_A_POD", 3)
    monkeypatch.setattr(context, "INSTANCES_MOST", 5)
    store = {"a0": "a"}

    async def ask(call: Any, instance: str) -> str | None:
        return store.get(instance)

    given = {field.name: None for field in fields(context.Context) if field.default is MISSING and field.default_factory is MISSING}
    made = context.Context(**{**given, "store": SimpleNamespace(instance_pod=None)})  # type: ignore[arg-type]
    monkeypatch.setattr(made, "run_for_sender", ask)

    def owner(instance: str, pod: str) -> str:
        return asyncio.run(made.owner_of(instance, pod))

    assert [owner(f"a{number}", "a") for number in range(5)] == ["a"] * 5
    assert list(made.instances) == ["a2", "a3", "a4"]
    assert (owner("a0", "b"), owner("a4", "b"), owner("b0", "b"), owner("b1", "b"), owner("b2", "b")) == ("a", "a", "b", "b", "b")
    assert list(made.instances) == ["a4", "a0", "b0", "b1", "b2"]
    assert made.instances_of == {"a": {"a4": None, "a0": None}, "b": {"b0": None, "b1": None, "b2": None}}


def test_runs_of_a_deleted_app_require_a_right_in_all_namespaces(recorder: RecorderStage) -> None:
    """Its namespace's name may be another tenant's by now."""
    run = a_run()
    recorder.record(run)
    recorder.script.on("GET", f"/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/{NAMESPACE}/apps/chat", missing("apps", "chat"))
    recorder.put("apps", recorder.apps[0], "DELETED")
    eventually("the App is gone", lambda: recorder.call("GET", RUNS).status_code == 404)
    problem(recorder.call("GET", f"/v1/runs/{run_id_of(run)}"), 404)
    recorder.rights = lambda spec: spec["user"] == "admin"
    recorder.users["everywhere"] = {"username": "admin", "groups": ["fresh"]}
    assert [each["id"] for each in recorder.get(RUNS, "everywhere")] == [run_id_of(run)]
    problem(recorder.call("GET", f"/v1/apps/{uuid.uuid4()}/runs", "everywhere"), 404)
    problem(recorder.send(request(a_run(seq=2))), 403, "does not exist")


def test_the_gate_relays_for_an_app_that_it_names(recorder: RecorderStage) -> None:
    sent = sdk_runs()
    problem(recorder.send({"runs": sent}, GATE), 403, "X-Dynamiq-App-Id")
    problem(recorder.send({"runs": sent}, GATE, X_Dynamiq_App_Id=str(uuid.uuid4())), 403)
    assert recorder.send({"runs": sent}, GATE, X_Dynamiq_App_Id=APP_UID).status_code == 200
    problem(recorder.send({"runs": sent}, POD_TOKEN, X_Dynamiq_App_Id=OTHER_UID), 403, "its own App")
    problem(recorder.send({"runs": sent}, VIEWER, X_Dynamiq_App_Id=APP_UID), 403, "create apps/runs")
    problem(recorder.send({"runs": sent}, VIEWER), 403, "send the id of the runs' App")
    assert recorder.send({"runs": sdk_runs()}, ADMIN, X_Dynamiq_App_Id=APP_UID).status_code == 200
    assert recorder.send(request(a_run(), dynamiq__app__id=APP_UID), ADMIN).status_code == 200
    problem(recorder.send(request(a_run(), dynamiq__app__id=OTHER_UID), ADMIN), 403)


def test_an_account_named_like_an_uninstalled_program_is_not_trusted(stage: RecorderStage) -> None:
    """Anybody who may create namespaces may have an account of any name there."""
    stage.rights = lambda _: False
    stage.start(operator="")
    problem(stage.send({"runs": sdk_runs()}, GATE, X_Dynamiq_App_Id=APP_UID), 403, "create apps/runs")
    problem(stage.call("POST", f"/v1/apps/{APP_UID}/archive", OPERATOR, json={}), 403, "operator")
    stage.stop()
    stage.start(gate=GATE_USER, operator="")
    assert stage.send({"runs": sdk_runs()}, GATE, X_Dynamiq_App_Id=APP_UID).status_code == 200, "it was named"


def test_the_gate_goes_on_while_the_api_server_is_away(stage: RecorderStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "KNOWN_FOR", 0.0)
    stage.users[GATE] |= pod_user(GATE_NAMESPACE, "gate-1", "gate-pod") | {"username": GATE_USER}
    stage.script.on("GET", f"/api/v1/namespaces/{GATE_NAMESPACE}/pods/gate-1", {"metadata": {"name": "gate-1", "uid": "gate-pod"}})
    stage.start()
    for is_away in (False, True):
        stage.is_away = is_away
        assert stage.send({"runs": sdk_runs()}, GATE, X_Dynamiq_App_Id=APP_UID).status_code == 200
        assert stage.send({"runs": sdk_runs()}, ADMIN, X_Dynamiq_App_Id=APP_UID).status_code == (503 if is_away else 200)


def test_a_relayed_run_is_not_attributed_to_the_pod(recorder: RecorderStage) -> None:
    run = a_run()
    assert recorder.send(request(run), POD_TOKEN, X_Dynamiq_App_Id=APP_UID).status_code == 200
    found = recorder.get(f"/v1/runs/{run_id_of(run)}")
    assert (found["source"], found["instance"], found["seq"], found["pins"]) == ("otlp", None, None, None)


@pytest.mark.parametrize(
    ("redact", "content"), [({"fields": ["email"]}, "not_recorded"), ({"patterns": ["x"]}, "not_recorded"), ({}, "included")]
)
def test_content_that_no_pod_took_anything_out_of_is_not_kept_where_the_app_wants_that(
    stage: RecorderStage, redact: dict[str, Any], content: str
) -> None:
    stage.apps[0]["spec"]["runs"]["redact"] = redact
    stage.start()
    own, relayed, sent = a_run(content=True), a_run(seq=2, content=True), sdk_runs()
    stage.record(own)
    assert stage.send(request(relayed), POD_TOKEN, X_Dynamiq_App_Id=APP_UID).status_code == 200
    for token in (POD_TOKEN, GATE, ADMIN):
        assert stage.send({"runs": sent}, token, X_Dynamiq_App_Id=APP_UID).status_code == 200
    found = [stage.get(f"/v1/runs/{run}?include=content") for run in (run_id_of(own), run_id_of(relayed), sent[0]["id"])]
    assert [each["content"] for each in found] == ["included", content, content]
    assert [each["input"] is None for each in found] == [False, *[content == "not_recorded"] * 2]


def test_the_api_server_is_away(recorder: RecorderStage) -> None:
    recorder.record(a_run())
    recorder.get(RUNS)
    recorder.is_away = True
    recorder.record(a_run(seq=2))
    answer = recorder.send(request(a_run()), "a-new-token")
    problem(answer, 503, "try again")
    assert int(answer.headers["Retry-After"]) > 0
    recorder.is_away = False
    eventually("it is asked again", lambda: recorder.send(request(a_run()), "a-new-token").status_code == 401)


def test_a_process_that_is_silent_and_whose_pod_is_there_is_not_cut_off(recorder: RecorderStage) -> None:
    recorder.record(a_run(seq=3))
    recorder.pods.append({"metadata": {"name": "chat-1", "uid": "pod-uid-1"}})
    found = recorder.get(f"/v1/apps/{APP_UID}/recorder")
    assert (found["instances"], found["missing"], found["cut_off"], found["unattributed"]) == (1, 2, 0, 1)


def test_paths_and_methods_that_there_are_not(recorder: RecorderStage) -> None:
    problem(recorder.call("GET", "/v1/nothing"), 404)
    problem(recorder.call("PUT", RUNS), 405)
    problem(recorder.call("GET", "/v1/traces"), 405)
    answer = recorder.call("GET", RUNS, headers={"X-Request-Id": "abc-1"})
    assert answer.headers["X-Request-Id"] == "abc-1"
    assert answer.headers["Cache-Control"] == "no-store"
    assert recorder.session.get(f"{recorder.url}/healthz", timeout=IN_TIME).json() == {"status": "ok"}


def test_endless_trailers_are_cut_off_at_every_port(recorder: RecorderStage) -> None:
    beside = b"0\r\n" + b"X: a\r\n" * 20_000
    for port in (recorder.port, recorder.health_port):
        with socket.create_connection((HOST, port), timeout=IN_TIME) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + beside)
            while connection.recv(65536):
                pass

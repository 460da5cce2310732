"""The pods of a deployment over HTTP, with their Events and logs."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.base import SERVICE
from dynamiq_operator.desired.pod_template import CONTAINER
from dynamiq_operator.kube.resources import APPS, BY_KIND, EVENTS, PODS, ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.pods import logs, reading
from dynamiq_operator.rest.pods.responses import PodLog, PodResponse
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage, row
from tests.support.scripted import Reply, Sent, failure, listed
from tests.unit.support.workloads import pod, service

LIST = PODS.path("demo")
LATER = "2026-11-24T12:00:30Z"


def _path(stage: RestStage, more: str = "", of: str = "chat-b") -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}/deployments/{stage.uid(ROWS, of)}/pods{more}"


def _pods(stage: RestStage, of: str = "chat-b") -> list[Any]:
    found: list[Any] = stage.get(_path(stage, of=of))
    for each in found:
        PodResponse.model_validate(each)
    return found


def _event(of: str, **fields: Any) -> Manifest:
    return {
        "metadata": {"name": f"{of}.1"},
        "involvedObject": {"kind": "Pod", "name": of, "uid": f"uid-of-{of}"},
        "type": "Warning",
        "reason": "Failed",
        "message": "Failed to pull image",
        "count": 3,
        "lastTimestamp": LATER,
        **fields,
    }


PULLING = {"name": CONTAINER, "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
NOT_READY = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [PULLING]}


@pytest.fixture
def running(stage: RestStage) -> RestStage:
    """Returns a stage with two pods of v2, which is live, and one of v1, left over from a rollout."""
    made = [pod("old", "v1"), pod("new-1", "v2", seconds=5), pod("new-2", "v2", NOT_READY, seconds=9)]
    stage.script.on("GET", LIST, listed(*made)).on("GET", EVENTS.path("demo"), listed())
    stage.script.on("GET", BY_KIND[SERVICE.kind].path("demo", "chat"), service(None))
    for each in made:
        stage.script.on("GET", PODS.path("demo", each["metadata"]["name"]), each)
    return stage


def test_the_pods_of_a_row_newest_first_with_what_is_wrong(running: RestStage) -> None:
    running.script.on("GET", EVENTS.path("demo"), listed(_event("new-2"), _event("old"), _event("new-2", count=None, lastTimestamp=None)))
    pending, ready = _pods(running)
    assert (pending["name"], pending["phase"], pending["ready"], pending["is_serving"]) == ("new-2", "Pending", False, False)
    assert (pending["reason"], pending["node"], pending["created_at"]) == ("ErrImagePull", "node-1", "2026-11-24T12:00:09Z")
    assert "cannot be pulled: not found" in pending["message"]
    assert pending["events"] == [
        {"type": "Warning", "reason": "Failed", "message": "Failed to pull image", "count": 3, "last_at": LATER},
        {"type": "Warning", "reason": "Failed", "message": "Failed to pull image", "count": 1, "last_at": None},
    ]
    assert (ready["name"], ready["ready"], ready["is_serving"], ready["reason"], ready["events"]) == ("new-1", True, True, None, [])
    assert [each["name"] for each in _pods(running, "chat-a")] == ["old"]


def test_a_pod_has_its_restarts_and_their_cause(running: RestStage) -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    crashed = {
        "name": CONTAINER,
        "ready": False,
        "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": ended,
    }
    running.script.on("GET", LIST, listed(pod("new-1", "v2", {**NOT_READY, "containerStatuses": [crashed]})))
    (shown,) = _pods(running)
    assert (shown["restarts"], shown["reason"]) == (4, "OOMKilled")
    assert "more memory than its limit" in shown["message"]


def test_an_ending_pod_is_not_serving(running: RestStage) -> None:
    ending = pod("new-1", "v2")
    ending["metadata"]["deletionTimestamp"] = LATER
    running.script.on("GET", LIST, listed(ending))
    (shown,) = _pods(running)
    assert (shown["ready"], shown["is_serving"], shown["reason"]) == (True, False, "Terminating")


def test_under_strategy_switch_those_serve_that_the_service_selects(running: RestStage) -> None:
    running.script.on("GET", LIST, listed(pod("warm", "v1", switches=True), pod("serving", "v2", switches=True)))
    running.script.on("GET", BY_KIND[SERVICE.kind].path("demo", "chat"), service("v2"))
    assert [(each["name"], each["is_serving"]) for each in _pods(running)] == [("serving", True)]
    assert [(each["name"], each["is_serving"]) for each in _pods(running, "chat-a")] == [("warm", False)]


def test_pods_of_before_a_change_of_variables_are_still_of_their_row(running: RestStage) -> None:
    changed = make.app_manifest(make.with_variables({"name": "A", "value": "b"}))
    running.put({**changed, "metadata": {**changed["metadata"], "resourceVersion": "2"}})
    assert [each["name"] for each in _pods(running)] == ["new-2", "new-1"]


def test_pods_whose_image_admission_has_written_are_known_by_their_template(running: RestStage) -> None:
    mirrored = pod("new-1", "v2")
    mirrored["spec"]["containers"][0]["image"] = "mirror.test/runtime"
    running.script.on("GET", LIST, listed(mirrored))
    assert [each["name"] for each in _pods(running)] == ["new-1"]
    assert _pods(running, "chat-a") == []


def test_a_row_that_was_never_rolled_out_has_no_pods(running: RestStage) -> None:
    running.put(row("chat-c", make.waiting(3), make.created(9)))
    before = len(running.script.sent)
    assert _pods(running, "chat-c") == []
    assert LIST not in {sent.path for sent in running.script.sent[before:]}


def test_events_are_bounded_and_so_is_each_of_them(running: RestStage) -> None:
    many = [_event("new-1", message="x" * 100_000, lastTimestamp=f"2026-11-24T12:{number:02d}:00Z") for number in range(40)]
    running.script.on("GET", LIST, listed(pod("new-1", "v2")))
    running.script.on("GET", EVENTS.path("demo"), listed(*many))
    (shown,) = _pods(running)
    assert [each["last_at"][14:16] for each in shown["events"]] == [f"{number}" for number in range(39, 19, -1)]
    assert {len(each["message"]) for each in shown["events"]} == {2048}


def test_a_namespace_of_very_many_events_is_not_read_to_its_end(running: RestStage) -> None:
    query = {"fieldSelector": "involvedObject.kind=Pod"}
    running.script.on("GET", EVENTS.path("demo"), listed(_event("new-1"), token="more"), query=query)
    assert len(_pods(running)[1]["events"]) == reading.EVENT_PAGES_MOST
    assert len([sent for sent in running.script.sent if sent.path == EVENTS.path("demo")]) == reading.EVENT_PAGES_MOST


def test_the_newest_of_very_many_pods_are_returned(running: RestStage) -> None:
    running.script.on("GET", LIST, listed(*(pod(f"new-{number:02d}", "v2", seconds=number) for number in range(60))))
    pods = _pods(running)
    assert (len(pods), pods[0]["name"], pods[-1]["name"]) == (reading.PODS_MOST, "new-59", "new-10")


def test_pods_without_the_right_to_events_and_services(running: RestStage) -> None:
    running.script.on("GET", EVENTS.path("demo"), failure(403, "Forbidden"))
    running.script.on("GET", BY_KIND[SERVICE.kind].path("demo", "chat"), failure(403, "Forbidden"))
    assert [(each["is_serving"], each["events"]) for each in _pods(running)] == [(False, []), (True, [])]


def test_a_caller_who_may_not_list_pods_is_forbidden(running: RestStage) -> None:
    running.script.on("GET", LIST, failure(403, "Forbidden", "anna may not list pods"))
    assert "anna may not list pods" in running.call("GET", _path(running)).error(403)["message"]


def test_a_deployment_of_another_app_is_unknown_here(running: RestStage) -> None:
    other = running.put(make.app_manifest(name="other"))
    path = f"/v1/apps/{other['metadata']['uid']}/deployments/{running.uid(ROWS, 'chat-b')}/pods"
    assert "no deployment has the id" in running.call("GET", path).error(404)["message"]
    assert (
        "no deployment has the id"
        in running.call("GET", _path(running).replace(running.uid(ROWS, "chat-b"), UNKNOWN)).error(404)["message"]
    )


# Logs.


def _log(stage: RestStage, answer: Any, pod_name: str = "new-1") -> None:
    stage.script.on("GET", PODS.path("demo", pod_name, "log"), answer)


def _lines(stage: RestStage, query: str = "") -> Any:
    answer = stage.get(_path(stage, f"/new-1/logs{query}"))
    PodLog.model_validate(answer)
    return answer


def test_the_last_lines_of_a_log(running: RestStage) -> None:
    def answer(sent: Sent) -> Reply:
        text = "".join(f"line {number}\n" for number in range(500))
        return Reply(body="".join(text.splitlines(keepends=True)[-int(sent.query["tailLines"]) :]).encode())

    _log(running, answer)
    log = _lines(running, "?lines=3")
    assert log == {"pod": "new-1", "lines": ["line 497", "line 498", "line 499"], "is_cut": True, "previous": False, "message": None}
    assert (len(_lines(running)["lines"]), _lines(running, "?lines=500")["is_cut"]) == (200, False)
    sent = running.script.sent[-1]
    assert (sent.query["container"], "previous" in sent.query, sent.headers["Authorization"]) == (CONTAINER, False, "Bearer token-of-anna")


def test_the_log_of_the_container_before(running: RestStage) -> None:
    _log(running, lambda sent: Reply(body=b"it ended\n" if sent.query.get("previous") == "true" else b"it runs\n"))
    assert (_lines(running, "?previous=true")["lines"], _lines(running)["lines"]) == (["it ended"], ["it runs"])


def test_a_log_is_text_whatever_is_in_it(running: RestStage) -> None:
    _log(running, Reply(body=b"\xff\xfe <script>\x1b[31m\r\x00\n\nlast\xe2\x80\xae"))
    assert _lines(running)["lines"] == ["\ufffd\ufffd <script>\x1b[31m\r\x00", "", "last\u202e"]
    _log(running, Reply(body=b""))
    assert _lines(running) == {"pod": "new-1", "lines": [], "is_cut": False, "previous": False, "message": None}


def test_a_log_of_long_lines_is_cut_before_its_newest(running: RestStage) -> None:
    long = [f"{number:04d}{'x' * 3000}\n" for number in range(1000)]

    def answer(sent: Sent) -> Reply:
        kept = "".join(long[-int(sent.query["tailLines"]) :]).encode()
        return Reply(body=kept[: int(sent.query["limitBytes"])])

    _log(running, answer)
    log = _lines(running, "?lines=1000")
    assert log["lines"][-1].startswith("0999"), "the newest, though the kubelet counts bytes from the oldest"
    assert log["is_cut"]
    assert sum(len(line) + 1 for line in log["lines"]) <= logs.BYTES_MOST


def test_a_line_without_an_end_is_cut_from_its_begin(running: RestStage) -> None:
    _log(running, lambda sent: Reply(body=(b"y" * 10_000_000)[: int(sent.query["limitBytes"])]))
    log = _lines(running)
    assert ([len(line) for line in log["lines"]], log["is_cut"]) == ([logs.BYTES_MOST], True)


def test_a_container_that_has_not_started_has_no_log_but_the_message_of_the_cluster(running: RestStage) -> None:
    says = 'container "runtime" in pod "new-1" is waiting to start: trying and failing to pull image'
    _log(running, failure(400, "BadRequest", says))
    log = _lines(running)
    assert (log["lines"], log["message"]) == ([], says)


def test_the_right_to_logs_is_its_own(running: RestStage) -> None:
    _log(running, failure(403, "Forbidden", "anna may not get pods/log"))
    assert "anna may not get pods/log" in running.call("GET", _path(running, "/new-1/logs")).error(403)["message"]


def test_a_pod_has_to_be_of_the_row(running: RestStage) -> None:
    stranger = pod("stranger", "v2")
    stranger["metadata"]["labels"] = {names.APP_LABEL: "other", names.MANAGED_BY: names.FIELD_MANAGER}
    running.script.on("GET", PODS.path("demo", "stranger"), stranger)
    for name in ("old", "stranger", "gone"):
        _log(running, Reply(body=b"secret\n"), name)
        assert f"has no pod {name}" in running.call("GET", _path(running, f"/{name}/logs")).error(404)["message"]
    assert [sent for sent in running.script.sent if sent.path.endswith("/log")] == []
    _log(running, failure(404, "NotFound", "gone meanwhile"))
    assert "has no pod new-1" in running.call("GET", _path(running, "/new-1/logs")).error(404)["message"]


@pytest.mark.parametrize("more", ["/new-1/logs?lines=0", "/new-1/logs?lines=1001", "/New_1/logs", "/new-1/logs?previous=perhaps"])
def test_an_invalid_request_for_a_log_is_refused(running: RestStage, more: str) -> None:
    running.call("GET", _path(running, more)).error(422)

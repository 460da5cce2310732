"""The HTTP contract of a deployed App, on a real server."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dynamiq_runtime import __version__
from tests.support.flows import a_flow
from tests.support.runtime import DEADLINE, ECHO, SLOW, WAITS, Served, forked, refused, serving
from tests.support.waiting import eventually
from tests.unit.support.mounts import mount, swap

VERSION = {"DYNAMIQ_APP": "hello", "DYNAMIQ_APP_ID": "uid-1", "DYNAMIQ_WORKFLOW_VERSION": "v3"}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("echo"), ECHO, **VERSION) as served:
        yield served


def test_the_output_is_the_answer(echo: Served) -> None:
    answer = echo.run({"n": 2**80, "text": "žluť"})
    assert (answer.status, answer.body) == (200, {"result": {"n": 2**80, "text": "žluť"}})
    assert answer.headers["X-Dynamiq-Workflow-Version"] == "v3"


def test_a_run_comes_with_its_record(echo: Served) -> None:
    data = echo.run({"n": 1}, "/v1/runs").body["data"]
    named = ["id", "app_id", "status", "reason", "started_at", "ended_at", "input", "output", "user_id", "session_id", "input_requests"]
    assert list(data) == named
    assert (data["app_id"], data["status"], data["reason"], data["input"], data["output"]) == (
        "uid-1",
        "completed",
        "succeeded",
        {"n": 1},
        {"result": {"n": 1}},
    )
    assert data["started_at"].endswith("Z")
    assert data["started_at"] <= data["ended_at"]


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "code"),
    [
        ("POST", "/nowhere", b"{}", "application/json", 404, "not_found"),
        ("GET", "/", None, "", 405, "method_not_allowed"),
        ("POST", "/healthz", b"{}", "application/json", 405, "method_not_allowed"),
        ("POST", "/", b'{"input": {"x": "' + b"x" * (2 << 20) + b'"}}', "application/json", 413, "body_too_large"),
        ("POST", "/", b"input=1", "application/x-www-form-urlencoded", 415, "not_json"),
        ("POST", "/", b"{", "application/json", 400, "bad_request"),
        ("POST", "/", b"\xff", "application/json", 400, "bad_request"),
        ("POST", "/", b"[]", "application/json", 400, "bad_request"),
        ("POST", "/", b"{}", "application/json", 400, "bad_request"),
        ("POST", "/", b'{"input": 1}', "application/json", 400, "bad_request"),
        ("POST", "/", b'{"input": {"n": NaN}}', "application/json", 400, "bad_request"),
        ("POST", "/", b'{"input": {"n": ' + b"9" * 5000 + b"}}", "application/json", 400, "bad_request"),
        ("POST", "/v1/runs", b'{"input": {"n": ' + b"[" * 100_000 + b"}}", "application/json", 400, "bad_request"),
    ],
)
def test_every_refusal_has_one_shape(echo: Served, method: str, path: str, body: bytes | None, kind: str, status: int, code: str) -> None:
    answer = echo.request(method, path, body, {"Content-Type": kind} if kind else {})
    assert (answer.status, answer.body["error"]["code"]) == (status, code)
    assert sorted(answer.body["error"]) == ["code", "details", "message"]


def test_a_failing_node_is_named_without_a_traceback(tmp_path: Path) -> None:
    with serving(tmp_path, a_flow("def run(d):\n    return d['gone']\n")) as served:
        answer = served.run({})
        assert answer.status == 500
        assert answer.body["error"]["code"] == "node_failed"
        assert answer.body["error"]["message"] == "node \"code\" failed: KeyError: 'gone'"
        assert answer.body["error"]["details"]["nodes"][0]["id"] == "code"
        assert "Traceback" not in json.dumps(answer.body) + served.log.read_text()


def test_an_output_that_json_does_not_have_is_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, a_flow("def run(d):\n    return float('nan')\n")) as served:
        assert served.run({}).body["error"]["code"] == "output_not_json"


def test_a_private_app_wants_one_of_its_keys_and_follows_the_secret(tmp_path: Path) -> None:
    keys = mount(tmp_path / "keys", {"a": "first-key\n", "b": "second-key", "empty": ""})
    with serving(tmp_path, ECHO, DYNAMIQ_ACCESS_KEYS_DIR=str(keys)) as served:
        none, wrong = served.run({}), served.run({}, key="first-kez")
        assert (none.status, none.headers["WWW-Authenticate"], wrong.status) == (401, "Bearer", 401)
        assert (none.body["error"]["code"], wrong.body["error"]["code"]) == ("unauthorized", "unauthorized")
        assert [served.run({}, key=key).status for key in ("first-key", "second-key", "clé")] == [200, 200, 401]
        assert served.request("POST", "/", b"", {"Authorization": "Basic Zg=="}).status == 401
        assert [served.request("GET", path).status for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 404]
        swap(keys, {"a": "third-key"})
        assert [served.run({}, key=key).status for key in ("first-key", "third-key")] == [401, 200]
        assert "key" not in served.log.read_text()


def test_a_slow_run_holds_up_neither_others_nor_the_probes(tmp_path: Path) -> None:
    with serving(tmp_path, WAITS) as served, ThreadPoolExecutor(20) as pool:
        slow = [pool.submit(served.run, {"until": str(tmp_path / "over")}) for _ in range(20)]
        eventually("they run beside each other", lambda: served.metric("dynamiq_runtime_runs_in_flight") == len(slow))
        assert served.run({}).status == 200
        assert served.request("GET", "/readyz").status == 200
        (tmp_path / "over").touch()
        assert {future.result().body["result"] for future in slow} == {"slept"}


def test_concurrent_runs_keep_their_own_answers(echo: Served) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: echo.run({"n": number}).body["result"]["n"], range(300)))
    assert answers == list(range(300))


def test_a_run_that_never_ends_is_given_up_and_its_thread_is_freed(tmp_path: Path) -> None:
    endless = a_flow(
        "def run(d):\n    while d['endless']:\n        try:\n            n = 1\n        except Exception:\n            n = 2\n"
    )
    with serving(tmp_path, endless, DYNAMIQ_RUN_TIMEOUT="3") as served:

        def threads() -> int:
            return len(list(Path(f"/proc/{served.process.pid}/task").iterdir()))

        counts: list[int] = []

        def are_settled() -> bool:
            counts.append(threads())
            return len(counts) >= 5 and len(set(counts[-5:])) == 1

        assert served.run({"endless": False}).status == 200
        eventually("what start-up and the first run began has ended", are_settled)
        assert served.run({"endless": True}).body["error"]["code"] == "run_timed_out"
        eventually("the thread is freed", lambda: threads() == counts[-1])
        assert served.metric('dynamiq_runtime_runs_total{outcome="timed_out"}') == 1


def test_metrics_count_runs(echo: Served) -> None:
    succeeded = 'dynamiq_runtime_runs_total{outcome="succeeded"}'
    before = echo.metric(succeeded)
    echo.run({})
    assert echo.metric(succeeded) == before + 1
    assert echo.metric("dynamiq_runtime_runs_in_flight") == 0
    assert echo.metric("dynamiq_runtime_run_duration_seconds_count") > 0
    assert echo.metric(f'dynamiq_runtime_info{{app="hello",engine="tiny",version="{__version__}",workflow_version="v3"}}') == 1


def test_a_stop_lets_runs_end_and_only_then_refuses_connections(tmp_path: Path) -> None:
    with serving(tmp_path, WAITS) as served, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(served.run, {"until": str(tmp_path / "over")})
        eventually("a run is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1)
        served.terminate()
        eventually("it is no longer ready", lambda: served.request("GET", "/readyz").status == 503)
        assert served.run({}).status == 200
        (tmp_path / "over").touch()
        assert slow.result().body == {"result": "slept"}
        assert served.process.wait(DEADLINE) == 0
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", served.port), 1)


def _probed(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Sends a probe, and returns the answer, read to its end."""
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    answer.read()
    return answer


def test_a_stop_loses_no_call_of_callers_who_keep_their_connections(tmp_path: Path) -> None:
    """A connection to a Service's address stays with its pod while it is open, whatever the Service's endpoints are by then."""
    print(f"seed {(seed := random.randrange(1 << 32))}")  # noqa: S311 - pauses
    calls: list[int] = []

    def calling(number: int) -> None:
        """Calls again and again until an answer says that it is the last one on this connection."""
        pauses, kept = random.Random(seed + number), http.client.HTTPConnection("127.0.0.1", served.port, timeout=DEADLINE)  # noqa: S311
        while (answer := _probed(kept)).headers["Connection"] is None:
            calls.append(number)
            time.sleep(pauses.random() / 20)
        assert answer.headers["Connection"] == "close"

    with serving(tmp_path, ECHO) as served, ThreadPoolExecutor(20) as pool:
        callers = [pool.submit(calling, number) for number in range(20)]
        eventually("each of them has called", lambda: len(set(calls)) == len(callers))
        served.terminate()
        for each in callers:
            each.result()
        assert served.process.wait(DEADLINE) == 0


def test_a_stop_does_not_wait_for_unused_connections(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served, socket.create_connection(("127.0.0.1", served.port), DEADLINE) as unused:
        served.terminate()
        assert unused.recv(1) == b""
        assert served.process.wait(DEADLINE) == 0


def test_a_stop_does_not_wait_longer_than_the_drain_time(tmp_path: Path) -> None:
    with serving(tmp_path, SLOW, DYNAMIQ_DRAIN_SECONDS="0.2") as served:
        thread = threading.Thread(target=_ignore_errors, args=(served,), daemon=True)
        thread.start()
        eventually("a run is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1)
        served.terminate()
        assert served.process.wait(DEADLINE) == 0


def _ignore_errors(served: Served) -> None:
    try:
        served.run({"seconds": 60})
    except OSError:
        return


def test_inputs_and_outputs_stay_out_of_the_log(echo: Served) -> None:
    echo.run({"secret": "s3cr3t-value"})
    assert "s3cr3t-value" not in echo.log.read_text()
    assert all(json.loads(line)["time"] for line in echo.log.read_text().splitlines())


def test_a_refused_start_has_its_cause_in_one_line_and_for_the_kubelet(tmp_path: Path) -> None:
    (tmp_path / "termination-log").touch()
    flow = json.dumps({"nodes": [{"id": "llm", "type": "dynamiq.nodes.llms.OpenAI"}]})
    expected = 'node "llm" has type dynamiq.nodes.llms.OpenAI, which engine "tiny" does not run (it runs Input, Python, Output, HumanFeedbackTool, Delay)'
    assert refused(tmp_path, flow) == (2, f"dynamiq-runtime: {expected}")
    assert (tmp_path / "termination-log").read_text() == f"dynamiq-runtime: {expected}"


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"DYNAMIQ_ENGINE": "dynamiq"}, 'DYNAMIQ_ENGINE is "dynamiq", and the engines are tiny, sdk'),
        ({"DYNAMIQ_ENGINE": "sdk"}, 'DYNAMIQ_ENGINE is "sdk", and this image has no dynamiq: use the image runtime-sdk'),
        ({"DYNAMIQ_MAX_CONCURRENT_RUNS": "0"}, "DYNAMIQ_MAX_CONCURRENT_RUNS is 0, not between 1 and 1000"),
        ({"PORT": "http"}, "PORT is 'http', not a number"),
        (
            {"PORT": "9090", "DYNAMIQ_METRICS_PORT": ""},
            "calls and metrics can't share port 9090: set DYNAMIQ_METRICS_PORT, or PORT, to another one",
        ),
        ({"DYNAMIQ_FLOW": "/nowhere/flow"}, "the flow can't be read from /nowhere/flow: No such file or directory"),
        ({"DYNAMIQ_ACCESS_KEYS_DIR": "/nowhere"}, "the Access Keys can't be read from /nowhere: No such file or directory"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variables: dict[str, str], line: str) -> None:
    assert refused(tmp_path, ECHO, **variables) == (2, f"dynamiq-runtime: {line}")


def test_another_flow_than_was_deployed_is_not_served(tmp_path: Path) -> None:
    deployed, found = (f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for text in (SLOW, ECHO))
    code, line = refused(tmp_path, ECHO, DYNAMIQ_FLOW_HASH=deployed)
    assert code == 2
    assert line.endswith(f"is another than was deployed: its hash is {found}, and DYNAMIQ_FLOW_HASH is {deployed}")


def test_a_taken_port_is_another_exit_code(tmp_path: Path, echo: Served) -> None:
    code, line = refused(tmp_path, ECHO, PORT=str(echo.port))
    assert code == 1
    assert f"it can't listen on port {echo.port}" in line


def _called(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """Returns the exit code of `call`, and its lines."""
    code = forked(folder, "call", *arguments).wait(DEADLINE)
    return code, (folder / "printed").read_text().splitlines()


def test_call_prints_the_answer_and_counts_a_steady_load(tmp_path: Path, echo: Served) -> None:
    url = f"http://127.0.0.1:{echo.port}/"
    code, lines = _called(tmp_path, url, "--input", '{"n": 1}')
    assert lines[-1].endswith(' 200 {"result":{"n":1}}')
    assert code == 0
    _, lines = _called(tmp_path, url, "--input", '{"n": 1}', "--every", "0.01", "--for", "1", "--quiet")
    summary = json.loads(lines[0])
    sent = summary["sent"]
    assert sent == 100 or summary["left_out"], "what a busy machine is late for is left out, and said"
    assert (summary["ok"], summary["failed"]) == (sent, 0)
    assert (summary["by_status"], summary["by_output"]) == ({"200": sent}, {'{"result":{"n":1}}': sent})


@pytest.mark.parametrize(("kept", "most"), [("2", 2), ("0", None)], ids=["kept", "a new one each"])
def test_call_shares_the_connections_that_it_keeps(tmp_path: Path, kept: str, most: int | None) -> None:
    def seconds() -> float:
        """Returns the seconds from the first call to the last one."""
        with counting() as (port, connections):
            url = f"http://127.0.0.1:{port}/"
            _, (*lines, summary) = _called(tmp_path, url, "--every", "0.02", "--for", "1", "--keep-alive", kept, "--timed")
        figures = json.loads(summary)
        assert figures["sent"] == 50 or figures["left_out"]
        assert figures["ok"] == len(lines) == figures["sent"]
        assert len(connections) <= most if most else len(connections) == figures["sent"]
        times = [tuple(map(float, line.split()[:2])) for line in lines]
        assert all(sent <= answered for sent, answered in times)
        return times[-1][0] - times[0][0]

    # Calls follow one another: all at once would take hundredths of a second. A busy machine may delay the first ones, so the test tries
    # again.
    eventually("they are spread over half a second", lambda: seconds() >= 0.4)


@contextmanager
def counting() -> Iterator[tuple[int, list[object]]]:
    """Yields the port of a server that keeps connections open, and a list with an entry for each connection."""
    connections: list[object] = []

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(self)
            super().setup()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name is http.server's
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], connections
        server.shutdown()


def test_call_ends_with_its_summary_on_sigterm_and_counts_failures(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        calling = forked(tmp_path, "call", f"http://127.0.0.1:{closed.getsockname()[1]}/", "--every", "0.01")
        printed = tmp_path / "printed"
        eventually("a call has failed", lambda: printed.exists() and " error " in printed.read_text())
        calling.terminate()
        assert calling.wait(DEADLINE) == 1
        summary = json.loads(printed.read_text().splitlines()[-1])
    assert summary["failed"] == summary["sent"] == summary["by_status"]["error"] > 0
    assert 1 <= len(summary["errors"]) <= 5


def test_the_runtime_imports_nothing_of_the_operator() -> None:
    script = "import sys, dynamiq_runtime.__main__, dynamiq_runtime.server, dynamiq_runtime.call\n"
    script += "print([name for name in sys.modules if name.startswith(('dynamiq_operator', 'kopf', 'kubernetes', 'pydantic'))])"
    folder = Path(__file__).parents[3] / "operator"
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

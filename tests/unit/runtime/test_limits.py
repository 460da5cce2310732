"""What a server does when too much is asked of it, and that its bounds can be set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.runtime import DEADLINE, ECHO, SLOW, serving
from tests.support.waiting import eventually

ONE = {"DYNAMIQ_MAX_CONCURRENT_RUNS": "1", "DYNAMIQ_MAX_QUEUED_RUNS": "1"}


def test_a_run_too_many_is_refused_at_once_and_those_that_wait_are_answered(tmp_path: Path) -> None:
    with serving(tmp_path, SLOW, **ONE) as served, ThreadPoolExecutor(2) as pool:
        first = pool.submit(served.run, {"seconds": 6})
        eventually("a run is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1)
        second = pool.submit(served.run, {"seconds": 0})
        eventually("a run waits", lambda: served.metric("dynamiq_runtime_runs_waiting") == 1)
        refusals = [served.run({"seconds": 0}), served.run({"seconds": 0}, "/v1/runs"), served.run({"seconds": 0}, stream=True)]
        assert not first.done()
        for refused in refusals:
            assert (refused.status, refused.headers["Retry-After"], refused.body["error"]["code"]) == (429, "1", "too_many_runs")
            assert refused.body["error"]["details"] == {"concurrent_runs": 1, "queued_runs": 1}
        assert [served.request("GET", path).status for path in ("/healthz", "/readyz")] == [200, 200]
        assert [future.result().body for future in (first, second)] == [{"result": "slept"}] * 2
        assert served.metric('dynamiq_runtime_requests_refused_total{code="too_many_runs"}') == 3
        assert served.metric('dynamiq_runtime_runs_total{outcome="succeeded"}') == 2
        assert served.run({"seconds": 0}).status == 200


def test_a_run_that_waits_in_vain_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, SLOW, DYNAMIQ_RUN_TIMEOUT="6", **ONE) as served, ThreadPoolExecutor(1) as pool:
        endless = pool.submit(served.run, {"seconds": 20})
        eventually("a run is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1)
        assert served.run({"seconds": 0}).status == 429  # its thread sleeps on, given up or not
        assert endless.result().status == 504


def test_a_body_may_be_as_large_as_is_set(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO, DYNAMIQ_BODY_LIMIT="1000") as served:
        assert served.run({"x": "y" * 900}).status == 200
        refused = served.run({"x": "y" * 1000})
        assert (refused.status, refused.body["error"]["details"]) == (413, {"limit": 1000})


def test_a_caller_cut_off_by_a_stop_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, SLOW, DYNAMIQ_DRAIN_SECONDS="0.2") as served, ThreadPoolExecutor(2) as pool:
        plain, stream = pool.submit(served.run, {"seconds": 60}), pool.submit(served.run, {"seconds": 60}, stream=True)
        eventually("two runs are under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 2)
        served.terminate()
        answer = plain.result()
        assert (answer.status, answer.headers["Retry-After"], answer.body["error"]["code"]) == (503, "1", "stopping")
        assert [(name, data["error"]["code"]) for name, data in stream.result().events] == [("error", "stopping")]
        assert served.process.wait(DEADLINE) == 0

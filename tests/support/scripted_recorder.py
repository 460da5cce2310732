"""Scripts a recorder: a test writes answers, and a small world answers every other call about runs: two runs of App chat.

It records nothing and decides nothing: tests of the recorder's behaviour use the recorder. `made` has answers by the models of the
contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dynamiq_operator.model import runs, traces
from dynamiq_operator.model.runs import RunStatus, Verdict
from tests.support.scripted import Reply, Script, Sent

RUN = "11111111-0000-4000-8000-000000000001"
FAILED_RUN = "11111111-0000-4000-8000-000000000002"
ROW = "22222222-0000-4000-8000-000000000002"
BEFORE = "22222222-0000-4000-8000-000000000001"
TOKENS = {"input_tokens": 1200, "output_tokens": 300, "cache_read_tokens": 1000, "cache_write_tokens": None}
NO_TOKENS: dict[str, Any] = dict.fromkeys(TOKENS)
FIGURES = {
    "runs": 500,
    "failed": 4,
    "refused": 1,
    "abandoned": 2,
    "p50_ms": 800.0,
    "p95_ms": 2100.0,
    "cost_usd": 1.25,
    "unpriced_calls": 0,
    **TOKENS,
}
SENTENCE = "#2 (v2) is slower than #1 (v1): p95 2.1 s against 1.5 s, +40 % (+28 % to +53 %); most of it is the node Answer"


def a_run(**changed: Any) -> dict[str, Any]:
    """Returns one run of a list, as the recorder answers it."""
    fields = {
        "id": RUN,
        "app_id": "33333333-0000-4000-8000-000000000001",
        "deployment_id": ROW,
        "sequence": 2,
        "workflow_version": "v2",
        "status": RunStatus.SUCCEEDED,
        "reason": None,
        "source": "runtime",
        "trigger": None,
        "session_id": "s-1",
        "user_id": "u-1",
        "tags": ("beta",),
        "started_at": "2026-11-24T12:00:00.000000Z",
        "ended_at": "2026-11-24T12:00:01.234000Z",
        "duration_ms": 1234.0,
        "first_chunk_ms": None,
        "cost_usd": 0.0123,
        "unpriced_calls": 0,
        "models": ("gpt-4o",),
        "node_count": 2,
        **TOKENS,
        **changed,
    }
    return runs.RunSummary.model_validate(fields).model_dump(mode="json")


def a_failed_run(**changed: Any) -> dict[str, Any]:
    failed = {
        "id": FAILED_RUN,
        "status": RunStatus.FAILED,
        "reason": "node_failed",
        "cost_usd": None,
        "unpriced_calls": 1,
        "trigger": "nightly",
    }
    return a_run(**{**failed, "duration_ms": 65000.0, **changed})


def a_node(**changed: Any) -> dict[str, Any]:
    fields = {
        "span_id": "aaaaaaaaaaaaaaa1",
        "parent_id": None,
        "node_id": "answer",
        "name": "Answer",
        "type": "dynamiq.nodes.llms.OpenAI",
        "model": "gpt-4o",
        "provider": "openai",
        "status": "succeeded",
        "error_type": None,
        "attempts": 1,
        "cached": False,
        "started_at": "2026-11-24T12:00:00.100000Z",
        "offset_ms": 100.0,
        "duration_ms": 1100.0,
        "cost_usd": 0.0123,
        "cost_source": "table",
        **TOKENS,
        **changed,
    }
    return runs.RunNode.model_validate(fields).model_dump(mode="json")


def a_detail(*nodes: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Returns one run with all details."""
    more = {
        "pins": "0123456789abcdef",
        "workflow_hash": None,
        "trace_id": "0" * 31 + "1",
        "instance": "44444444-0000-4000-8000-000000000001",
        "seq": 7,
        "nodes": nodes or (a_node(),),
        "nodes_kept": True,
        "scores": ({"name": "helpful", "value": 1.0, "comment": None, "by": "anna@example.com", "at": "2026-11-24T13:00:00.000000Z"},),
        "content": "left_out",
    }
    return runs.RunDetail.model_validate({**a_run(), **more, **changed}).model_dump(mode="json")


def a_page(*listed: dict[str, Any], total: int | None = None, cursor: str | None = None) -> dict[str, Any]:
    count = len(listed) if total is None else total
    pagination = {"page": 1, "page_size": 25, "page_count": -(-count // 25), "total_count": count, "next_cursor": cursor}
    return {"data": list(listed), "pagination": runs.RunPagination.model_validate(pagination).model_dump(mode="json")}


def a_verdict(**changed: Any) -> dict[str, Any]:
    fields = {"deployment_id": ROW, "sequence": 2, "figures": FIGURES, "verdict": Verdict.REGRESSED, "sentence": SENTENCE, **changed}
    return runs.RowVerdict.model_validate(fields).model_dump(mode="json")


def a_comparison(verdict: Verdict = Verdict.REGRESSED, **changed: Any) -> dict[str, Any]:
    p95 = {"value": 2100.0, "baseline": 1500.0, "ratio": 1.4, "low": 1.28, "high": 1.53, "p_value": 0.0001, "verdict": verdict}
    same = {"value": 0.0025, "baseline": 0.0025, "ratio": 1.0, "low": 0.96, "high": 1.04, "p_value": 0.9, "verdict": Verdict.UNCHANGED}
    rate = {"value": 0.008, "baseline": 0.006, "ratio": 1.33, "low": -0.008, "high": 0.012, "p_value": 0.7, "verdict": Verdict.UNCHANGED}
    row = {
        "deployment_id": ROW,
        "sequence": 2,
        "workflow_version": "v2",
        "figures": FIGURES,
        "mean_tokens": 1500.0,
        "mean_cost_usd": 0.0025,
    }
    fields = {
        "deployment": row,
        "baseline": {**row, "deployment_id": BEFORE, "sequence": 1, "workflow_version": "v1"},
        "verdict": verdict,
        "p50_ms": {**same, "value": 800.0, "baseline": 800.0},
        "p95_ms": p95,
        "failure_rate": rate,
        "cost_usd": same,
        "tokens": {**same, "value": 1500.0, "baseline": 1500.0},
        "node": {"node_id": "answer", "name": "Answer", "of": "p95_ms", "share": 0.83},
        "sentence": SENTENCE,
        **changed,
    }
    return runs.RunComparison.model_validate(fields).model_dump(mode="json")


def a_session(**changed: Any) -> dict[str, Any]:
    named = {"id": "s-1", "created_at": "2026-11-24T12:00:00.000000Z", "input": None, "session_id": "s-1"}
    fields = {**named, "user_id": "u-1", "runs": 3, "failed": 1, "cost_usd": 0.05, "unpriced_calls": 0, **TOKENS}
    times = {"first_at": "2026-11-24T12:00:00.000000Z", "last_at": "2026-11-24T12:30:00.000000Z"}
    return runs.SessionSummary.model_validate({**fields, **times, **changed}).model_dump(mode="json")


def sessions(*listed: dict[str, Any]) -> dict[str, Any]:
    pagination = {"page": 1, "page_size": 25, "page_count": 1, "total_count": len(listed)}
    return {"data": list(listed), "pagination": runs.CountedPagination.model_validate(pagination).model_dump(mode="json")}


def a_trace(**changed: Any) -> dict[str, Any]:
    """Returns one run in the product's shape."""
    times = {"started_at": "2026-11-24T12:00:00.000000Z", "ended_at": "2026-11-24T12:00:01.234000Z"}
    usage = {"prompt_tokens": 1200, "completion_tokens": 300}
    fields = {"id": RUN, "source_id": None, "status": "completed", "reason": "succeeded", "input": None, "output": None, "usage": usage}
    return traces.Trace.model_validate({**fields, **times, **changed}).model_dump(mode="json")


def a_message(**changed: Any) -> dict[str, Any]:
    fields = {"id": RUN, "input": None, "output": None, "created_at": "2026-11-24T12:00:00.000000Z", "trace_id": RUN, **changed}
    return traces.SessionMessage.model_validate(fields).model_dump(mode="json")


def usage() -> dict[str, Any]:
    counts = {"requests": 500, "completed": 493, "failed": 5, "canceled": 2, "unpriced_calls": 0}
    figures = {**counts, "prompt_tokens": 1200, "completion_tokens": 300, "cost_usd": 1.25, "mean_latency_seconds": 0.81}
    begin = {"start_time": "2026-11-23T12:00:00.000000Z"}
    whole = {**begin, "end_time": "2026-11-24T12:00:00.000000Z", "interval_seconds": 86400, "summary": figures}
    return traces.UsageMetrics.model_validate({**whole, "buckets": ({**figures, **begin},)}).model_dump(mode="json")


def metrics() -> dict[str, Any]:
    point = {"at": "2026-11-24T12:00:00.000000Z", **FIGURES}
    series = {"key": "", "total": FIGURES, "points": (point,)}
    times = {"since": "2026-11-23T12:00:00.000000Z", "until": "2026-11-24T12:00:00.000000Z"}
    return runs.RunMetrics.model_validate({**times, "interval": "hour", "group_by": None, "series": (series,)}).model_dump(mode="json")


def a_state(**changed: Any) -> dict[str, Any]:
    fields = {"instances": 2, "missing": 0, "cut_off": 0, "unattributed": 0, "first_at": None, "last_at": None, **changed}
    return runs.RecorderState.model_validate(fields).model_dump(mode="json")


def problem(status: int, message: str, code: str = "error", **headers: str) -> Reply:
    """Returns an error in the contract's shape."""
    body = {"error": {"code": code, "message": message, "details": {}}}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def _score(sent: Sent) -> Reply:
    score = {"comment": None, **sent.body}
    return Reply(201, {"data": {**score, "by": "anna@example.com", "at": "2026-11-24T13:00:00.000000Z"}})


_APP, _ID = "/v1/apps/[^/]+", "[^/]+"
_WORLD: tuple[tuple[str, str, Callable[[Sent], Reply]], ...] = (
    ("GET", "/healthz", lambda _: Reply()),
    ("GET", f"{_APP}/runs", lambda _: Reply(body=a_page(a_failed_run(), a_run()))),
    (
        "GET",
        f"{_APP}/runs.jsonl",
        lambda _: Reply(headers={"Content-Type": "application/jsonl"}, stream=[a_detail(), a_detail(id=FAILED_RUN)]),
    ),
    ("DELETE", f"{_APP}/runs", lambda _: Reply(body={"data": {"deleted": 2}})),
    ("GET", f"{_APP}/metrics", lambda _: Reply(body={"data": metrics()})),
    ("GET", f"{_APP}/deployments/{_ID}/comparison", lambda _: Reply(body={"data": a_comparison()})),
    ("GET", f"{_APP}/verdicts", lambda _: Reply(body={"data": [a_verdict()]})),
    ("GET", f"{_APP}/sessions", lambda _: Reply(body=sessions(a_session()))),
    ("GET", f"{_APP}/traces", lambda _: Reply(body=a_page(a_trace()))),
    ("GET", f"{_APP}/traces/{_ID}", lambda _: Reply(body={"data": a_trace()})),
    ("GET", f"{_APP}/messages", lambda _: Reply(body=a_page(a_message()))),
    ("GET", f"{_APP}/usage", lambda _: Reply(body={"data": usage()})),
    ("GET", f"{_APP}/recorder", lambda _: Reply(body={"data": a_state()})),
    ("GET", f"/v1/runs/{_ID}", lambda _: Reply(body={"data": a_detail()})),
    ("DELETE", f"/v1/runs/{_ID}", lambda _: Reply(204, b"")),
    ("GET", f"/v1/runs/{_ID}/trace", lambda _: Reply(body={"data": {"runs": []}})),
    ("POST", f"/v1/runs/{_ID}/scores", _score),
)


class ScriptedRecorder(Script):
    """The answers to requests: by a line of the test, else by the small world."""

    def answer(self, sent: Sent) -> Reply:
        reply = super().answer(sent)
        if not self.unscripted or self.unscripted[-1] is not sent:
            return reply
        self.unscripted.pop()
        return answer(sent)


def answer(sent: Sent, prefix: str = "") -> Reply:
    """Returns the small world's answer. `prefix`: of the path, if the request came through the API server."""
    path = sent.path.removeprefix(prefix)
    for method, pattern, answers in _WORLD:
        if method == sent.method and re.fullmatch(pattern, path):
            return answers(sent)
    return problem(404, f"there is no {sent.method} {path}", "not_found")

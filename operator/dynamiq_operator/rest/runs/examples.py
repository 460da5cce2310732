"""Example runs, of the same App as the other examples of the OpenAPI document.

Its second row is slower than its first, because of one node.
"""

from __future__ import annotations

from typing import Any

from dynamiq_operator.model import runs
from dynamiq_operator.model.runs import Verdict
from dynamiq_operator.rest.http.examples import EXAMPLES

APP, ROW = EXAMPLES["App"]["id"], EXAMPLES["Deployment"]["id"]
RUN_ID, BEFORE = "11b20c3e-8d3f-4be3-9a55-0c7e5c1d2a01", "0d0c4dbd-6f0a-4a53-9f0e-6a3f0d3f7c11"
_BEGAN, _ENDED, _FROM = "2026-11-24T22:31:02.104000Z", "2026-11-24T22:31:03.338000Z", "2026-11-24T22:00:00.000000Z"
_TOKENS: dict[str, Any] = {"input_tokens": 1200, "output_tokens": 300, "cache_read_tokens": 1000, "cache_write_tokens": None}
_FIGURES = {
    "runs": 500,
    "failed": 4,
    "refused": 1,
    "abandoned": 2,
    "p50_ms": 800.0,
    "p95_ms": 2100.0,
    "cost_usd": 1.25,
    "unpriced_calls": 0,
    **_TOKENS,
}
_SAME = {"value": 0.0025, "baseline": 0.0025, "ratio": 1.0, "low": 0.96, "high": 1.04, "p_value": 0.9, "verdict": Verdict.UNCHANGED}
_SENTENCE = "#2 (v2) is slower than #1 (v1): p95 2.1 s against 1.5 s, +40 % (+28 % to +53 %); most of it is the node Answer"
_RUN: dict[str, Any] = {
    "id": RUN_ID,
    "app_id": APP,
    "deployment_id": ROW,
    "sequence": 2,
    "workflow_version": "v2",
    "status": "succeeded",
    "reason": None,
    "source": "runtime",
    "trigger": None,
    "session_id": "s-1",
    "user_id": "u-1",
    "tags": ("beta",),
    "started_at": _BEGAN,
    "ended_at": _ENDED,
    "duration_ms": 1234.0,
    "first_chunk_ms": None,
    "cost_usd": 0.0123,
    "unpriced_calls": 0,
    "models": ("gpt-4o",),
    "node_count": 1,
    **_TOKENS,
}
_NODE: dict[str, Any] = {
    "span_id": "6fa1c2d3e4b50718",
    "parent_id": None,
    "node_id": "answer",
    "name": "Answer",
    "type": "dynamiq.nodes.llms.OpenAI",
    "model": "gpt-4o",
    "provider": "openai",
    "status": "succeeded",
    "error_type": None,
    "error_line": None,
    "attempts": 1,
    "cached": False,
    "started_at": "2026-11-24T22:31:02.204000Z",
    "offset_ms": 100.0,
    "duration_ms": 1100.0,
    "cost_usd": 0.0123,
    "cost_source": "table",
    **_TOKENS,
}
_ROW: dict[str, Any] = {"sequence": 2, "workflow_version": "v2", "figures": _FIGURES, "mean_tokens": 1500.0, "mean_cost_usd": 0.0025}

SCORE = runs.RunScore(name="helpful", value=1.0, comment="as asked", by="anna@example.com", at="2026-11-24T22:40:00.000000Z")
RUN = runs.RunDetail.model_validate(
    {
        **_RUN,
        "pins": "0123456789abcdef",
        "workflow_hash": None,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "instance": "2c1f0a52-31aa-4f6b-9a44-8d6c0a1b7e55",
        "seq": 7,
        "nodes": (_NODE,),
        "nodes_kept": True,
        "scores": (SCORE,),
        "content": "left_out",
    }
)
PAGE = runs.RunPage(
    data=(runs.RunSummary.model_validate(_RUN),),
    pagination=runs.RunPagination(page=1, page_size=25, page_count=1, total_count=1, next_cursor=None),
)
TRACE = runs.RunTrace(runs=({"id": RUN_ID, "name": "support", "type": "workflow", "start_time": _BEGAN, "end_time": _ENDED},))
DELETED = runs.DeletedRuns(deleted=12)
METRICS = runs.RunMetrics.model_validate(
    {
        "since": _FROM,
        "until": "2026-11-24T23:00:00.000000Z",
        "interval": "hour",
        "group_by": None,
        "series": ({"key": "", "total": _FIGURES, "points": ({"at": _FROM, **_FIGURES},)},),
    }
)
COMPARISON = runs.RunComparison.model_validate(
    {
        "deployment": {**_ROW, "deployment_id": ROW},
        "baseline": {**_ROW, "deployment_id": BEFORE, "sequence": 1, "workflow_version": "v1", "figures": {**_FIGURES, "p95_ms": 1500.0}},
        "verdict": Verdict.REGRESSED,
        "p50_ms": {**_SAME, "value": 800.0, "baseline": 800.0},
        "p95_ms": {"value": 2100.0, "baseline": 1500.0, "ratio": 1.4, "low": 1.28, "high": 1.53, "p_value": 0.0001, "verdict": "regressed"},
        "failure_rate": {**_SAME, "value": 0.008, "baseline": 0.008, "low": -0.011, "high": 0.011},
        "cost_usd": _SAME,
        "tokens": {**_SAME, "value": 1500.0, "baseline": 1500.0},
        "node": {"node_id": "answer", "name": "Answer", "of": "p95_ms", "share": 0.83},
        "sentence": _SENTENCE,
    }
)
VERDICT = runs.RowVerdict.model_validate(
    {"deployment_id": ROW, "sequence": 2, "figures": _FIGURES, "verdict": Verdict.REGRESSED, "sentence": _SENTENCE}
)
SESSIONS = runs.SessionPage.model_validate(
    {
        "data": (
            {
                "session_id": "s-1",
                "user_id": "u-1",
                "runs": 3,
                "failed": 1,
                "first_at": _BEGAN,
                "last_at": _ENDED,
                "cost_usd": 0.0369,
                "unpriced_calls": 0,
                **_TOKENS,
            },
        ),
        "pagination": {"page": 1, "page_size": 25, "page_count": 1, "total_count": 1},
    }
)
STATE = runs.RecorderState(instances=2, missing=0, cut_off=0, unattributed=0, first_at=_BEGAN, last_at=_ENDED)

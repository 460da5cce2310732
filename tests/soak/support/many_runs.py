"""Draws a month of ten Apps' runs from a seed, as a store accepts them: some have nodes, failures, sessions and prices."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dynamiq_operator.model.runs import CostSource, NodeStatus, RunSource, RunStatus
from dynamiq_recorder.model import MICROSECONDS, NO_TOKENS, Batch, Row, Run, Span, Tokens

APPS, ROWS = 10, 40  # and rows of each App
DAYS = 30
DAY = 86400 * MICROSECONDS
BIG = 0.5
"""The first App's part of all runs."""
NODES, CALLS_A_MODEL = ("input", "retrieve", "rank", "summarize", "output"), "summarize"
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "our-own-model")
PRICED = 3  # of these models
ERRORS = ("node_failed", "output_not_json")
BATCH = 1000
FAILED, REFUSED, WITH_SESSION, WITH_TAGS = 0.03, 0.01, 0.6, 0.2


@dataclass(frozen=True)
class Month:
    """`runs` runs that end at `until` (microseconds since 1970), one of `nodes_in` with its nodes."""

    runs: int
    until: int
    seed: int
    nodes_in: int = 10

    @property
    def since(self) -> int:
        return self.until - DAYS * DAY

    @cached_property
    def apps(self) -> tuple[str, ...]:
        """Returns their uids, the big one first."""
        return tuple(f"00000000-0000-4000-8000-{number:012x}" for number in range(APPS))

    @cached_property
    def rows(self) -> dict[str, tuple[Row, ...]]:
        """Returns the rows of each App, oldest first: each was live for an equal part of the month."""
        return {app: tuple(self._row(app, sequence) for sequence in range(1, ROWS + 1)) for app in self.apps}

    def _row(self, app: str, sequence: int) -> Row:
        began = self.since + (sequence - 1) * (DAYS * DAY // ROWS)
        return Row(
            uid=f"{app[:24]}{sequence:04x}{app[28:]}",
            app_uid=app,
            namespace="measured",
            app=f"app-{int(app[24:], 16)}",
            sequence=sequence,
            digest=f"{app[-4:]}{sequence:060x}",
            pins=f"{sequence:016x}",
            workflow_version=f"v{sequence}",
            began=began,
            succeeded=True,
            ended=began,
        )

    def batches(self) -> Iterator[Batch]:
        """Yields all runs in order of time, as a recorder gets them."""
        draw = random.Random(self.seed)  # noqa: S311 - figures, not secrets
        step = DAYS * DAY / self.runs
        for first in range(0, self.runs, BATCH):
            numbers = range(first, min(first + BATCH, self.runs))
            yield Batch(runs=tuple(self._run(draw, number, self.since + int(number * step)) for number in numbers))

    def _run(self, draw: random.Random, number: int, at: int) -> Run:
        chance = draw.random
        app = self.apps[0 if chance() < BIG else 1 + int(chance() * (APPS - 1))]
        row = self.rows[app][min(ROWS - 1, (at - self.since) * ROWS // (DAYS * DAY))]
        duration = int(draw.lognormvariate(13, 0.5))  # a median of 0.44 s
        failed, model = chance(), int(chance() * len(MODELS))
        status = RunStatus.FAILED if failed < FAILED else RunStatus.REFUSED if failed < FAILED + REFUSED else RunStatus.SUCCEEDED
        tokens = Tokens(input=200 + int(chance() * 1800), output=20 + int(chance() * 400), cache_read=int(chance() * 200))
        cost = 1000 * int(tokens.input or 0) + 4000 * int(tokens.output or 0) if model < PRICED else None
        identity = f"{draw.getrandbits(128):032x}"
        spans = self._spans(identity, at, duration, status, MODELS[model], tokens, cost) if not number % self.nodes_in else ()
        return Run(
            id=f"{identity[:8]}-{identity[8:12]}-4{identity[13:16]}-8{identity[17:20]}-{identity[20:]}",
            app_uid=app,
            namespace=row.namespace,
            app=row.app,
            status=status,
            source=RunSource.RUNTIME,
            started_at=at,
            duration=duration,
            trace_id=identity,
            row_uid=row.uid,
            sequence=row.sequence,
            row_digest=row.digest,
            pins=row.pins,
            workflow_version=row.workflow_version,
            workflow_hash=row.digest,
            reason=ERRORS[number % 2] if status is RunStatus.FAILED else None,
            trigger="nightly" if chance() < FAILED else None,
            session_id=f"session-{int(chance() * self.runs / 5)}" if chance() < WITH_SESSION else None,
            user_id=f"user-{int(chance() * 5000)}" if chance() < WITH_SESSION else None,
            tags=("eu", f"customer-{int(chance() * 50)}") if chance() < WITH_TAGS else (),
            tokens=tokens,
            cost=cost,
            unpriced=0 if model < PRICED else 1,
            model_calls=1,
            models=(MODELS[model],),
            instance=f"00000000-0000-4000-9000-{row.sequence:04x}{app[28:]}",
            seq=number + 1,
            spans=spans,
            node_count=len(NODES),
        )

    def _spans(
        self, identity: str, at: int, duration: int, status: RunStatus, model: str, tokens: Tokens, cost: int | None
    ) -> tuple[Span, ...]:
        part = duration // len(NODES)
        failed = status is not RunStatus.SUCCEEDED
        spans = []
        for number, node in enumerate(NODES):
            is_model = node == CALLS_A_MODEL
            spans.append(
                Span(
                    span_id=f"{identity[:15]}{number:x}",
                    node_id=node,
                    name=node.title(),
                    started_at=at + number * part,
                    duration=part,
                    type="dynamiq.nodes.llms.OpenAI" if is_model else "dynamiq.nodes.tools.Python",
                    status=NodeStatus.FAILED if failed and is_model else NodeStatus.SUCCEEDED,
                    error_type="node_failed" if failed and is_model else None,
                    model=model if is_model else None,
                    is_model=is_model,
                    tokens=tokens if is_model else NO_TOKENS,
                    cost=cost if is_model else None,
                    cost_source=CostSource.REPORTED if is_model and cost is not None else None,
                )
            )
        return tuple(spans)

"""Parses the recorder's comparison of a row with the one before it, as far as decisions need it.

It is lenient: a recorder of another version may add fields. An unreadable answer counts as none, and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dynamiq_operator.model.recorder import Verdict


@dataclass(frozen=True)
class Figure:
    """A figure of the row, relative to the one before. `ratio`: None if unknown. `regressed`: by more than chance explains.

    `too_few`: True if either row has too few runs for a result on this figure, even if they are enough for others.
    """

    ratio: float | None = None
    regressed: bool = False
    too_few: bool = False


@dataclass(frozen=True)
class RecordedComparison:
    """A comparison of two rows by their runs.

    - `row`: the row's uid. `runs`: its recorded runs.
    - `baseline`: the sequence of the row before; None if there is none.
    - `too_few`: True if either row has too few runs for a result.
    - `node`: the figure, the node that explains most of its change, and that node's part of the change from 0 to 1.
    - `matures_seconds`: how long ago a run has to have begun to count; None if all runs count.
    - `unended`: the number of such runs in flight that was sent to the recorder; None if none was sent.
    """

    row: str
    runs: int
    too_few: bool
    baseline: int | None
    p95: Figure = Figure()
    cost: Figure = Figure()
    node: tuple[str, str, float] | None = None
    matures_seconds: float | None = None
    unended: int | None = None

    @classmethod
    def of(cls, body: bytes, unended: int | None = None) -> RecordedComparison:
        """Returns the comparison in a recorder's answer.

        Raises ValueError if the body is no comparison.
        """
        try:
            answer = _Body.model_validate_json(body).data
        except ValidationError as error:
            raise ValueError("no comparison") from error
        node = answer.node
        return cls(
            row=answer.deployment.deployment_id,
            runs=answer.deployment.figures.runs,
            too_few=answer.verdict == Verdict.TOO_FEW_RUNS,
            baseline=answer.baseline.sequence if answer.baseline is not None else None,
            p95=_figure(answer.p95_ms),
            cost=_figure(answer.cost_usd),
            node=(node.of, node.name, node.share) if node is not None else None,
            matures_seconds=answer.matures_seconds,
            unended=unended,
        )


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class _Figures(_Part):
    runs: int = Field(ge=0)


class _ComparedRow(_Part):
    deployment_id: str
    sequence: int
    figures: _Figures


class _Figure(_Part):
    ratio: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    verdict: str


class _Node(_Part):
    name: str
    of: str
    share: float = Field(ge=0, le=1)


class _Comparison(_Part):
    deployment: _ComparedRow
    baseline: _ComparedRow | None = None
    verdict: str
    p95_ms: _Figure | None = None
    cost_usd: _Figure | None = None
    node: _Node | None = None
    matures_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class _Body(_Part):
    data: _Comparison


def _figure(figure: _Figure | None) -> Figure:
    if figure is None:
        return Figure()
    return Figure(figure.ratio, figure.verdict == Verdict.REGRESSED, figure.verdict == Verdict.TOO_FEW_RUNS)

"""What the recorder says of a row against the one before it, as far as something is decided by it.

It is read leniently: a recorder of another version may say more. What cannot be read is no answer, and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dynamiq_operator.model.recorder import Verdict


@dataclass(frozen=True)
class Figure:
    """A figure of the row as a part of the one before's, None where it is not known; `regressed`: by more than chance explains.

    `too_few`: whether either row has too few runs for a verdict on this figure, though it may have enough for others.
    """

    ratio: float | None = None
    regressed: bool = False
    too_few: bool = False


@dataclass(frozen=True)
class Comparison:
    """`row`: its uid. `runs`: of it, recorded by then. `baseline`: the sequence of the row that it is compared with, None where there is none.

    `too_few`: whether either row has too few runs for a verdict. `nodes`: by the figure, the node that explains most of its change, and
    its part of that from 0 to 1. `matures_seconds`: how long ago a run has to have begun to count; None where all count. `unended`: how many
    of these it was told had not ended; None where it was not told.
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
    def of(cls, body: bytes, unended: int | None = None) -> Comparison:
        """Raises ValueError where the body is no comparison."""
        try:
            said = _Answer.model_validate_json(body).data
        except ValidationError as error:
            raise ValueError("no comparison") from error
        node = said.node
        return cls(
            row=said.deployment.deployment_id,
            runs=said.deployment.figures.runs,
            too_few=said.verdict == Verdict.TOO_FEW_RUNS,
            baseline=said.baseline.sequence if said.baseline is not None else None,
            p95=_figure(said.p95_ms),
            cost=_figure(said.cost_usd),
            node=(node.of, node.name, node.share) if node is not None else None,
            matures_seconds=said.matures_seconds,
            unended=unended,
        )


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class _Figures(_Said):
    runs: int = Field(ge=0)


class _Row(_Said):
    deployment_id: str
    sequence: int
    figures: _Figures


class _Figure(_Said):
    ratio: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    verdict: str


class _Node(_Said):
    name: str
    of: str
    share: float = Field(ge=0, le=1)


class _Comparison(_Said):
    deployment: _Row
    baseline: _Row | None = None
    verdict: str
    p95_ms: _Figure | None = None
    cost_usd: _Figure | None = None
    node: _Node | None = None
    matures_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class _Answer(_Said):
    data: _Comparison


def _figure(said: _Figure | None) -> Figure:
    if said is None:
        return Figure()
    return Figure(said.ratio, said.verdict == Verdict.REGRESSED, said.verdict == Verdict.TOO_FEW_RUNS)

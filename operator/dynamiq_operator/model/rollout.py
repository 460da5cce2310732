"""`App.spec.rollout`: how one version replaces another, what stays as standby, and when a version is reverted."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, WithJsonSchema

from dynamiq_operator.model.base import Part, rule, validated
from dynamiq_operator.model.manifests import REVERT_FAILED_PERCENT, REVERT_SECONDS, SWITCH
from dynamiq_operator.model.verification import Verify


class Strategy(StrEnum):
    """How the pods of one row replace those of another."""

    ROLLING = "Rolling"
    SWITCH = SWITCH


AS_LIVE = "live"
"""Value of `keepWarm.replicas`: as many pods as the live version has."""


@validated(
    rule(
        f"!has(self.replicas) || (type(self.replicas) == string ? self.replicas == '{AS_LIVE}' : (self.replicas >= 0 && self.replicas <= 1000))",
        f"replicas is {AS_LIVE}, for as many as the live version has, or a number from 0 to 1000",
        fieldPath=".replicas",
    )
)
class KeepWarm(Part):
    """The standby: pods of the last replaced version that stay, so that a rollback starts none."""

    replicas: Annotated[
        int | str,
        WithJsonSchema(
            {
                "x-kubernetes-int-or-string": True,
                "description": "live, for as many pods as the live version has, or a number; 0 keeps none. Left out: live.",
            }
        ),
    ] = AS_LIVE
    seconds: Annotated[
        int | None, Field(ge=1, le=31536000, description="Seconds for which they stay. Left out: until another version is replaced.")
    ] = None


class RevertPolicy(Part):
    """The conditions under which the operator reverts a version that went live."""

    seconds: Annotated[
        int, Field(ge=10, le=86400, description="Seconds after a row went live during which its runs are watched. Left out: 300.")
    ] = REVERT_SECONDS
    max_failed_percent: Annotated[
        int,
        Field(
            ge=0,
            le=99,
            description="Percent of runs that may fail, not counting wrong requests. If more fail, and more than of the version before, it is reverted. Left out: 20.",
        ),
    ] = REVERT_FAILED_PERCENT
    min_runs: Annotated[int, Field(ge=1, le=100000, description="Runs that are needed for a decision. Left out: 20.")] = 20
    max_p95_ratio: Annotated[
        float | None,
        Field(
            ge=1.05,
            le=100,
            description="Highest p95 of its first recorded runs, as a multiple of that of the version before. It needs minRuns runs, at least 60. Beyond it, and not by chance, the version is reverted. Left out: not compared.",
        ),
    ] = None
    max_cost_ratio: Annotated[
        float | None,
        Field(
            ge=1.05,
            le=100,
            description="Highest cost per run, compared in the same way. It needs at least 30 runs with a known price. Left out: not compared.",
        ),
    ] = None

    @property
    def compares(self) -> bool:
        """True if a version is compared with the previous one, by the recorder's data on both."""
        return self.max_p95_ratio is not None or self.max_cost_ratio is not None


@validated(
    rule(
        "!has(self.keepWarm) || (has(self.strategy) && self.strategy == 'Switch')",
        "keepWarm is for strategy Switch: add it, or remove keepWarm",
        fieldPath=".keepWarm",
    ),
    rule(
        "!has(self.verify) || (has(self.strategy) && self.strategy == 'Switch')",
        "verify is for strategy Switch, where new pods are ready before a caller reaches them: add it, or remove verify",
        fieldPath=".verify",
    ),
)
class Rollout(Part):
    """How a deploy proceeds."""

    progress_deadline_seconds: Annotated[
        int, Field(ge=10, le=86400, description="Seconds that a deploy may make no progress before it fails. Left out: 300.")
    ] = 300
    strategy: Annotated[
        Strategy,
        Field(
            description="Rolling: pods are replaced one after the other. Switch: the new version's pods start beside the live ones, and calls "
            "move to them at once when all are ready. Left out: Rolling."
        ),
    ] = Strategy.ROLLING
    keep_warm: Annotated[
        KeepWarm | None,
        Field(description="For strategy Switch: the standby of the version that was replaced. Left out: as many pods as the live one has."),
    ] = None
    revert: Annotated[RevertPolicy | None, Field(description="Revert a bad version automatically. Left out: never.")] = None

    verify: Annotated[
        Verify | None,
        Field(description="For strategy Switch: the smoke test that new pods must pass before a caller reaches them. Left out: none."),
    ] = None
    hold_after_rollback: Annotated[
        bool | None,
        Field(
            description="False: changes from Git are deployed after a manual rollback, too. Left out: they are on hold until somebody resumes them."
        ),
    ] = None

    @property
    def switches(self) -> bool:
        """True if the strategy is Switch."""
        return self.strategy is Strategy.SWITCH

    @property
    def warm(self) -> KeepWarm:
        """The standby under Switch."""
        return self.keep_warm or KeepWarm()

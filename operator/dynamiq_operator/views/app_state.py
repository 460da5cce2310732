"""Derives the state of an App, one word with the reason, from its status and its undecided rows.

It reads objects as the API server sends them: a list may contain Apps that this version cannot parse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dynamiq_operator.model.app_status import PROGRESSING
from dynamiq_operator.model.manifests import Manifest, Phase
from dynamiq_operator.plan.history.ledger import DEPLOY_FIELDS
from dynamiq_operator.plan.status.conditions import LIVE, READY
from dynamiq_operator.views.history import newest_first
from dynamiq_operator.views.sleep import is_asleep
from dynamiq_operator.views.waiting import waits_of

UNDER_WAY = (Phase.PENDING, Phase.PROGRESSING)
DEPLOYING = "Deploying"
"""Reason of the App's condition Progressing while a row is rolled out; with any other reason, a row waits."""


class ServingState(StrEnum):
    """The state of an App.

    Asleep: no pod, on purpose. Degraded: a row is live, but not as it should be. NotDeployed: nothing is live, and nothing failed.
    """

    LIVE = "Live"
    ASLEEP = "Asleep"
    PROGRESSING = "Progressing"
    PENDING = "Pending"
    FAILED = "Failed"
    DEGRADED = "Degraded"
    NOT_DEPLOYED = "NotDeployed"


@dataclass(frozen=True)
class ExplainedState:
    """The state of an App. `reason`: one CamelCase word of a condition; `message`: its sentence. None if there is none."""

    state: ServingState
    reason: str | None = None
    message: str | None = None


def rows_under_way(rows: Iterable[Manifest]) -> list[Manifest]:
    """Returns the App's rows that are not decided yet, newest first. A row with an outcome is decided, whatever its phase is."""
    return [row for row in newest_first(rows) if _phase(row) in UNDER_WAY and not row["spec"].get("outcome")]


def app_state(app: Manifest, under_way: Manifest | None, waiting: Manifest | None = None) -> ExplainedState:
    """Returns the state of the App. `under_way`: its newest row in a rollout; `waiting`: its newest blocked row.

    None: there is none, or the caller may not read rows. `waiting` counts only while nothing is live.
    """
    status = app.get("status") or {}
    ready, live = condition_of(status, READY), condition_of(status, LIVE)
    if (deploying := _deploying(status, under_way)) is not None:
        return deploying
    if not status.get("live"):
        if waiting is not None and (waits := waits_of(waiting)) is not None:
            return ExplainedState(ServingState.PENDING, waits["reason"], waits["message"])
        word = ServingState.FAILED if status.get("failed") else ServingState.NOT_DEPLOYED
        return _state(word, live)
    if ready.get("status") == "True":
        return _state(ServingState.ASLEEP if is_asleep(status) else ServingState.LIVE, ready)
    return _state(ServingState.DEGRADED, ready)


def is_as_declared(app: Manifest, live: Manifest | None) -> bool:
    """Returns True if the live row is the one that `App.spec.deploy` now describes. `live`: None if the caller may not read it."""
    deploy, spec = app["spec"].get("deploy") or {}, live["spec"] if live is not None else {}
    if (spec.get("pinned") or {}).get("source") != "App":
        return False
    return {key: deploy[key] for key in DEPLOY_FIELDS if key in deploy} == {key: spec[key] for key in DEPLOY_FIELDS if key in spec}


def condition_of(status: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    """Returns the condition of a type; empty if there is none."""
    conditions = (each for each in status.get("conditions") or () if each.get("type") == type_)
    return next(conditions, {})


def _deploying(status: Mapping[str, Any], under_way: Manifest | None) -> ExplainedState | None:
    progressing = condition_of(status, PROGRESSING)
    is_progressing = progressing.get("status") == "True"
    if under_way is None:
        # Only the App's condition, for callers who may not read rows. It may lag behind the rows.
        return (
            _state(ServingState.PROGRESSING if progressing.get("reason") == DEPLOYING else ServingState.PENDING, progressing)
            if is_progressing
            else None
        )
    word = ServingState.PENDING if _phase(under_way) == Phase.PENDING else ServingState.PROGRESSING
    of_row = condition_of(under_way.get("status") or {}, "Succeeded")
    return _state(word, of_row if of_row.get("message") else progressing if is_progressing else {})


def _state(word: ServingState, condition: Mapping[str, Any]) -> ExplainedState:
    return ExplainedState(word, condition.get("reason") or None, condition.get("message") or None)


def _phase(row: Manifest) -> str:
    return (row.get("status") or {}).get("phase") or Phase.PENDING.value

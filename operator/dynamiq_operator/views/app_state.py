"""How an App is, in one word with the reason: of its status, and of the rows that are not decided yet.

It reads objects as the API server sends them: a list of Apps also has those that this version cannot read whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dynamiq_operator.model.app import PROGRESSING
from dynamiq_operator.model.manifests import Manifest, Phase
from dynamiq_operator.plan.history.ledger import ASKED_IN_APP
from dynamiq_operator.plan.status.conditions import LIVE, READY
from dynamiq_operator.views.history import newest_first
from dynamiq_operator.views.sleep import is_asleep
from dynamiq_operator.views.waiting import waits_of

UNDER_WAY = (Phase.PENDING, Phase.PROGRESSING)
DEPLOYING = "Deploying"
"""Reason of the App's condition Progressing while a row is rolled out; any other one waits."""


class AppWord(StrEnum):
    """Asleep: no pod, on purpose. Degraded: something is live, and not as it should be. NotDeployed: nothing is, and nothing has failed."""

    LIVE = "Live"
    ASLEEP = "Asleep"
    PROGRESSING = "Progressing"
    PENDING = "Pending"
    FAILED = "Failed"
    DEGRADED = "Degraded"
    NOT_DEPLOYED = "NotDeployed"


@dataclass(frozen=True)
class AppState:
    """`reason`: one CamelCase word of a condition; `message`: its sentence. None where nothing is said."""

    word: AppWord
    reason: str | None = None
    message: str | None = None


def rows_under_way(rows: Iterable[Manifest]) -> list[Manifest]:
    """Those of an App's rows that are not decided yet, newest first. One that has its outcome is, whatever its phase still says."""
    return [row for row in newest_first(rows) if _phase(row) in UNDER_WAY and not row["spec"].get("outcome")]


def app_state(app: Manifest, under_way: Manifest | None, waiting: Manifest | None = None) -> AppState:
    """How the App is. `under_way`: its newest row that is being rolled out; `waiting`: its newest row that is held.

    None where there is none, or rows may not be read. What waits says how an App is only where nothing is live.
    """
    status = app.get("status") or {}
    ready, live = condition_of(status, READY), condition_of(status, LIVE)
    if (deploying := _deploying(status, under_way)) is not None:
        return deploying
    if not status.get("live"):
        if waiting is not None and (waits := waits_of(waiting)) is not None:
            return AppState(AppWord.PENDING, waits["reason"], waits["message"])
        word = AppWord.FAILED if status.get("failed") else AppWord.NOT_DEPLOYED
        return _said(word, live)
    if ready.get("status") == "True":
        return _said(AppWord.ASLEEP if is_asleep(status) else AppWord.LIVE, ready)
    return _said(AppWord.DEGRADED, ready)


def is_as_declared(app: Manifest, live: Manifest | None) -> bool:
    """Whether the row that is live is the one that `App.spec.deploy` asked for, as it asks now. `live`: None where it may not be read."""
    deploy, spec = app["spec"].get("deploy") or {}, live["spec"] if live is not None else {}
    if (spec.get("pinned") or {}).get("source") != "App":
        return False
    return {key: deploy[key] for key in ASKED_IN_APP if key in deploy} == {key: spec[key] for key in ASKED_IN_APP if key in spec}


def condition_of(status: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    """The condition of a type; empty where there is none."""
    found = (each for each in status.get("conditions") or () if each.get("type") == type_)
    return next(found, {})


def _deploying(status: Mapping[str, Any], under_way: Manifest | None) -> AppState | None:
    told = condition_of(status, PROGRESSING)
    is_told = told.get("status") == "True"
    if under_way is None:
        # The App's own word alone, for who may not read rows; it may lag behind those who do.
        return _said(AppWord.PROGRESSING if told.get("reason") == DEPLOYING else AppWord.PENDING, told) if is_told else None
    word = AppWord.PENDING if _phase(under_way) == Phase.PENDING else AppWord.PROGRESSING
    of_row = condition_of(under_way.get("status") or {}, "Succeeded")
    return _said(word, of_row if of_row.get("message") else told if is_told else {})


def _said(word: AppWord, condition: Mapping[str, Any]) -> AppState:
    return AppState(word, condition.get("reason") or None, condition.get("message") or None)


def _phase(row: Manifest) -> str:
    return (row.get("status") or {}).get("phase") or Phase.PENDING.value

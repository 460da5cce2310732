"""Reads and changes the state of an App's hostname: its route, its condition and its claim."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dynamiq_operator.model import names
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from dynamiq_operator.model.objects import format_time
from tests.support.api import Manifest
from tests.support.history_stage import HistoryStage
from tests.support.waiting import eventually


def routes(stage: HistoryStage, app: str) -> bool:
    return stage.find("Ingress", app) is not None


def settled(stage: HistoryStage, app: str) -> bool:
    """Returns True if the App has a route, or a condition that says why it has none."""
    return routes(stage, app) or stage.condition(app, "ChildrenApplied").get("reason") == "HostnameTaken"


def refused(stage: HistoryStage, app: str) -> str:
    """Waits until the App's condition refuses its hostname, and returns the condition's message."""
    message = str(stage.until_condition(app, "ChildrenApplied", "False", reason="HostnameTaken")["message"])
    assert not routes(stage, app)
    assert stage.condition(app, "Ready")["status"] == "False"
    return message


def claim(hostname: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.claim(hostname), "namespace": OPERATOR_NAMESPACE}}


def asked_long_ago(stage: HistoryStage, hostname: str) -> None:
    """Moves the time of a claim that another App requests into the past: its grace is over."""
    _set_requested(stage, hostname, timedelta(seconds=-61))


def asked_later(stage: HistoryStage, hostname: str) -> None:
    """Moves the time of a claim that another App requests into the future."""
    # A garbage collector on a busy machine may take long: the grace has to last as long.
    _set_requested(stage, hostname, timedelta(minutes=10))


def _set_requested(stage: HistoryStage, hostname: str, shift: timedelta) -> None:
    noted = names.RELEASED_ANNOTATION
    eventually("the claim is asked for", lambda: noted in stage.api.read(claim(hostname)).body.get("metadata", {}).get("annotations", {}))
    then = format_time(datetime.now(UTC) + shift)
    assert stage.api.merge(claim(hostname), {"metadata": {"annotations": {noted: then}}}).ok

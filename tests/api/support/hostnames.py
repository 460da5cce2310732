"""What there is of an App's hostname: its route, the condition that says why it has none, and the claim."""

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
    """Whether the App has a route, or a condition that says why not."""
    return routes(stage, app) or stage.condition(app, "ChildrenApplied").get("reason") == "HostnameTaken"


def refused(stage: HistoryStage, app: str) -> str:
    """What the App's conditions say of its hostname, once they do."""
    said = str(stage.until_condition(app, "ChildrenApplied", "False", reason="HostnameTaken")["message"])
    assert not routes(stage, app)
    assert stage.condition(app, "Ready")["status"] == "False"
    return said


def claim(hostname: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.claim(hostname), "namespace": OPERATOR_NAMESPACE}}


def asked_long_ago(stage: HistoryStage, hostname: str) -> None:
    """Turns the clock of a claim that another App asks for: its grace has passed."""
    _asked(stage, hostname, timedelta(seconds=-61))


def asked_later(stage: HistoryStage, hostname: str) -> None:
    """Turns it on: the grace lasts as long as a garbage collector on a busy machine may take."""
    _asked(stage, hostname, timedelta(minutes=10))


def _asked(stage: HistoryStage, hostname: str, shift: timedelta) -> None:
    noted = names.RELEASED_ANNOTATION
    eventually("the claim is asked for", lambda: noted in stage.api.read(claim(hostname)).body.get("metadata", {}).get("annotations", {}))
    then = format_time(datetime.now(UTC) + shift)
    assert stage.api.merge(claim(hostname), {"metadata": {"annotations": {noted: then}}}).ok

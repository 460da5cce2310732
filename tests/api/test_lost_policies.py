"""The operator reports on a real API server when policies that protect the history are missing, and when rules may be weakened."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import format_time
from local.clusters import Cluster
from tests.support.admission import POLICIES, wait_until_all_refuse
from tests.support.history_stage import HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

ROWS = names.FROZEN_DEFINITIONS[0]


@pytest.fixture
def lacking(stage: HistoryStage) -> Iterator[None]:
    """Yields an installation that lost a binding, and in which a rule may be weakened for an hour."""
    until = format_time(datetime.now(UTC) + timedelta(hours=1))
    stage.kubectl("delete", "validatingadmissionpolicybinding", "dynamiq-status")
    stage.kubectl("annotate", "crd", ROWS, f"{names.WEAKENING_ANNOTATION}=field spec.a", f"{names.WEAKENING_UNTIL_ANNOTATION}={until}")
    try:
        yield
    finally:
        stage.kubectl("annotate", "crd", ROWS, f"{names.WEAKENING_ANNOTATION}-", f"{names.WEAKENING_UNTIL_ANNOTATION}-")
        stage.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(POLICIES))
        wait_until_all_refuse(stage.api)  # the tests after this one have been told that they do


LOST = "ValidatingAdmissionPolicyBinding dynamiq-status"


def schema_events(stage: HistoryStage) -> list[tuple[str, str]]:
    """Returns reasons and messages of the Events about the schema. Operators of earlier tests without policies reported these too."""
    found = stage.api.get("Event", "", "default", fieldSelector=f"involvedObject.name={ROWS}").body["items"]
    return [(event["reason"], event["message"]) for event in found]


def test_a_lost_binding_and_a_permitted_weakening_are_events(
    cluster: Cluster, account: Path, stage: HistoryStage, lacking: None, tmp_path: Path
) -> None:
    def lost() -> bool:
        return any(reason == "Unprotected" and f": {LOST}; " in message for reason, message in schema_events(stage))

    with contextlib.ExitStack() as running:
        running.enter_context(Operator(account, tmp_path, [stage.namespace]))
        eventually("the lost binding is told of, and nothing else", lost)
        eventually("the rule is told of", lambda: any(reason == "WeakeningAllowed" for reason, _ in schema_events(stage)))
    assert any(
        message.endswith("this schema may lose: field spec.a") for reason, message in schema_events(stage) if reason == "WeakeningAllowed"
    )

"""A column of the history is one entry, which is enough for kubectl, the plugin's tables and data, and REST."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model import crd, kinds
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.parts.deployment import Deployment
from tests.support import factories as given
from tests.support.scripted import listed
from tests.support.scripted_plugin import ScriptedPlugin

ADDED = """
import json, sys
from dynamiq_operator.model import history_columns as table
table.COLUMNS += (
    table.HistoryColumn("ticket", "TICKET", ".spec.ticket", description="Who asked.", rest="ticket_id"),
    table.HistoryColumn("waited", "WAITED", ".spec.waited", "number", wide=True, spoken="how long it waited", rest="waited"),
)
"""
CRD = "from dynamiq_operator.model import crd, kinds; print(json.dumps(crd.crd(kinds.ROW)))"
PLUGIN = "from dynamiq_operator import cli; sys.exit(cli.main())"
REST = """
from dynamiq_operator.rest.parts.deployment import Deployment
from tests.unit.repository.test_history_columns import NoIds
print(json.dumps([Deployment.of(json.load(sys.stdin), "app-id", NoIds()).plain(), Deployment.model_json_schema()]))
"""

Printed = Callable[..., str]


class NoIds:
    """An index without ids."""

    def id_of(self, *of: Any) -> None:
        return None

    def created_at(self, *of: Any) -> None:
        return None

    def sequence_of(self, *of: Any) -> None:
        return None

    def newest_version(self, *of: Any) -> None:
        return None


@pytest.fixture
def printed() -> Printed:
    """Returns a function that runs a program with two more columns in the table, one of them wide, and returns its output."""

    def run(program: str, *arguments: str, read: str = "") -> str:
        command = [sys.executable, "-c", ADDED + program, *arguments]
        environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, env=environment, input=read, capture_output=True, text=True, timeout=60, check=True).stdout

    return run


@pytest.fixture
def row() -> Manifest:
    return given.stored(given.row_manifest("chat-a", given.live(1, "v1"), given.with_spec(ticket="T-1", waited=2.5)))


def columns(made: Manifest) -> Any:
    return made["spec"]["versions"][0]["additionalPrinterColumns"]


def test_kubectl_has_it(printed: Printed) -> None:
    assert columns(json.loads(printed(CRD))) == [
        *columns(crd.crd(kinds.ROW)),
        {"name": "TICKET", "type": "string", "jsonPath": ".spec.ticket", "description": "Who asked."},
        {"name": "WAITED", "type": "number", "jsonPath": ".spec.waited", "priority": 1},
    ]


def test_the_plugin_has_it(printed: Printed, row: Manifest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedPlugin(capsys, monkeypatch) as plugin:
        plugin.script.on("GET", ROWS.path(given.NAMESPACE), listed(row))
        plain = printed(PLUGIN, "history", "chat").splitlines()
        wide = printed(PLUGIN, "history", "chat", "-o", "wide").splitlines()
        data = json.loads(printed(PLUGIN, "history", "chat", "-o", "json"))
    assert [line.split()[-1] for line in plain] == ["TICKET", "T-1"]
    runs = ["RUNS", "FAILED", "P95", "COST", "VERDICT"]
    assert [line.split()[-9:] for line in wide] == [
        ["TICKET", "WAITED", *runs, "ROW", "DEPLOYABLE"],
        ["T-1", "2.5", *"-----", "chat-a", "-"],
    ]
    assert (data[0]["ticket"], data[0]["waited"]) == ("T-1", 2.5)
    explained = " ".join(printed(PLUGIN, "history", "--help").split())
    assert "digest, how long it waited and name" in explained
    assert "source (App, Revert or Record), ticket, waited" in explained


def test_rest_has_it(printed: Printed, row: Manifest) -> None:
    made, schema = json.loads(printed(REST, read=json.dumps(row)))
    assert made == {**Deployment.of(row, "app-id", NoIds()).plain(), "ticket_id": "T-1", "waited": 2.5}
    assert schema["properties"]["ticket_id"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert schema["properties"]["waited"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert schema["required"] == list(made)


def test_the_fields_of_rests_row_come_in_the_order_of_its_schema(row: Manifest) -> None:
    assert list(Deployment.of(row, "app-id", NoIds()).plain()) == list(Deployment.model_fields)

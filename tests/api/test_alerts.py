"""The alerts of `manifests/monitoring`: Prometheus accepts them, each fires when it should and only then, and each has its page."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cluster import REPOSITORY
from tests.support.prometheus import rules

pytestmark = pytest.mark.usefixtures("prometheus")

RUNBOOKS = ("docs/alerts.md", "docs/journal.md")
SEVERITIES = {"critical", "warning", "info"}


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    code, output = rules.promtool("check", "rules", rules.written(tmp_path).name, folder=tmp_path)
    assert code == 0, output
    assert f"{len(rules.alerts())} rules found" in output


def test_each_alert_fires_in_one_test_and_stays_silent_in_another(tmp_path: Path) -> None:
    rules.written(tmp_path)
    code, output = rules.tested(tmp_path)
    assert code == 0, output
    expected: dict[str, set[bool]] = defaultdict(set)
    for each in rules.unit_tests():
        expected[each["alertname"]].add(bool(each["exp_alerts"]))
    assert expected == {each["alert"]: {True, False} for each in rules.alerts()}


@pytest.mark.parametrize(("change", "told"), [("vector(0) > 1", "got:[]"), ("vector(1)", "exp:[]")], ids=["never fires", "always fires"])
def test_an_alert_that_is_wrong_is_found(tmp_path: Path, change: str, told: str) -> None:
    """The tests above would fail for a wrong alert."""
    spec: dict[str, Any] = rules.spec()
    for group in spec["groups"]:
        for rule in group["rules"]:
            rule["expr"] = change
    (tmp_path / rules.RULES).write_text(yaml.safe_dump(spec))
    code, output = rules.tested(tmp_path)
    found = set(re.findall(r"alertname:\s?(\w+)", output))
    assert (code, found) == (1, {each["alert"] for each in rules.alerts()}), output
    assert told in output.replace(" ", "").replace("\n", "")


def test_each_alert_has_a_severity_a_summary_and_a_section_of_what_to_do() -> None:
    pages = {page: (REPOSITORY / page).read_text().split("\n## ")[1:] for page in RUNBOOKS}
    sections = {part.partition("\n")[0]: part for parts in pages.values() for part in parts}
    places = {part.partition("\n")[0]: page for page, parts in pages.items() for part in parts}
    for each in rules.alerts():
        name, annotations = each["alert"], each["annotations"]
        assert each["labels"]["severity"] in SEVERITIES, name
        assert annotations["summary"], name
        assert annotations["description"], name
        assert annotations["runbook"] == f"{places[name]}#{name.lower()}"
        assert {"**Look at**", "**Do**"} <= set(re.findall(r"\*\*[\w ]+\*\*", sections[name])), name
        assert ("**Critical.**" in sections[name]) == (each["labels"]["severity"] == "critical"), name
    assert {name for name in sections if name.startswith("Dynamiq")} == {each["alert"] for each in rules.alerts()}

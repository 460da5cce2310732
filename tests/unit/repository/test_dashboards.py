"""Each dashboard is installed, uses the data source that its reader chooses, and marks a deploy with a line."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import yaml

from tests.support.prometheus.queries import dashboards
from tests.support.prometheus.rules import MONITORING

COLUMNS = 24
FOUND = dashboards()


def test_each_is_a_config_map_that_grafana_looks_for() -> None:
    kustomization = yaml.safe_load((MONITORING / "kustomization.yaml").read_text())
    assert kustomization["generatorOptions"] == {"disableNameSuffixHash": True, "labels": {"grafana_dashboard": "1"}}
    files = [file for each in kustomization["configMapGenerator"] for file in each["files"]]
    assert sorted(files) == [f"dashboards/{name}.json" for name in sorted(FOUND)]
    assert len({found["uid"] for found in FOUND.values()}) == len(FOUND) == 3


@pytest.mark.parametrize("name", FOUND)
def test_the_source_of_data_is_a_variable(name: str) -> None:
    first = FOUND[name]["templating"]["list"][0]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")

    def sources(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [found for key, each in value.items() for found in ([each] if key == "datasource" else sources(each))]
        return [found for each in value for found in sources(each)] if isinstance(value, list) else []

    asked = sources(FOUND[name])
    assert asked
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in asked)


@pytest.mark.parametrize("name", FOUND)
def test_deploys_are_marked_by_the_row_that_became_live(name: str) -> None:
    (annotation,) = FOUND[name]["annotations"]["list"]
    assert annotation["enable"]
    assert "dynamiq_app_live_row" in annotation["expr"]
    assert "{{sequence}}" in annotation["titleFormat"]


@pytest.mark.parametrize("name", FOUND)
def test_panels_have_a_place_of_their_own(name: str) -> None:
    panels = FOUND[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, json.dumps([one, other])

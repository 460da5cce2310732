"""Lists every query of the dashboards and of the alerts, to run each on a Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.prometheus.rules import MONITORING, alerts

DASHBOARDS = tuple(sorted((MONITORING / "dashboards").glob("*.json")))
OF_GRAFANA = {"$__rate_interval": "1m", "$__range": "1h"}
COMPARED = re.compile(r" (==|!=|<=|>=|<|>) ")


def dashboards() -> dict[str, dict[str, Any]]:
    """Returns each dashboard by its file's name."""
    return {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}


def of_dashboards(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields the origin of each query, and the query, with the variables' values in it."""
    for name, dashboard in dashboards().items():
        for annotation in dashboard["annotations"]["list"]:
            yield f"{name}: {annotation['name']}", _with(annotation["expr"], variables)
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']} {target['refId']}", _with(target["expr"], variables)


def of_alerts() -> Iterator[tuple[str, str]]:
    """Yields each alert's query. Comparisons in it return 0 or 1, so that healthy series are not dropped."""
    for each in alerts():
        yield each["alert"], COMPARED.sub(lambda comparison: f" {comparison[1]} bool ", each["expr"])


def _with(query: str, variables: Mapping[str, str]) -> str:
    for name, value in {**OF_GRAFANA, **{f"${name}": value for name, value in variables.items()}}.items():
        query = query.replace(name, value)
    assert "$" not in query, query
    return query

"""Serves a page a history of thousands of rows in place of the API: filtered and paged as the API could do it."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page, Route

from tests.support.browser.answers import JSON, checked, example

LIST = "/v1/apps/{app_id}/deployments"
NEWEST = datetime(2026, 11, 24, 12, tzinfo=UTC)
AUTHORS = ("anna@example.com", "ben@example.com", "system:serviceaccount:argocd:argocd-application-controller")
EVERY_FAILED = 10
Row = dict[str, Any]


@dataclass
class LongHistory:
    """Rows of one App, newest first. `asked`: the queries of the pages that were read; while `is_slow`, none is answered."""

    app_id: str
    count: int
    rows: list[Row] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    is_slow: bool = False
    waiting: list[Route] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.rows:
            return
        model = example("GET", LIST)["data"][0]
        self.rows = [self._row(model, sequence) for sequence in range(self.count, 0, -1)]

    def copy(self) -> LongHistory:
        """Returns a history with the same rows, which is read and changed independently."""
        return LongHistory(self.app_id, self.count, list(self.rows))

    def serve(self, page: Page) -> None:
        """Serves these rows to the page from now on."""
        base = rf"^https?://[^/]+/v1/apps/{self.app_id}/deployments"
        page.route(re.compile(rf"{base}(\?.*)?$"), self._list)
        page.route(re.compile(rf"{base}/filters$"), self._filters)

    def add(self) -> int:
        """Adds one more deploy; returns its sequence."""
        self.count += 1
        self.rows.insert(0, self._row(example("GET", LIST)["data"][0], self.count))
        return self.count

    def answer(self) -> None:
        """Answers the waiting requests, and later ones at once."""
        self.is_slow = False
        while self.waiting:
            self._list(self.waiting.pop(0))

    def _row(self, model: Row, sequence: int) -> Row:
        failed = sequence % EVERY_FAILED == 0 and sequence != self.count
        live = sequence == self.count
        version = f"v{sequence % 12 + 1}"
        author = AUTHORS[sequence % len(AUTHORS)]
        return model | {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.app_id} {sequence}")),
            "app_id": self.app_id,
            "name": f"long-{sequence:05}",
            "sequence": sequence,
            "created_at": (NEWEST - timedelta(hours=self.count - sequence)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "created_by": {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, author)), "email": None, "username": author},
            "status": "Live" if live else "Failed" if failed else "Superseded",
            "reason": "no pod became ready in 10 minutes" if failed else None,
            "is_live": live,
            "message": f"Change {sequence}" + " and more about it" * (sequence % 7),
            "workflow_version": {
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, version)),
                "version": version,
                "description": f"What {version} does",
            },
        }

    def _list(self, route: Route) -> None:
        if self.is_slow:
            self.waiting.append(route)
            return
        query = {name: values[0] for name, values in parse_qs(urlsplit(route.request.url).query).items()}
        self.asked.append(query)
        page, size = int(query.get("page", "1")), int(query.get("page_size", "25"))
        accepted = [row for row in self.rows if _accepts(row, query)]
        pagination = {"page": page, "page_size": size, "page_count": -(-len(accepted) // size), "total_count": len(accepted)}
        self._answer(route, LIST, {"data": accepted[(page - 1) * size : page * size], "pagination": pagination})

    def _filters(self, route: Route) -> None:
        def counted(values: list[str]) -> list[Row]:
            return [{"value": value, "count": values.count(value)} for value in dict.fromkeys(values)]

        body = {
            "statuses": counted([row["status"] for row in self.rows]),
            "authors": counted([row["created_by"]["username"] for row in self.rows]),
            "versions": counted([row["workflow_version"]["version"] for row in self.rows]),
            "runtimes": counted([row["runtime"]["version"] for row in self.rows]),
            "total": len(self.rows),
            "first_at": self.rows[-1]["created_at"],
            "last_at": self.rows[0]["created_at"],
        }
        self._answer(route, f"{LIST}/filters", {"data": body})

    def _answer(self, route: Route, path: str, body: Any) -> None:
        route.fulfill(status=200, headers={"Content-Type": JSON}, body=json.dumps(checked("GET", path, 200, body)))


def _accepts(row: Row, query: dict[str, str]) -> bool:
    letters = " ".join((row["message"], row["name"], row["workflow_version"]["version"], row["created_by"]["username"]))
    return (
        row["status"] in str(query.get("status", row["status"])).split(",")
        and row["created_by"]["username"] == query.get("created_by", row["created_by"]["username"])
        and row["workflow_version"]["version"] == query.get("version", row["workflow_version"]["version"])
        and query.get("since", "") <= row["created_at"] < query.get("until", "9")
        and query.get("q", "").lower() in letters.lower()
    )


def table(page: Page) -> Locator:
    return page.get_by_role("table", name="Deployment history")


def row(page: Page, sequence: int) -> Locator:
    """Returns the row of a sequence, if it is rendered."""
    return table(page).get_by_role("row").filter(has=page.get_by_text(f"#{sequence}", exact=True))


def total(page: Page) -> Locator:
    """Returns the number of rows in the table's heading."""
    return page.get_by_role("heading", name=re.compile("^Deployment history")).get_by_role("status")

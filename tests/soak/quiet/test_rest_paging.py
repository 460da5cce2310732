"""Measures a page, a filter and a verification of a history of 10,000 rows against those of a short one.

The log goes to docs/measured/rest-paging.txt.
"""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.clusters import Cluster
from tests.support import factories as given
from tests.support import made_rows, rest
from tests.support.api import Api, fresh_namespace
from tests.support.measured import MEASURED, kept
from tests.support.operator import install_rights
from tests.support.rest import Client
from tests.support.waiting import eventually

LOG = MEASURED / "rest-paging.txt"
ROWS: Mapping[str, int] = {"few": 50, "many": 10_000}
PAGE, ROUNDS = 25, 60
MOST, FILTERED_MOST = 1.5, 5.0
"""Ratios to the short history. A filter reads the index's data of each row."""
VERIFIED, MEANWHILE_MOST = 5, 6.0
"""While a history is verified, the same process answers others."""
FILTERS = {
    "a status": "&status=Superseded",
    "letters that all rows have": "&q=deploy",
    "letters that few rows have": "&q=DEPLOY+7&created_by=nobody",
}


@dataclass(frozen=True)
class Place:
    """A caller, and the ids of two Apps of one namespace."""

    caller: Client
    apps: Mapping[str, str]

    def get(self, app: str, more: str) -> Any:
        return self.caller.get(f"/v1/apps/{self.apps[app]}/{more}")

    def page(self, app: str, number: int, parameters: str = "") -> list[Any]:
        rows: list[Any] = self.get(app, f"deployments?page={number}&page_size={PAGE}{parameters}")
        return rows


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path) -> Iterator[Place]:
    api = Api.of(cluster)
    install_rights(cluster)
    with fresh_namespace(api, "paging") as namespace:
        apps = {}
        for name in ROWS:
            created = api.create(given.app_manifest(given.in_namespace(namespace), name=name))
            assert created.ok, created.message
            apps[name] = created.body["metadata"]["uid"]
        made_rows.make(
            cluster, (made_rows.row(namespace, name, apps[name], number) for name, count in ROWS.items() for number in range(count))
        )
        with rest.serving(rest.install(cluster, tmp_path), tmp_path) as url:
            caller = rest.client(api, url, namespace, "caller", "edit")
            eventually("rights apply", lambda: caller("GET", f"/v1/apps/{apps['few']}/deployments").status_code == 200)
            yield Place(caller, apps)


def _medians(call: Callable[[str, int], object], rounds: int) -> tuple[float, float]:
    """Returns milliseconds of a call for the short and the long history, in turn; `call` gets the history and the number of the round."""
    times: dict[str, list[float]] = {app: [] for app in ROWS}
    for number in range(rounds + 1):
        for app, seconds in times.items():
            began = time.perf_counter()
            call(app, number)
            if number:  # the first reads what is cached afterwards
                seconds.append(time.perf_counter() - began)
    few, many = (1000 * statistics.median(seconds) for seconds in times.values())
    return few, many


@pytest.mark.timeout(1800)
def test_a_page_of_a_long_history_costs_as_much_as_one_of_a_short_one(place: Place) -> None:
    last = {app: count // PAGE for app, count in ROWS.items()}
    assert [place.page(app, number)[-1]["sequence"] for app, number in last.items()] == [1, 1]

    def another(app: str, number: int) -> object:
        return place.page(app, 1 + number % 2 if app == "few" else 2 + number)

    def filtered(query: str, app: str, _: int) -> object:
        return place.page(app, 1, query)

    def choices(app: str, _: int) -> None:
        assert place.get(app, "deployments/filters")["total"] == ROWS[app]

    def verify(app: str, _: int) -> None:
        assert place.get(app, "verify")["rows"] == ROWS[app]

    calls: dict[str, tuple[Callable[[str, int], object], int, float]] = {
        "the newest page, again and again": (lambda app, _: place.page(app, 1), ROUNDS, MOST),
        "a page that nobody has read": (another, ROUNDS, MOST),
        "the last page": (lambda app, _: place.page(app, last[app]), ROUNDS, FILTERED_MOST),
        **{title: (functools.partial(filtered, query), ROUNDS, FILTERED_MOST) for title, query in FILTERS.items()},
        "what there is to filter by": (choices, ROUNDS, FILTERED_MOST),
        "the history verified": (verify, VERIFIED, MOST * ROWS["many"] / ROWS["few"]),
    }
    above = []
    with kept(LOG, beside_older=True) as say:
        say(
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores: "
            f"an App with {ROWS['many']} rows, and one with {ROWS['few']}; pages of {PAGE}"
        )
        for title, (call, rounds, most) in calls.items():
            few, many = _medians(call, rounds)
            say(f"{title:34s} p50 {many:6.1f} ms, of the short one {few:6.1f} ms: ratio {many / few:.2f}")
            above += [title] * (many / few > most)
        alone, meanwhile = _page_alone_and_meanwhile(place)
        say(f"a page of the short one meanwhile  p50 {meanwhile:6.1f} ms, without that {alone:6.1f} ms: ratio {meanwhile / alone:.2f}")
    assert not above
    assert meanwhile <= MEANWHILE_MOST * alone


def _page_alone_and_meanwhile(place: Place) -> tuple[float, float]:
    """Returns milliseconds of a page of the short history, alone and while the long one is verified."""

    def timed() -> float:
        began = time.perf_counter()
        place.page("few", 1)
        return 1000 * (time.perf_counter() - began)

    other = Place(place.caller.at(place.caller.url), place.apps)
    with ThreadPoolExecutor(1) as pool:
        verified = [pool.submit(lambda: other.get("many", "verify")) for _ in range(VERIFIED)]
        waited = []
        while not all(each.done() for each in verified):
            waited.append(timed())
    for each in verified:
        each.result()
    return statistics.median(timed() for _ in range(ROUNDS)), statistics.median(waited)

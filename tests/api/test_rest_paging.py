"""The cost of a page of a history, beside the same page of a short one, in one namespace of a real API server.

`make soak` measures a history of 10,000 rows, `make test` a tenth of it.
"""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from local.clusters import Cluster
from tests.support import factories as given
from tests.support import made_rows, rest
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.cluster import REPOSITORY
from tests.support.history_stage import counted
from tests.support.operator import install_rights
from tests.support.rest import Client
from tests.support.waiting import eventually

LOG = REPOSITORY / "docs" / "measured" / "rest-paging.txt"
FULL, FEW, PAGE = 10_000, 50, 25
ROUNDS = 60
MOST, UNREAD_MOST = 1.5, 3.0
"""Of a page that nobody has read yet each row is read by itself, of a short history all at once."""
VERIFIED, MEANWHILE_MOST = 5, 6.0
"""While a history is verified, the same process answers others."""
FILTERED_MOST = 5.0
"""A filter looks at what the index has of each row, which is much less than a request."""
FILTERS = {
    "the last page": "",
    "a status": "&status=Superseded",
    "letters that all rows have": "&q=deploy",
    "letters that few rows have": "&q=DEPLOY+7&created_by=nobody",
}


@dataclass(frozen=True)
class Place:
    """A caller, and two Apps of one namespace."""

    caller: Client
    apps: Mapping[str, str]
    counts: Mapping[str, int]

    def page(self, app: str, number: int, asked: str = "") -> Manifest:
        return self.get(app, f"deployments?page={number}&page_size={PAGE}{asked}")

    def get(self, app: str, more: str) -> Manifest:
        answer = self.caller("GET", f"/v1/apps/{self.apps[app]}/{more}")
        assert answer.status_code == 200, answer.text
        found: Manifest = json.loads(answer.content)
        return found


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, api = tmp_path_factory.mktemp("paging"), Api.of(cluster)
    install_rights(cluster)
    counts = {"few": FEW, "many": counted(FULL)}
    with fresh_namespace(api, "paging") as namespace:
        apps = {}
        for name in counts:
            made = api.create(given.app_manifest(given.in_namespace(namespace), name=name))
            assert made.ok, made.message
            apps[name] = made.body["metadata"]["uid"]
        made_rows.make(
            cluster, (made_rows.row(namespace, name, apps[name], number) for name, count in counts.items() for number in range(count))
        )
        with rest.serving(rest.install(cluster, folder), folder) as url:
            caller = rest.client(api, url, namespace, "caller", "edit")
            eventually("rights apply", lambda: caller("GET", f"/v1/apps/{apps['few']}/deployments").status_code == 200)
            yield Place(caller, apps, counts)


def test_pages_are_the_whole_history_in_order(place: Place) -> None:
    for app, count in place.counts.items():
        seen = [row["sequence"] for number in range(1, -(-min(count, 500) // PAGE) + 1) for row in place.page(app, number)["data"]]
        assert seen == list(range(count, count - len(seen), -1))
        assert place.page(app, 1)["pagination"]["total_count"] == count
        assert [row["sequence"] for row in place.page(app, count // PAGE)["data"]][-1] == 1


@pytest.mark.full_count
@pytest.mark.timeout(600)
def test_a_page_costs_the_same_however_long_the_history_is(place: Place) -> None:
    ratios = {}
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores: pages of {PAGE} rows of an App with "
        f"{place.counts['many']} rows and of one with {FEW}, in one namespace, {ROUNDS} pairs each."
    ]
    for title, pages in {
        "the newest page, again and again": [(1, 1)] * ROUNDS,
        "another page each time": [(1 + number % 2, 2 + number) for number in range(min(ROUNDS, place.counts["many"] // PAGE - 2))],
    }.items():
        times: dict[str, list[float]] = {"few": [], "many": []}
        place.page("few", 1), place.page("few", 2), place.page("many", 1)
        for of_few, of_many in pages:
            for app, number in (("few", of_few), ("many", of_many)):
                began = time.perf_counter()
                assert len(place.page(app, number)["data"]) == PAGE
                times[app].append(time.perf_counter() - began)
        few, many = (statistics.median(times[app]) * 1000 for app in ("few", "many"))
        ratios[title] = many / few
        lines.append(f"{title:34s} p50 {many:6.1f} ms, of the short one {few:6.1f} ms: ratio {many / few:.2f}")
    slack = _told(place, lines)
    assert ratios["the newest page, again and again"] <= MOST * slack, lines
    assert ratios["another page each time"] <= UNREAD_MOST * slack, lines


@pytest.mark.full_count
@pytest.mark.timeout(600)
def test_the_last_page_and_what_a_filter_takes_cost_little_more_in_a_long_history(place: Place) -> None:
    lines = [f"{ROUNDS} pairs each, of the same two Apps:"]
    ratios = {}
    last = {app: count // PAGE for app, count in place.counts.items()}

    def page(app: str, title: str) -> None:
        number = last[app] if title == "the last page" else 1
        place.page(app, number, FILTERS[title])

    def choices(app: str, _: str) -> None:
        assert place.get(app, "deployments/filters")["data"]["total"] == place.counts[app]

    for title, call in {**dict.fromkeys(FILTERS, page), "what there is to filter by": choices}.items():
        few, many = (median * 1000 for median in _medians(call, title, ROUNDS).values())
        ratios[title] = many / few
        lines.append(f"{title:34s} p50 {many:6.1f} ms, of the short one {few:6.1f} ms: ratio {many / few:.2f}")
    slack = _told(place, lines)
    assert all(ratio <= FILTERED_MOST * slack for ratio in ratios.values()), lines


@pytest.mark.full_count
@pytest.mark.timeout(600)
def test_a_long_history_is_verified_as_quickly_for_each_row_and_others_are_served_meanwhile(place: Place) -> None:
    another = Place(place.caller.at(place.caller.url), place.apps, place.counts)

    def verify(app: str, _: str) -> None:
        told = another.get(app, "verify")["data"]
        assert told["rows"] == place.counts[app]

    few, many = _medians(verify, "", VERIFIED).values()
    ends, waited = threading.Event(), []
    with ThreadPoolExecutor(1) as pool:
        verified = [pool.submit(verify, "many", "") for _ in range(VERIFIED)]
        verified[-1].add_done_callback(lambda _: ends.set())
        while not ends.is_set():
            began = time.perf_counter()
            place.page("few", 1)
            waited.append(time.perf_counter() - began)
    for each in verified:
        each.result()
    alone = statistics.median(_timed(lambda: place.page("few", 1)) for _ in range(ROUNDS))
    ratio = (many / place.counts["many"]) / (few / place.counts["few"])
    meanwhile = statistics.median(waited) / alone
    lines = [
        f"the history verified, {VERIFIED} times       p50 {many * 1000:6.1f} ms, the short one {few * 1000:6.1f} ms: for each row ratio {ratio:.2f}",
        f"a page of the short one meanwhile  p50 {statistics.median(waited) * 1000:6.1f} ms, without that {alone * 1000:6.1f} ms: ratio {meanwhile:.2f}",
    ]
    slack = _told(place, lines)
    assert ratio <= MOST * slack, lines
    assert meanwhile <= MEANWHILE_MOST * slack, lines


def _medians(call: Callable[[str, str], None], title: str, rounds: int) -> dict[str, float]:
    """Seconds that a call takes of the short history and of the long one, in turns."""
    times: dict[str, list[float]] = {"few": [], "many": []}
    for number in range(rounds + 1):
        for app, found in times.items():
            took = _timed(lambda app=app: call(app, title))  # type: ignore[misc]
            if number:  # the first reads what is cached afterwards
                found.append(took)
    return {app: statistics.median(found) for app, found in times.items()}


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _told(place: Place, lines: list[str]) -> int:
    """Prints figures, and keeps them of a full count; returns how much more is let pass where there are few pairs and a machine that does much else."""
    print("\n".join(lines))
    if place.counts["many"] != FULL:
        return 2
    with LOG.open("a") as log:
        log.write("\n".join([*lines, ""]))
    return 1

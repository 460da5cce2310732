"""The product's contract of an App's hostname, request by request, with the engine `tiny`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.runs_contract import CASES, KEY, ORIGIN, READS, Case, check
from tests.support.runtime import Served, serving
from tests.unit.support.mounts import mount


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("contract")
    keys = mount(folder / "keys", {"default": KEY})
    with serving(folder, READS, DYNAMIQ_ACCESS_KEYS_DIR=str(keys), DYNAMIQ_ORIGINS=ORIGIN) as app:
        yield app


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_documented_request_is_served_or_refused_by_name(served: Served, case: Case) -> None:
    check(f"http://127.0.0.1:{served.port}", case)


def test_no_refusal_counts_as_a_failure_of_the_app(served: Served) -> None:
    """The operator reverts a version that fails: what callers ask in vain is theirs."""
    before = served.activity["runs"]
    for case in (each for each in CASES if each.code not in (None, "node_failed")):
        check(f"http://127.0.0.1:{served.port}", case)
    after = served.activity["runs"]
    assert (after["failed"], after["succeeded"]) == (before["failed"], before["succeeded"])

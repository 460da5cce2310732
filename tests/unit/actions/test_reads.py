"""Reading an App, its rows and its releases, with a sentence for what is missing."""

from __future__ import annotations

import pytest

from dynamiq_operator.actions import reads, running
from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.kube.resources import APPS, ROWS, VERSIONS
from tests.support import factories as given
from tests.support.scripted import Script, ScriptedApi
from tests.support.scripted_namespace import FORBIDDEN, NOT_FOUND, flow_path, holding, lacking

NAMESPACE = given.NAMESPACE
ALL_ROWS = (given.row_manifest("chat-1", given.superseded(1, "v1")), given.row_manifest("chat-2", given.live(2, "v2")))


def api(script: Script) -> ScriptedApi:
    return ScriptedApi(script)


def test_rows_are_the_newest_first() -> None:
    script = holding(given.app_manifest(), *ALL_ROWS)
    rows = running.rows(api(script), NAMESPACE, given.NAME, None)
    assert [row["metadata"]["name"] for row in rows] == ["chat-2", "chat-1"]
    assert len(script.sent) == 1
    assert running.rows(api(holding(given.app_manifest())), NAMESPACE, given.NAME, None) == []


def test_a_row_of_an_app_that_does_not_exist() -> None:
    with pytest.raises(Unknown, match="no App chat in namespace demo; there are none"):
        reads.find_row(api(lacking(holding(), APPS.path(NAMESPACE, given.NAME))), NAMESPACE, given.NAME, None, 1)


@pytest.mark.parametrize("asked", [2, "2", "#2", "chat-2"])
def test_a_row_by_number_or_name(asked: str | int) -> None:
    assert reads.find_row(api(holding(*ALL_ROWS)), NAMESPACE, given.NAME, None, asked)["metadata"]["name"] == "chat-2"


@pytest.mark.parametrize(
    ("script", "asked", "says"),
    [
        (holding(*ALL_ROWS), 9, "no row #9 of chat in namespace demo; rows are #1 to #2"),
        (holding(given.app_manifest()), 9, "nothing has been deployed yet"),
        (lacking(holding(), ROWS.path(NAMESPACE, "gone")), "gone", "no row gone of chat in namespace demo"),
        (holding(given.row_manifest("other-1", given.of_app("other"))), "other-1", "no row other-1 of chat"),
    ],
)
def test_a_row_that_is_not_there(script: Script, asked: str | int, says: str) -> None:
    with pytest.raises(Unknown, match=says):
        reads.find_row(api(script), NAMESPACE, given.NAME, None, asked)


@pytest.mark.parametrize(
    ("released", "says"),
    [
        ((), "nothing is released yet: `kubectl dynamiq release chat -n demo`"),
        (("v1", "v2", "v3"), "released are v1 to v3"),
        (("v1", "v3", "v10"), "released: v1, v3, v10"),
        (tuple(f"v{number}" for number in range(1, 24, 2)), "and 2 more"),
    ],
)
def test_a_version_that_is_not_there(released: tuple[str, ...], says: str) -> None:
    found = running.releases(api(holding(*map(given.version_manifest, released))), NAMESPACE, given.NAME)
    assert says in str(reads.unknown_version(given.NAMESPACE, given.NAME, "v99", found))


def test_apps_that_may_not_be_listed() -> None:
    script = lacking(holding(), APPS.path(NAMESPACE, given.NAME)).on("GET", APPS.path(NAMESPACE), FORBIDDEN)
    with pytest.raises(Unknown, match="you may not list the Apps there"):
        reads.find_app(api(script), NAMESPACE, given.NAME)


def test_a_flow_comes_from_where_it_still_is() -> None:
    pinned = given.a_row("chat-1", given.live(1, "v1")).pinned
    assert pinned is not None
    version = VERSIONS.path(NAMESPACE, "chat-v1")
    with_map = Script().on("GET", flow_path("v1"), {"data": {"flow": given.flow("v1")}})
    wrong_map = Script().on("GET", flow_path("v1"), {"data": {"flow": "other"}}).on("GET", version, given.version_manifest("v1"))
    rewritten = Script().on("GET", flow_path("v1"), {}).on("GET", version, given.version_manifest("v1", given.with_spec(flow="other")))
    nowhere = Script().on("GET", flow_path("v1"), NOT_FOUND).on("GET", version, FORBIDDEN)
    found = [reads.flow_of(api(script), NAMESPACE, given.NAME, pinned) for script in (with_map, wrong_map, rewritten, nowhere)]
    assert found == [given.flow("v1"), given.flow("v1"), None, None]

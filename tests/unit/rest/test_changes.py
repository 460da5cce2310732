"""AppChanges over REST, and the verification of their chain."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.kube.resources import APP_CHANGES, APPS, ROWS
from dynamiq_operator.model.digests import change_digest
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.deployments.responses import AppChangeShape, VerificationResponse
from dynamiq_operator.rest.reads import row_pages
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage, row
from tests.support.scripted import failure, listed

PATH = APP_CHANGES.path("demo")
TOLD = [
    {"field": "hostname", "change": "Changed", "from": "a.test", "to": "b.test"},
    {"field": "variables", "name": "MODEL", "change": "Added"},
]


def records(*specs: dict[str, Any]) -> list[Manifest]:
    """Returns AppChanges as they are stored, each linked to the one before it."""
    made: list[Manifest] = []
    for sequence, more in enumerate(({}, *specs), 1):
        before = {"previousDigest": made[-1]["spec"]["digest"]} if made else {}
        spec = make.app_change_manifest(make.with_spec(sequence=sequence, **before, **more))["spec"]
        spec["digest"] = change_digest(spec)
        made.append(make.stored({**make.app_change_manifest(name=f"chat-settings-{sequence}"), "spec": spec}))
    return made


@pytest.fixture
def changed(stage: RestStage) -> RestStage:
    """Returns a stage whose App was deployed twice, and changed after the first time."""
    first = stage.put(row("chat-a", make.superseded(1, "v1"), make.created(1)))
    stage.put(row("chat-b", make.live(2, "v1", previousDigest=first["spec"]["pinned"]["digest"]), make.created(2)))
    spec = {"reason": "Changed", "after": 1, "by": "bo@example.com", "changes": TOLD, "summary": "hostname a.test → b.test"}
    made = records(spec, {"reason": "Changed", "after": 1, "by": None, "byVerified": None, "summary": "access public → private"})
    stage.script.on("GET", PATH, listed(*made[::-1]))
    return stage


def _path(stage: RestStage, more: str) -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}{more}"


def test_changes_come_newest_first_and_have_no_state(changed: RestStage) -> None:
    found = changed.get(_path(changed, "/changes"))
    for each in found:
        AppChangeShape.model_validate(each)
    assert [(each["sequence"], each["after"], each["says"]) for each in found] == [
        (3, 1, "access public → private"),
        (2, 1, "hostname a.test → b.test"),
        (1, None, "the App was created"),
    ]
    assert (found[0]["by"], found[0]["by_verified"]) == (None, False)
    assert (found[1]["by"]["email"], found[1]["by_verified"]) == ("bo@example.com", True)
    assert found[1]["changes"] == [
        {"field": "hostname", "name": None, "change": "Changed", "from": "a.test", "to": "b.test"},
        {"field": "variables", "name": "MODEL", "change": "Added", "from": None, "to": None},
    ]
    assert not {"states", "key", "mac"} & found[0].keys()
    sent = [each for each in changed.script.sent if each.path == PATH]
    assert [each.query["fieldSelector"] for each in sent] == ["spec.app=chat"]


def test_changes_come_in_pages(changed: RestStage) -> None:
    answer = changed.call("GET", _path(changed, "/changes?page=2&page_size=2")).json
    assert [each["sequence"] for each in answer["data"]] == [1]
    assert answer["pagination"] == {"page": 2, "page_size": 2, "page_count": 2, "total_count": 3}
    assert [each["sequence"] for each in changed.get(_path(changed, "/changes?sort=created_at"))] == [1, 2, 3]


def test_those_of_a_deleted_app_of_the_name_are_none(changed: RestStage) -> None:
    (old,) = records()
    old["metadata"]["ownerReferences"] = [{"apiVersion": APPS.api_version, "kind": APPS.kind, "name": "chat", "uid": UNKNOWN}]
    changed.script.on("GET", PATH, listed(old))
    assert changed.get(_path(changed, "/changes")) == []
    assert changed.get(_path(changed, "/verify"))["settings"]["records"] == 0


def test_a_caller_who_may_not_list_changes_gets_not_found(changed: RestStage) -> None:
    changed.script.on("GET", PATH, failure(403, "Forbidden"))
    changed.call("GET", _path(changed, "/changes")).error(404)


# Verification.


def _verify(stage: RestStage, asked: str = "") -> Any:
    verification = stage.get(_path(stage, f"/verify{asked}"))
    VerificationResponse.model_validate(verification)
    return verification


def test_records_that_fit(changed: RestStage) -> None:
    *_, newest = made = records({"reason": "Changed"})
    changed.script.on("GET", PATH, listed(*made))
    verification = _verify(changed)
    assert (verification["fits"], verification["says"], verification["misfit_count"]) == (True, "2 rows fit", 0)
    assert verification["settings"] == {
        "records": 2,
        "fits": True,
        "newest_digest": newest["spec"]["digest"],
        "misfit_count": 0,
        "misfits": [],
        "says": "2 records of its settings fit",
    }


def test_a_record_that_was_changed_is_named(changed: RestStage) -> None:
    made = records({"reason": "Changed"}, {"reason": "Changed"})
    made[1]["spec"]["by"] = "mallory"
    changed.script.on("GET", PATH, listed(*made))
    verification = _verify(changed)
    says = "its content does not have its digest: it was changed"
    assert (verification["fits"], verification["misfits"], verification["misfit_count"]) == (False, [], 0)
    assert (verification["settings"]["fits"], verification["settings"]["misfits"]) == (False, [{"name": "chat-settings-2", "says": says}])
    assert verification["says"] == verification["settings"]["says"] == f"AppChange chat-settings-2 does not fit: {says}"
    changed.object(ROWS, "chat-a")["spec"]["message"] = "It was always so"
    assert _verify(changed)["says"].startswith("row chat-a does not fit")


def test_the_digest_of_a_record_may_be_expected(changed: RestStage) -> None:
    *_, newest = made = records({"reason": "Changed"})
    changed.script.on("GET", PATH, listed(*made))
    digest = newest["spec"]["digest"]
    verification = _verify(changed, f"?expect={digest}")
    assert (verification["fits"], verification["expected"]) == (
        True,
        {"digest": digest, "deployment_id": None, "sequence": None, "found": True},
    )
    changed.script.on("GET", PATH, listed(*made[:-1]))
    assert (_verify(changed, f"?expect={digest}")["expected"]["found"], _verify(changed)["fits"]) == (False, True)


@pytest.mark.parametrize("status", [(403, "Forbidden"), (404, "NotFound")])
def test_rows_are_verified_without_unreadable_changes(changed: RestStage, status: tuple[int, str]) -> None:
    changed.script.on("GET", PATH, failure(*status))
    verification = _verify(changed)
    assert (verification["fits"], verification["settings"], verification["says"]) == (True, None, "2 rows fit")


def test_many_records_are_read_in_pages(changed: RestStage) -> None:
    made = records({"reason": "Changed"}, {"reason": "Changed"})
    query = {"fieldSelector": "spec.app=chat", "limit": str(row_pages.PAGE)}
    changed.script.on("GET", PATH, listed(*made[:2], token="more"), query=query)
    changed.script.on("GET", PATH, listed(*made[2:]), query={**query, "continue": "more"})
    assert _verify(changed)["settings"]["records"] == len(changed.get(_path(changed, "/changes"))) == 3

"""Creating an App with its first row: both exist afterwards, or neither."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dynamiq_operator.actions import idempotency
from dynamiq_operator.actions.create_app import AppRequest, perform_app, plan_app
from dynamiq_operator.actions.idempotency import CallerKey, KeyClaim, KeyReused
from dynamiq_operator.actions.refusals import LeftBehind, NotNow, Refusal, Taken
from dynamiq_operator.actions.rejections import Rejected
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, REJECTIONS, ROWS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Reply, ScriptedApi, Sent, listed
from tests.support.scripted_namespace import EXISTS, FORBIDDEN, NOT_FOUND, created, holding
from tests.unit.support import rules

REQUEST = AppRequest(given.NAMESPACE, "Customer support", given.NAME, version="v1", description="Answers", access="public")
KEY = CallerKey("anna", "once")
PROJECT = "uid-of-the-project"
ROW_LIST, APP_LIST = ROWS.path(given.NAMESPACE), APPS.path(given.NAMESPACE)
APP_PATH = APPS.path(given.NAMESPACE, "customer-support")


def rows_refused(sent: Sent) -> Reply:
    """Accepts a dry run of a row, and refuses the row itself."""
    return created(sent) if "dryRun" in sent.query else FORBIDDEN


def made_under(key: CallerKey | None = KEY, request: AppRequest = REQUEST) -> tuple[Manifest, Manifest]:
    """Returns the App and the row that a request created."""
    api = ScriptedApi(holding())
    performed = perform_app(api, plan_app(api, request, "anna", PROJECT, key))
    return performed.app, performed.row


def test_the_row_is_tried_before_the_app_is_made() -> None:
    script = holding()
    api = ScriptedApi(script)
    performed = perform_app(api, plan_app(api, REQUEST, "anna", PROJECT))
    assert [(sent.path, sent.query.get("dryRun")) for sent in script.writes()] == [(ROW_LIST, "All"), (APP_LIST, None), (ROW_LIST, None)]
    assert performed.app["metadata"]["annotations"] == {names.AUTHOR_ANNOTATION: "anna"}
    assert performed.app["spec"] == {
        "displayName": "Customer support",
        "description": "Answers",
        "workflow": given.NAME,
        "access": {"type": "public"},
    }
    assert performed.row["spec"] == {"app": "customer-support", "workflowVersion": "v1"}
    assert not performed.is_replayed


def test_a_request_without_origins_is_repeated_after_an_upgrade() -> None:
    """The hash is the one of a version that knew no origins. With another hash its key would be refused."""
    of_before = "f3769f24c8aff22846ddc4035454f7957dd4863814d5ba03205a6caf55a89f26"
    assert [
        KeyClaim.of(CallerKey("anna", "k"), "create", "p", request, "first").request == of_before
        for request in (REQUEST, replace(REQUEST, origins=("*",)))
    ] == [True, False]


def test_a_refused_row_creates_no_app() -> None:
    script = holding().on("POST", ROW_LIST, FORBIDDEN)
    with pytest.raises(errors.Denied):
        plan_app(ScriptedApi(script), REQUEST, "anna", PROJECT)
    script = holding().on("POST", ROW_LIST, EXISTS)
    with pytest.raises(errors.AlreadyExists):
        plan_app(ScriptedApi(script), REQUEST, "anna", PROJECT)
    assert [sent.path for sent in script.writes()] == [ROW_LIST]


def test_a_name_is_taken_once() -> None:
    there = given.app_manifest(given.with_spec(displayName="Customer support"))
    with pytest.raises(Taken) as taken:
        plan_app(ScriptedApi(holding(there)), REQUEST, "anna", PROJECT)
    assert (taken.value.field, taken.value.reason) == ("name", "taken")


def test_an_object_name_that_another_app_has_gets_a_suffix() -> None:
    other = given.stored(given.app_manifest(given.with_spec(displayName="Customer-Support"), name="customer-support"))
    script = holding().on("POST", APP_LIST, EXISTS, created).on("GET", APP_PATH, other)
    api = ScriptedApi(script)
    app = perform_app(api, plan_app(api, REQUEST, "anna", PROJECT)).app
    assert app["metadata"]["name"].startswith("customer-support-")
    suffixed = script.on("POST", APP_LIST, EXISTS).on("GET", APPS.path(given.NAMESPACE, app["metadata"]["name"]), other)
    with pytest.raises(Taken):
        perform_app(ScriptedApi(suffixed), plan_app(api, REQUEST, "anna", PROJECT))


def test_an_app_of_the_name_that_appeared_meanwhile_is_in_the_way() -> None:
    there = given.stored(given.app_manifest(given.with_spec(displayName="Customer support"), name="customer-support"))
    script = holding().on("POST", APP_LIST, EXISTS).on("GET", APP_PATH, there)
    api = ScriptedApi(script)
    with pytest.raises(Taken):
        perform_app(api, plan_app(api, REQUEST, "anna", PROJECT))


def test_the_app_of_a_refused_row_is_deleted_again() -> None:
    script = holding().on("POST", ROW_LIST, rows_refused).on("DELETE", APP_PATH, {})
    api = ScriptedApi(script)
    with pytest.raises(errors.Denied):
        perform_app(api, plan_app(api, REQUEST, "anna", PROJECT))
    ((options,),) = [script.bodies("DELETE", APP_PATH)]
    assert list(options["preconditions"]) == ["uid"], "no other App of the name is deleted"
    script.on("DELETE", APP_PATH, NOT_FOUND)
    with pytest.raises(errors.Denied):
        perform_app(api, plan_app(api, REQUEST, "anna", PROJECT))


def test_an_app_that_another_request_created_and_deleted_at_the_same_moment_blocks_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PAUSE", 0)
    script = holding().on("POST", APP_LIST, EXISTS, created).on("GET", APP_PATH, NOT_FOUND)
    api = ScriptedApi(script)
    performed = perform_app(api, plan_app(api, REQUEST, "anna", PROJECT))
    assert (performed.app["metadata"]["name"], performed.is_replayed) == ("customer-support", False)
    script = holding().on("POST", APP_LIST, EXISTS).on("GET", APP_PATH, NOT_FOUND)
    api = ScriptedApi(script)
    with pytest.raises(NotNow, match="try again"):
        perform_app(api, plan_app(api, REQUEST, "anna", PROJECT))


def test_a_row_under_the_key_that_is_deleted_during_the_read_blocks_no_request() -> None:
    _, gone = made_under()
    script = holding().on("POST", ROW_LIST, EXISTS, created).on("GET", ROWS.path(given.NAMESPACE, gone["metadata"]["name"]), NOT_FOUND)
    api = ScriptedApi(script)
    performed = perform_app(api, plan_app(api, REQUEST, "anna", PROJECT, KEY))
    assert (performed.row["spec"]["app"], performed.is_replayed) == ("customer-support", False)


def test_an_app_that_could_not_be_deleted_again_is_reported() -> None:
    script = holding().on("POST", ROW_LIST, rows_refused).on("DELETE", APP_PATH, FORBIDDEN)
    api = ScriptedApi(script)
    with pytest.raises(LeftBehind, match="you may not; deploy or delete App customer-support: it exists without a deployment") as left:
        perform_app(api, plan_app(api, REQUEST, "anna", PROJECT))
    assert isinstance(left.value.cause, errors.Denied)
    assert left.value.uid


def test_a_repeat_under_a_key_gives_what_was_made_before() -> None:
    app, row = made_under()
    script = holding(app).on("POST", ROW_LIST, EXISTS).on("GET", ROWS.path(given.NAMESPACE, row["metadata"]["name"]), row)
    api = ScriptedApi(script)
    assert perform_app(api, plan_app(api, REQUEST, "anna", PROJECT, KEY)) == (app, row, True)
    with pytest.raises(KeyReused):
        plan_app(api, replace(REQUEST, description="other"), "anna", PROJECT, KEY)


def test_another_request_with_the_key_is_refused_though_its_app_is_not_there_yet() -> None:
    _, row = made_under()
    script = holding().on("POST", ROW_LIST, EXISTS).on("GET", ROWS.path(given.NAMESPACE, row["metadata"]["name"]), row)
    with pytest.raises(KeyReused):
        plan_app(ScriptedApi(script), replace(REQUEST, name="Another"), "anna", PROJECT, KEY)


def test_two_concurrent_requests_with_one_key_return_the_row_that_exists() -> None:
    """The other request's App exists for a moment."""
    other, _ = made_under(request=replace(REQUEST, name="Another"))
    app, row = made_under()
    script = holding(other).on("GET", ROWS.path(given.NAMESPACE, row["metadata"]["name"]), NOT_FOUND, row)
    api = ScriptedApi(script)
    plan = plan_app(api, REQUEST, "anna", PROJECT, KEY)
    script.on("POST", APP_LIST, EXISTS).on("GET", APP_PATH, app).on("POST", ROW_LIST, EXISTS)
    assert perform_app(api, plan) == (app, row, True)


def test_a_key_stays_used_if_its_app_exists_without_its_first_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PAUSE", 0)
    app, row = made_under()
    script = holding(app).on("GET", ROWS.path(given.NAMESPACE, row["metadata"]["name"]), NOT_FOUND)
    with pytest.raises(KeyReused):
        plan_app(ScriptedApi(script), replace(REQUEST, name="Another"), "anna", PROJECT, KEY)
    assert script.writes() == []


def test_the_same_request_at_the_same_moment_shares_the_app() -> None:
    app, row = made_under()
    script = holding().on("POST", APP_LIST, EXISTS).on("GET", APP_PATH, app)
    script.on("GET", ROWS.path(given.NAMESPACE, row["metadata"]["name"]), row)
    api = ScriptedApi(script)
    plan = plan_app(api, REQUEST, "anna", PROJECT, KEY)
    script.on("POST", ROW_LIST, EXISTS)
    assert perform_app(api, plan) == (app, row, True)


def test_an_app_whose_row_was_made_elsewhere_meanwhile_stays() -> None:
    _, row = made_under()
    script = holding().on("POST", ROW_LIST, rows_refused).on("GET", ROWS.path(given.NAMESPACE, row["metadata"]["name"]), row)
    api = ScriptedApi(script)
    performed = perform_app(api, plan_app(api, REQUEST, "anna", PROJECT, KEY))
    assert (performed.row, performed.is_replayed) == (row, True)
    assert script.bodies("DELETE", APP_PATH) == []


def test_an_app_that_was_there_before_stays_whatever_becomes_of_its_row() -> None:
    app, row = made_under()
    script = holding(app).on("POST", ROW_LIST, FORBIDDEN).on("GET", ROWS.path(given.NAMESPACE, row["metadata"]["name"]), NOT_FOUND)
    api = ScriptedApi(script)
    plan = plan_app(api, REQUEST, "anna", PROJECT, KEY)
    with pytest.raises(errors.Denied):
        perform_app(api, plan)
    script.on("GET", ROWS.path(given.NAMESPACE, row["metadata"]["name"]), Reply(503))
    with pytest.raises(errors.Denied):
        perform_app(api, plan)
    assert script.bodies("DELETE", APP_PATH) == []


def test_a_row_of_a_deleted_app_of_the_same_name_is_not_taken_for_the_first() -> None:
    app, row = made_under()
    owner = {"kind": APPS.kind, "uid": "uid of the App of before"}
    row = {**row, "metadata": {**row["metadata"], "ownerReferences": [owner]}}
    script = holding(app).on("POST", ROW_LIST, EXISTS).on("GET", ROWS.path(given.NAMESPACE, row["metadata"]["name"]), row)
    api = ScriptedApi(script)
    with pytest.raises(NotNow, match="was deleted a moment ago"):
        perform_app(api, plan_app(api, REQUEST, "anna", PROJECT, KEY))
    assert issubclass(NotNow, Refusal)


@pytest.mark.parametrize("version", ["v1", None], ids=["named", "the newest"])
def test_an_app_whose_only_row_would_be_rejected_is_not_made(version: str | None) -> None:
    script = holding(given.version_manifest("v1"))
    api, request = ScriptedApi(script), replace(REQUEST, version=version)
    script.on("GET", REJECTIONS.path(given.NAMESPACE), listed(rules.rejection("v1", named="v0")))
    with pytest.raises(Rejected, match=r"v1 was rejected by otto: it loses invoices \(namespace demo\): deploy another version$"):
        plan_app(api, request, "anna", PROJECT)
    assert script.writes() == []
    script.on("GET", REJECTIONS.path(given.NAMESPACE), listed(rules.rejection("v2")))
    assert plan_app(api, request, "anna", PROJECT).there is None
    # A caller who may not read releases is told by the row.
    script.on("GET", REJECTIONS.path(given.NAMESPACE), listed(rules.rejection("v1")))
    script.on("GET", VERSIONS.path(given.NAMESPACE), FORBIDDEN).on("GET", VERSIONS.path(given.NAMESPACE, "chat-v1"), FORBIDDEN)
    assert plan_app(api, request, "anna", PROJECT).there is None

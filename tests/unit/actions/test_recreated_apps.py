"""An App that was deleted and recreated: surfaces show and use the new one's objects while the old one's are collected."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from dynamiq_operator.actions import access_keys, deployable, reads, running
from dynamiq_operator.actions import follow as following
from dynamiq_operator.actions.approvals import ApprovalRequest, plan_approval
from dynamiq_operator.actions.deploy import DeployRequest, plan_deploy
from dynamiq_operator.actions.refusals import NotNow, Refusal, Unknown
from dynamiq_operator.actions.rollback import RollbackRequest, plan_rollback
from dynamiq_operator.actions.running import workloads_of
from dynamiq_operator.desired.base import CONFIG_MAP, SECRET, WORKLOAD, child
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.app_objects import only_of_app
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROWS, RUNTIMES, SECRETS
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.objects import App, Manifest
from tests.support import factories as given
from tests.support.scripted import Script, ScriptedApi, listed
from tests.support.scripted_namespace import FORBIDDEN, NOT_FOUND, holding, lacking

NAMESPACE, NAME = given.NAMESPACE, given.NAME
WORKLOADS = BY_KIND[WORKLOAD.kind].path(NAMESPACE)
FIRST, SECOND = (given.an_app(given.with_meta(uid=uid)) for uid in ("uid-first", "uid-second"))
APP = given.stored(given.app_manifest(given.with_meta(uid="uid-second")))
PATH = APPS.path(NAMESPACE, NAME)


def of(uid: str) -> given.Modifier:
    return given.with_meta(ownerReferences=[ownership.reference(NAME, uid)])


def old(name: str, *modifiers: given.Modifier) -> Manifest:
    return given.stored(given.row_manifest(name, *modifiers, of("uid-first")))


def new(name: str, *modifiers: given.Modifier) -> Manifest:
    return given.stored(given.row_manifest(name, *modifiers, of("uid-second")))


OLD = (old("old-1", given.superseded(1, "v1")), old("old-2", given.live(2, "v2")))


def api(*rows: Manifest, app: Manifest | None = APP) -> ScriptedApi:
    script = holding(*([app] if app is not None else []), *rows)
    return ScriptedApi(script if app is not None else lacking(script, PATH))


def shown(found: list[Manifest]) -> list[str]:
    return [row["metadata"]["name"] for row in found]


def test_its_history_begins_with_its_own_rows() -> None:
    waiting = given.stored(given.row_manifest("unowned"))
    assert shown(running.rows(api(*OLD, new("new-1", given.live(1)), waiting), NAMESPACE, NAME, "uid-second")) == ["unowned", "new-1"]
    assert running.rows(api(*OLD), NAMESPACE, NAME, "uid-second") == [], "nothing of it was deployed yet"
    assert reads.open_rows(api(*OLD), NAMESPACE, NAME, "uid-second").live is None


@pytest.mark.parametrize("asked", ["old-1", 1, "#2"])
def test_a_row_of_the_first_is_none_of_its_rows(asked: str | int) -> None:
    with pytest.raises(Unknown, match="no row"):
        reads.find_row(api(*OLD), NAMESPACE, NAME, "uid-second", asked)


def test_rows_of_a_deleted_app_are_shown_while_they_exist() -> None:
    assert shown(only_of_app(api(*OLD, app=None), NAMESPACE, NAME, [*OLD])) == ["old-1", "old-2"]


def test_a_caller_who_may_not_read_the_app_gets_all_rows() -> None:
    script = holding(*OLD).on("GET", PATH, FORBIDDEN)
    assert shown(only_of_app(ScriptedApi(script), NAMESPACE, NAME, [*OLD])) == ["old-1", "old-2"]


def test_rows_without_an_owner_cost_no_request() -> None:
    script = holding(row := given.row_manifest("a", given.live(1)))
    assert only_of_app(ScriptedApi(script), NAMESPACE, NAME, [row]) == [row]
    assert script.sent == []


NO_ROW = "no row old-1 of chat"
ASKS: dict[str, tuple[str, Callable[[Api], object]]] = {
    "rolled back to": ("nothing of chat has gone live yet", lambda api: plan_rollback(api, RollbackRequest(NAMESPACE, NAME))),
    "rolled back to by its name": (NO_ROW, lambda api: plan_rollback(api, RollbackRequest(NAMESPACE, NAME, row="old-1"))),
    "restored": (NO_ROW, lambda api: plan_deploy(api, DeployRequest(NAMESPACE, NAME, restores="old-1"))),
    "approved": (NO_ROW, lambda api: plan_approval(api, ApprovalRequest(NAMESPACE, NAME, Purpose.APPROVE, "old-1"), user="ada")),
}


@pytest.mark.parametrize("how", ASKS)
def test_a_row_of_the_first_is_not(how: str) -> None:
    says, ask = ASKS[how]
    with pytest.raises(Refusal, match=says):
        ask(api(*OLD))


def test_a_row_that_is_made_again_under_the_name_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "EVERY", 0.01)  # seconds between two readings of a rollout
    script = (
        holding(APP)
        .on("GET", WORKLOADS, listed())
        .on("GET", ROWS.path(NAMESPACE, "a"), new("a", given.with_meta(uid="one")), new("a", given.with_meta(uid="two")))
    )
    progress = following.follow(ScriptedApi(script), NAMESPACE, "a", app=NAME)
    assert not next(progress).is_done
    with pytest.raises(Unknown, match="row a was deleted"):
        next(progress)


def test_workloads_and_flows_of_the_first_are_none_of_its() -> None:
    left = child(FIRST, WORKLOAD, NAME, spec={"replicas": 3, "selector": {"matchLabels": {}}})
    script = holding(APP).on("GET", WORKLOADS, listed(left))
    assert workloads_of(ScriptedApi(script), NAMESPACE, NAME, "uid-second") is None
    assert workloads_of(ScriptedApi(script), NAMESPACE, NAME, "uid-first") is not None


@pytest.mark.parametrize(("app", "is_there"), [(FIRST, False), (SECOND, True)], ids=["the first", "its own"])
def test_a_flow_that_is_being_deleted_makes_no_row_deployable(app: App, is_there: bool) -> None:
    kept = child(app, CONFIG_MAP, "chat-flow", annotations={names.FLOW_HASH_ANNOTATION: given.flow_hash("v1")})
    row = new("new-1", given.live(1, "v1"))
    script = holding(APP, row).on("GET", RUNTIMES.path(), listed()).on("GET", BY_KIND[CONFIG_MAP.kind].path(NAMESPACE), listed(kept))
    (result,) = deployable.deployables(ScriptedApi(script), NAMESPACE, NAME, [row]).values()
    assert result.ok is is_there


def secret(uid: str | None) -> Manifest:
    made = child(FIRST, SECRET, names.access_keys(NAME), data={"default": base64.b64encode(b"a-key").decode()})
    owners = [ownership.reference(NAME, uid)] if uid is not None else []
    return {**made, "metadata": {**made["metadata"], "ownerReferences": owners, "uid": "u", "resourceVersion": "7"}}


@pytest.mark.parametrize("uid", [None, "uid-second"], ids=["App not looked up yet", "App known"])
def test_keys_of_the_first_are_neither_listed_nor_sent_nor_added_to(uid: str | None) -> None:
    def keyed(owner: str | None) -> ScriptedApi:
        return ScriptedApi(holding(APP).on("GET", SECRETS.path(NAMESPACE, names.access_keys(NAME)), secret(owner)))

    for ask in (
        lambda: access_keys.known_keys(keyed("uid-first"), NAMESPACE, NAME, uid),
        lambda: access_keys.key_of(keyed("uid-first"), NAMESPACE, NAME, None, uid),
        lambda: access_keys.plan_key(keyed("uid-first"), NAMESPACE, NAME, "web", uid),
        lambda: access_keys.plan_revocation(keyed("uid-first"), NAMESPACE, NAME, "default", uid),
    ):
        with pytest.raises(NotNow, match="has no Access Keys in namespace demo yet"):
            ask()
    for owner in ("uid-second", None):
        assert access_keys.key_of(keyed(owner), NAMESPACE, NAME, None, uid) == "a-key"


def test_a_key_is_announced_to_the_app_that_it_was_made_for() -> None:
    script: Script = holding(APP).on("GET", SECRETS.path(NAMESPACE, names.access_keys(NAME)), secret("uid-second"))
    script.on("PATCH", SECRETS.path(NAMESPACE, names.access_keys(NAME)), {}).on("PATCH", PATH, NOT_FOUND)
    plan = access_keys.plan_key(ScriptedApi(script), NAMESPACE, NAME, "web", "uid-second")
    assert not access_keys.perform_key(ScriptedApi(script), plan).is_announced
    assert script.bodies("PATCH", PATH)[0]["metadata"]["uid"] == "uid-second"

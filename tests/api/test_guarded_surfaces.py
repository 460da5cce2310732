"""A deploy waits, is shown with the same message on every surface, and continues after somebody else's approval on any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from local.clusters import Cluster
from tests.api.support import rest_rehearsal
from tests.api.support.rest_rehearsal import Rehearsal
from tests.support.api import Manifest
from tests.support.plugin import Plugin
from tests.support.rest import Client, problem
from tests.support.waiting import eventually


@dataclass(frozen=True)
class Place:
    """A project that requires one approval. `app`: the id of an App that serves v1. `bert` approves; `carl` is on call."""

    at: Rehearsal
    app: str
    name: str
    bert: Client
    carl: Client
    folder: Path

    @property
    def namespace(self) -> str:
        return self.at.stage.namespace

    def path(self, more: str = "") -> str:
        return f"/v1/apps/{self.app}{more}"

    def plugin(self, who: Client) -> Plugin:
        """Returns the plugin, logged in with this caller's token."""
        kubeconfig = self.folder / f"{(who.token or '')[-8:]}.kubeconfig"
        rest_rehearsal.login(self.at.stage, who.token or "", kubeconfig)
        return Plugin(self.at.stage.cluster, self.namespace, self.folder, more={"KUBECONFIG": str(kubeconfig)})

    def waits(self, version: str) -> Manifest:
        """Deploys a version as Anna by REST, and returns the row once it waits."""
        body = {"workflow_id": self.at.ids["workflow"], "workflow_version_id": self.at.ids[version]}
        row = self.at.caller.post(self.path("/deploy"), body)
        return eventually("it waits", lambda: found if (found := self.row(row["id"]))["waits"] else None)

    def row(self, uid: str) -> Manifest:
        found: Manifest = self.at.caller.get(self.path(f"/deployments/{uid}"))
        return found

    def stored(self, name: str) -> Manifest:
        body: Manifest = self.at.stage.api.get(kinds.ROW.kind, name, self.namespace).body
        return body


@pytest.fixture(scope="module")
def place(cluster: Cluster, guarded: None, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("surfaces")
    with rest_rehearsal.rehearsal(cluster, account, folder, "surfaces") as at:
        app = at.new_app("Support")
        bert, carl = (
            rest_rehearsal.new_caller(at.stage, at.url, name, role)
            for name, role in (("bert", "dynamiq-approver"), ("carl", "dynamiq-on-call"))
        )
        policy = {
            "apiVersion": API_VERSION,
            "kind": kinds.DEPLOY_POLICY.kind,
            "metadata": {"name": at.stage.namespace},
            "spec": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": at.stage.namespace}},
                "approvals": {"count": 1, "serviceAccounts": [f"system:serviceaccount:{at.stage.namespace}:bert"]},
            },
        }
        assert at.stage.api.create(policy).ok
        eventually("the App says so", lambda: at.caller.get(f"/v1/apps/{app}/guards")["guards"])
        yield Place(at, app, at.named(app), bert, carl, folder)
        at.stage.kubectl("delete", "deploypolicy", at.stage.namespace)


def _by_plugin(place: Place, row: Manifest) -> None:
    output = place.plugin(place.bert).said("approve", place.name, f"#{row['sequence']}", "-m", "read it", "--yes")
    assert output.splitlines()[-2:] == [
        f"approved #{row['sequence']} ({row['name']}) of {place.name}",
        "nothing else holds it: it is deployed",
    ]


def _by_rest(place: Place, row: Manifest) -> None:
    seen = place.bert.get(place.path(f"/deployments/{row['id']}/preview"))
    assert (seen["digest"], seen["to"]["version"], seen["waits"]) == (
        row["digest"],
        row["workflow_version"]["version"],
        row["waits"]["message"],
    )
    made = place.bert.post(place.path(f"/deployments/{row['id']}/approvals"), {"purpose": "Approve", "digest": seen["digest"]}, key="once")
    again = place.bert.post(place.path(f"/deployments/{row['id']}/approvals"), {"purpose": "Approve", "digest": seen["digest"]}, key="once")
    assert made["name"] == again["name"], "one word under one key"


@pytest.mark.parametrize(("version", "approve"), [("v3", _by_plugin), ("v4", _by_rest)], ids=["plugin", "REST"])
def test_a_row_waits_and_is_deployed_after_the_approval_of_another_user(
    place: Place, version: str, approve: Callable[[Place, Manifest], None]
) -> None:
    row = place.waits(version)
    answer = place.at.caller.get(place.path())
    assert (answer["status"]["word"], answer["under_way"], answer["waiting"][0]["name"]) == ("Live", None, row["name"]), "the App serves on"
    problem(place.at.caller("POST", place.path(f"/deployments/{row['id']}/approvals"), {"purpose": "Approve"}), 403, "is the author of row")
    approve(place, row)
    place.at.until_live(place.app, row["id"])
    live = place.row(row["id"])
    assert [each["username"] for each in live["released"]["by"]] == [f"system:serviceaccount:{place.namespace}:bert"]
    assert (live["released"]["guards"], live["waits"]) == (["AwaitingApproval"], None)


def test_every_surface_shows_the_same_message(place: Place) -> None:
    row = place.waits("v1" if place.at.history(place.app)[0]["workflow_version"]["version"] != "v1" else "v2")
    says = place.stored(row["name"])["status"]["waits"]["message"]
    plugin = place.plugin(place.at.caller)
    assert row["waits"]["message"] == says
    assert place.at.caller.get(place.path())["waiting"][0]["waits"]["message"] == says
    assert place.at.caller.get(place.path("/guards"))["waiting"][0]["waits"]["message"] == says
    assert says in plugin.said("status", place.name)
    assert plugin.data("history", place.name)[0]["waits"] == says
    assert says in plugin.said("history", place.name, "-o", "wide")
    assert says in plugin("policy", "check", place.name).stdout
    assert says in place.at.stage.kubectl("get", "deployments.dynamiq", "-o", "wide", namespace=place.namespace).stdout

    would = [each["message"] for each in place.at.stage.api.get(kinds.APP.kind, place.name, place.namespace).body["status"]["guards"]]
    assert [each["message"] for each in place.at.caller.get(place.path("/guards"))["guards"]] == would
    preview = place.at.caller.post(place.path("/deploy/preview"), {"workflow_id": place.at.ids["workflow"]}, 200)
    assert [each["message"] for each in preview["guards"]] == would
    assert f"it would wait: {would[0]}" in plugin.said("deploy", place.name, "--preview")
    assert would[0] in plugin.said("policy", "check", place.name, "--for", "Rollback"), "a rollback waits for none, and the others do"
    _ended(place, row, "withdraw")


def _ended(place: Place, row: Manifest, word: str) -> None:
    """Withdraws the row as its author, and waits for its end."""
    place.plugin(place.at.caller).said(word, place.name, row["name"], "--yes")
    eventually("it has ended", lambda: place.stored(row["name"])["spec"].get("outcome"))
    assert "withdrawn by" in place.row(row["id"])["reason"]


def test_on_call_rolls_back_past_a_waiting_row_and_deploys_nothing_else(place: Place) -> None:
    row = place.waits("v2")
    history = place.at.history(place.app)
    back = next(each for each in history if each["status"] == "Superseded" and each["reason"] is None)
    body = {"restores": back["id"]}
    problem(place.carl("POST", place.path("/deploy"), {"workflow_id": place.at.ids["workflow"]}), 403, "may not deploy")
    preview = place.carl.post(place.path("/deploy/preview"), body, 200)
    assert (preview["guards"], preview["begins_hold"]) == ([], False), "Git never touched the App: nothing of it has to wait"
    confirmed = {**preview["to"], **{name: preview[name] for name in ("from", "under_way", "guards", "begins_hold")}}
    made = place.carl.post(place.path("/deploy"), {**body, "confirmed": confirmed})
    place.at.until_live(place.app, made["id"])
    assert place.row(row["id"])["status"] == "Superseded", "it was overtaken"
    assert place.at.caller.get(place.path())["holds"] is None


def test_each_role_has_its_rights_to_guards(place: Place) -> None:
    def may(who: Client) -> set[str]:
        rights: dict[str, Any] = who.get(place.path("/rights"))
        return {name for name, each in rights.items() if each["allowed"]} & RULES

    assert may(place.bert) == {"approve", "reject_versions", "withdraw"}
    assert may(place.carl) == {"roll_back", "withdraw"}
    assert may(place.at.caller) == {"deploy", "roll_back", "resume", "withdraw", "suspend"}
    asked = {"workflow_version_id": place.at.ids["v2"], "reason": "it loses invoices"}
    problem(place.at.caller("POST", place.path("/rejections"), asked), 403)
    problem(place.carl("POST", place.path("/suspend")), 403)
    assert place.at.caller.post(place.path("/suspend"), status=200)["suspended"] is True
    place.plugin(place.at.caller).said("suspend", place.name, "--off", "--yes")
    assert place.at.caller.get(place.path())["suspended"] is False
    says = place.bert.post(place.path("/rejections"), asked)["message"]
    body = {"workflow_id": place.at.ids["workflow"], "workflow_version_id": place.at.ids["v2"]}
    assert problem(place.at.caller("POST", place.path("/deploy/preview"), body), 409)["message"].startswith(says)
    place.plugin(place.bert).said("reject-version", place.name, "v2", "--withdraw", "-m", "it was the mail server", "--yes")
    (told,) = place.at.caller.get(place.path("/rejections"))
    assert told["withdrawn"]["reason"] == "it was the mail server"


RULES = frozenset(("deploy", "roll_back", "approve", "resume", "withdraw", "reject_versions", "bypass", "suspend"))

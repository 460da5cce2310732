"""Waiting rows in a terminal: messages of deploys, approvals and rejections, rejected versions, suspension and `policy check`."""

from __future__ import annotations

import json

import pytest

from dynamiq_operator.actions.identity import REVIEWS
from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.kube.api import METADATA_ONE
from dynamiq_operator.kube.resources import APPROVALS, APPS, BY_KIND, REJECTIONS, ROWS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import Sent, failure, listed
from tests.support.scripted_namespace import created
from tests.support.scripted_plugin import ScriptedPlugin
from tests.unit.support import rules
from tests.unit.support.workloads import rolling

NEW = "chat-new"
ROW_LIST = ROWS.path(NAMESPACE)


def row(*modifiers: given.Modifier, name: str = NEW) -> Manifest:
    return given.stored(given.row_manifest(name, *modifiers))


@pytest.fixture
def held(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat, which serves v1 of two. A second row waits for an approval; the caller is otto."""
    plugin.app(given.stored(given.app_manifest(given.with_status(guards=[rules.WOULD_AWAIT]))))
    plugin.rows(row(given.live(1, "v1"), name="chat-a"), row(rules.awaiting(2), name="chat-b"))
    plugin.releases(*(given.stored(given.version_manifest(version)) for version in ("v1", "v2")))
    plugin.flows("v1", "v2")
    plugin.runtimes(given.stored(given.runtime_manifest()))
    plugin.script.on("GET", BY_KIND[WORKLOAD.kind].path(NAMESPACE), listed(rolling(2, 1, 1, 1)))
    plugin.script.on("POST", ROW_LIST, row()).on("POST", APPROVALS.path(NAMESPACE), rules.stamping("otto")).on(
        "POST", REJECTIONS.path(NAMESPACE), created
    )
    plugin.script.on("POST", REVIEWS, {"status": {"userInfo": {"username": "otto"}}})
    return plugin


def made(plugin: ScriptedPlugin, path: str) -> list[Manifest]:
    """Returns the specs of the objects that were created at a path."""
    return [body["spec"] for body in plugin.script.bodies("POST", path)]


# A deploy that waits.


def test_a_deploy_that_ends_up_waiting_says_for_what_and_ends(held: ScriptedPlugin) -> None:
    held.script.on("GET", ROWS.path(NAMESPACE, NEW), row(given.progressing(3, "v2")), row(rules.awaiting(3)))
    done = held("deploy", "chat", "--yes")
    assert done.code == 3
    assert f"chat: v2 (#3, chat-new) waits: {rules.AWAITS}" in done.out
    assert "it continues after that; see `kubectl dynamiq status chat -n demo`" in done.out
    assert "error" not in done.err
    assert f"  it would wait: {rules.WOULD_AWAIT['message']}" in done.out, "the preview said so before"


def test_what_a_script_reads_of_a_deploy_that_waits(held: ScriptedPlugin) -> None:
    held.script.on("GET", ROWS.path(NAMESPACE, NEW), row(rules.awaiting(3)))
    done = held("deploy", "chat", "--yes", "-o", "json")
    assert (done.code, json.loads(done.out)["waits"]) == (3, rules.AWAITS)


def test_with_wait_it_is_followed_until_it_is_live(held: ScriptedPlugin) -> None:
    waits, live = row(rules.awaiting(3)), row(given.live(3, "v2"))
    held.script.on("GET", ROWS.path(NAMESPACE, NEW), waits, waits, live)
    done = held("deploy", "chat", "--yes", "--wait")
    assert (done.code, "(#3, chat-new) is Live after" in done.out) == (0, True)
    assert f"waits: {rules.AWAITS}" in done.err


def test_a_bypass_is_sent_with_its_reason_and_no_hold_as_asked(held: ScriptedPlugin) -> None:
    held("deploy", "chat", "--yes", "--no-wait", "--bypass", "the shop is down")
    held.rows(*(row(given.superseded(1, "v1"), name="chat-a"), row(given.live(2, "v2"), name="chat-b")))
    held("rollback", "chat", "--yes", "--no-wait", "--no-hold")
    deploy, rollback = made(held, ROW_LIST)
    assert deploy["bypass"] == {"reason": "the shop is down"}
    assert rollback == {"app": NAME, "restores": "chat-a", "hold": False}


# Approvals.


def test_approving_shows_the_preview_of_the_author_and_asks(held: ScriptedPlugin) -> None:
    done = held("approve", "chat", "-m", "read it", typed="y\n")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[:2] == ["approve #2 (chat-b) of chat in demo", "  by       anna"]
    assert "  version  v1 (#1) → v2" in lines
    assert f"  it waits: {rules.AWAITS}" in lines
    assert lines[-2:] == ["approved #2 (chat-b) of chat", "nothing else holds it: it is deployed"]
    assert [each["purpose"] for each in made(held, APPROVALS.path(NAMESPACE))] == ["Approve"]


@pytest.mark.parametrize(
    ("command", "purpose", "by"), [("approve", "Approve", "otto"), ("reject", "Reject", "otto"), ("withdraw", "Withdraw", "anna")]
)
def test_each_word_is_given_on_the_row_that_is_named(held: ScriptedPlugin, command: str, purpose: str, by: str) -> None:
    held.script.on("POST", REVIEWS, {"status": {"userInfo": {"username": by}}})
    assert held(command, "chat", "#2", "-m", "why", "--yes").code == 0
    (sent,) = made(held, APPROVALS.path(NAMESPACE))
    assert (sent["row"], sent["purpose"], sent["message"]) == ("chat-b", purpose, "why")


def test_a_word_is_previewed_once_and_a_refusal_not_at_all(held: ScriptedPlugin) -> None:
    """A failed preview of an approval does not stop anybody from rejecting the row."""
    held("approve", "chat", "--yes")
    of_app = [sent.headers["Accept"] for sent in held.script.sent if sent.path == APPS.path(NAMESPACE, NAME)]
    assert of_app == [METADATA_ONE, "application/json"], "its uid, and the App for the preview"
    held.script.on("GET", ROWS.path(NAMESPACE, "chat-b"), row(rules.awaiting(2), name="chat-b"))
    for purpose, by, code in (("approve", "otto", 1), ("reject", "otto", 0), ("withdraw", "anna", 0)):
        away = failure(500, "InternalError", "etcd is away")
        held.script.on("GET", APPS.path(NAMESPACE, NAME), given.stored(given.app_manifest()), away)
        held.script.on("POST", REVIEWS, {"status": {"userInfo": {"username": by}}})
        assert held(purpose, "chat", "chat-b", "--yes").code == code


def test_nobody_is_asked_where_nothing_is_to_be_done(held: ScriptedPlugin) -> None:
    approval = rules.approval(row(rules.awaiting(2), name="chat-b"), "otto")
    held.script.on("GET", APPROVALS.path(NAMESPACE), listed(approval))
    done = held("approve", "chat")
    assert (done.code, done.out) == (0, "you have approved #2 (chat-b) already: nothing to do\n")


def test_a_preview_of_a_word_gives_none(held: ScriptedPlugin) -> None:
    done = held("approve", "chat", "--preview", "-o", "json")
    data = json.loads(done.out)
    assert (data["row"], data["preview"]["to"]["version"], data["noOp"]) == ("chat-b", "v2", False)
    assert made(held, APPROVALS.path(NAMESPACE)) == []


def test_what_is_held_is_resumed(held: ScriptedPlugin) -> None:
    held.rows(row(given.live(1, "v1"), name="chat-a"), row(rules.held(2), name="chat-b"))
    done = held("resume", "chat", "--yes")
    assert done.out.endswith("resumed #2 (chat-b) of chat\nnothing else holds it: it is deployed\n")


def test_a_refusal_by_admission_is_its_sentence(held: ScriptedPlugin) -> None:
    refused = "approvals.dynamiq.getdynamiq.ai \"x\" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'a' denied request: otto may not approve"
    held.script.on("POST", APPROVALS.path(NAMESPACE), failure(403, "Forbidden", refused))
    done = held("approve", "chat", "--yes")
    assert (done.code, done.err.splitlines()[-1]) == (1, "error: otto may not approve")


# Rejected versions, suspension, and the guards of a deploy.


def test_a_version_is_rejected_with_a_reason(held: ScriptedPlugin) -> None:
    done = held("reject-version", "chat", "v2", "-m", "it loses invoices", "--yes")
    assert done.code == 0
    (sent,) = made(held, REJECTIONS.path(NAMESPACE))
    assert (sent["workflowHash"], sent["reason"]) == (given.flow_hash("v2"), "it loses invoices")
    assert held("reject-version", "chat", "v2").code == 2, "without a reason it is wrong usage"
    assert held("reject-version", "chat", "-m", "why").code == 2
    assert held("reject-version", "chat", "v2", "--row", "1", "-m", "why").code == 2


def test_what_a_row_ran_is_rejected_by_its_number(held: ScriptedPlugin) -> None:
    assert held("reject-version", "chat", "--row", "1", "-m", "it loses invoices", "--yes").code == 0
    (sent,) = made(held, REJECTIONS.path(NAMESPACE))
    assert (sent["workflowHash"], sent["version"]) == (given.flow_hash("v1"), "v1")


def test_a_rejection_is_withdrawn_with_a_reason(held: ScriptedPlugin) -> None:
    there = rules.rejection("v2")
    path = REJECTIONS.path(NAMESPACE, there["metadata"]["name"])
    held.script.on("GET", REJECTIONS.path(NAMESPACE), listed(there)).on("PATCH", path, there)
    done = held("reject-version", "chat", "v2", "--withdraw", "-m", "it was the mail server", "--yes")
    assert done.out.splitlines()[-1] == "v2 of chat may be deployed again"
    assert "  v2 was rejected by otto: it loses invoices" in done.out.splitlines()


def test_an_app_is_suspended_and_that_is_taken_off(held: ScriptedPlugin) -> None:
    sent: list[Sent] = []

    def patched(request: Sent) -> Manifest:
        sent.append(request)
        return given.stored(given.app_manifest())

    held.script.on("PATCH", APPS.path(NAMESPACE, NAME), patched)
    assert held("suspend", "chat", "--yes").out.splitlines()[-1] == (
        "chat is suspended: `kubectl dynamiq suspend chat --off -n demo` ends that"
    )
    held.app(given.stored(given.app_manifest(given.with_spec(suspend=True))))
    assert held("suspend", "chat", "--off", "--yes").out.splitlines()[-1] == "chat is resumed"
    assert [each.body["spec"] for each in sent] == [{"suspend": True}, {"suspend": None}]
    assert "already" in held("suspend", "chat").err


def test_policy_check_says_what_would_hold_each_kind_of_row(held: ScriptedPlugin) -> None:
    done = held("policy", "check", "chat")
    assert done.code == 3
    assert done.out.splitlines() == [
        "chat in demo",
        f"  Deploy      {rules.WOULD_AWAIT['message']}",
        f"  Promotion   {rules.WOULD_AWAIT['message']}",
        "  Rollback    it would not wait",
        f"  Git         {rules.WOULD_AWAIT['message']}",
        f"  waiting     v2 (#2, chat-b): {rules.AWAITS}",
    ]
    assert held("policy", "check", "chat", "--for", "Rollback").code == 0
    data = json.loads(held("policy", "check", "chat", "-o", "json").out)
    assert (data["guards"][0]["message"], data["waiting"][0]["waits"]) == (rules.WOULD_AWAIT["message"], rules.AWAITS)


def test_status_and_history_say_the_same_words(held: ScriptedPlugin) -> None:
    output = held("status", "chat").out
    assert f"  waits       {rules.AWAITS}" in output
    assert f"  guard       Deploy, Promotion, Git: {rules.WOULD_AWAIT['message']}" in output
    assert rules.AWAITS in held("history", "chat", "-o", "wide").out


def test_completion_offers_rows_and_the_word_check(held: ScriptedPlugin) -> None:
    held.gets("deployments.dynamiq.getdynamiq.ai", '2\t"v2"', '1\t"v1"')
    assert [line.partition("\t")[0] for line in held.complete("approve", "chat", "")][:2] == ["2", "1"]
    assert held.complete("policy", "")[0].startswith("check")

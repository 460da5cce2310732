"""Rules for deploys in the console: waiting rows and decisions on them, holds, freezes, suspension, rejected versions and bypasses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import format_time
from tests.console.conftest import PageAs
from tests.support import factories, rest
from tests.support.browser.deploying import Deploying, dialog, newest_two_alone, previewed, rolled_out
from tests.support.browser.everything import LIVE_WITHIN
from tests.support.browser.histories import row
from tests.support.browser.keys import painted
from tests.support.browser.pages import Window, axe
from tests.support.browser.served import User
from tests.support.history_stage import HistoryStage
from tests.support.waiting import eventually

Rule = Callable[..., None]
WHY = "it <b>loses</b> invoices"


@pytest.fixture(scope="module")
def deploying(stage: HistoryStage, users: dict[str, User]) -> Deploying:
    made = Deploying.made(stage, "ruled")
    users["author"] = made.user("author", "edit")
    users["approver"] = made.user("approver", "dynamiq-approver")
    users["breaker"] = made.user("breaker", "edit", "dynamiq-bypass")
    return made


@pytest.fixture
def rule(deploying: Deploying) -> Iterator[Rule]:
    """Yields `rule(app, "Frozen", freezes=[…])`, which makes a DeployPolicy and waits until the App's guards have that reason."""
    stage = deploying.stage
    name = f"{stage.namespace}-rule"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}
    made = {"apiVersion": API_VERSION, "kind": "DeployPolicy", "metadata": {"name": name}}

    def ruled(app: str, reason: str, **spec: Any) -> None:
        assert stage.api.create(made | {"spec": {"namespaceSelector": selector, **spec}}).ok
        eventually(f"{app} knows of it", lambda: reason in reasons(stage, app))

    yield ruled
    stage.api.delete(made)


def reasons(stage: HistoryStage, app: str) -> list[str]:
    """Returns the reasons for which a deploy of the App would wait now."""
    return [each["reason"] for each in stage.get(kinds.APP.kind, app).get("status", {}).get("guards") or ()]


def approvals(deploying: Deploying) -> dict[str, Any]:
    return {"count": 1, "serviceAccounts": [f"system:serviceaccount:{deploying.stage.namespace}:approver"]}


def rules(page: Page) -> Locator:
    return page.get_by_role("region", name="Rules for deploys")


def deploy(page: Page, version: str, says: str = "") -> None:
    """Deploys a version by the open panel, once its preview has this text."""
    panel = dialog(page, "Deploy")
    option = panel.get_by_label("Source version").locator("option", has_text=re.compile(f"^{version} ")).first
    panel.get_by_label("Source version").select_option(label=option.inner_text())
    previewed(page, version)
    expect(panel.get_by_role("region", name="Preview")).to_contain_text(says)
    panel.get_by_role("button", name=f"Deploy {version}").click()
    rolled_out(page)


def settled_row(deploying: Deploying, app: str, result: str) -> dict[str, Any]:
    """Waits until the newest row ends with `result`, and returns its spec."""

    def ended() -> dict[str, Any] | None:
        spec: dict[str, Any] = deploying.stage.rows(app)[-1]["spec"]
        return spec if spec.get("outcome", {}).get("result") == result else None

    return eventually(f"the newest row of {app} ends: {result}", ended)


def test_a_deploy_waits_until_somebody_else_approves_it_and_is_live_without_a_reload(
    page_as: PageAs, deploying: Deploying, rule: Rule
) -> None:
    app = deploying.app("approved", "v1")
    rule("approved", "AwaitingApproval", approvals=approvals(deploying))
    mine = page_as("author", f"/console/apps/{app}/deploy").page
    deploy(mine, "v2", "It would wait: someone else would have to approve it")
    mine.get_by_role("link", name="Withdraw…").click()
    own = dialog(mine, "Review v2 (#2)")
    expect(own).to_contain_text("You are its author: somebody else has to approve it")
    expect(own.get_by_role("button", name="Withdraw v2 (#2)")).to_be_visible()
    expect(own.get_by_role("button", name=re.compile("Approve"))).to_have_count(0)
    mine.keyboard.press("Escape")
    window = page_as("approver", f"/console/apps/{app}/history")
    theirs = window.page
    told = rules(theirs)
    expect(told).to_contain_text("0 of 1 approval")
    expect(told).to_contain_text(f"by author ({deploying.stage.namespace})")
    told.get_by_role("link", name="Approve… v2 (#2)").click()
    review = dialog(theirs, "Review v2 (#2)")
    expect(review.get_by_role("region", name="Flow: what changes")).to_contain_text("return 'v2'")
    expect(review.get_by_role("region", name="Preview")).to_contain_text("Pods restart")
    expect(review).to_contain_text(
        f"the role dynamiq-approver, except its author; of service accounts approver ({deploying.stage.namespace}), "
        f"by policy {deploying.stage.namespace}-rule"
    )
    waiting = review.page.url.rpartition("/history/")[2].partition("/")[0]
    read = [each.url for each in window.seen.requests if each.url.partition("?")[0].endswith(f"/deployments/{waiting}")]
    assert read
    assert not [each for each in read if "deployable" in each], "of what never was live nobody asks whether it could be brought back"
    message, preview = (found.bounding_box() for found in (review.get_by_label("Message"), review.get_by_role("region", name="Preview")))
    assert message
    assert preview
    assert message["width"] > preview["width"] * 0.9, "there is room for a sentence"
    review.get_by_label("Message").fill("read it")
    button = review.get_by_role("button", name="Approve v2 (#2)")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    assert axe(theirs) == []
    button.click()
    rolled_out(theirs)
    for each in (mine, theirs):
        expect(each.get_by_text("v2 serves", exact=True).first).to_be_visible(timeout=LIVE_WITHIN)
    assert settled_row(deploying, "approved", "Succeeded")["released"]["by"] == approvals(deploying)["serviceAccounts"]
    theirs.get_by_role("link", name="History").click()
    expect(row(theirs, 2)).to_contain_text(f"Approved by approver ({deploying.stage.namespace})")
    expect(rules(theirs)).to_have_count(0)


@pytest.mark.long(
    "a guard of its own on a real cluster; the decisions: tests/unit/plan; approval, hold and bypass in a browser: this file; its dialogs: operator/console/tests/guards.test.tsx"
)
def test_it_is_rejected_by_keyboard_with_two_actions_from_the_list(page_as: PageAs, deploying: Deploying, rule: Rule) -> None:
    app = deploying.app("turned-down", "v1")
    rule("turned-down", "AwaitingApproval", approvals=approvals(deploying))
    deploy(page_as("author", f"/console/apps/{app}/deploy").page, "v2")
    page = page_as("approver", f"/console/apps/{app}/history").page
    expect(row(page, 2)).to_contain_text("Waiting")
    painted(page)
    page.keyboard.press("j")
    page.keyboard.press("a")
    review = dialog(page, "Review v2 (#2)")
    expect(review.get_by_role("button", name="Approve v2 (#2)")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert settled_row(deploying, "turned-down", "Failed")["outcome"]["reason"].startswith("rejected by ")
    expect(row(page, 2)).to_contain_text("Rejected")
    expect(row(page, 2)).to_contain_text("rejected by")


def git(deploying: Deploying, app: str, version: str) -> str:
    """Sets the version in Git, and returns the App's id."""
    stage = deploying.stage
    stage.apply(stage.declared(version, factories.public(), factories.with_spec(workflow=deploying.workflow), name=app))
    return rest.uid(stage.api, kinds.APP.kind, app, stage.namespace)


def rolled_back(page_as: PageAs, deploying: Deploying, app: str) -> Page:
    """Rolls an App that deploys from Git back to its first row in the console, and returns its page."""
    uid = git(deploying, app, "v1")
    deploying.stage.until_served("v1", app)
    git(deploying, app, "v2")
    deploying.stage.until_served("v2", app, rows=2)
    page = page_as("author", f"/console/apps/{uid}/history").page
    page.get_by_role("link", name="Roll back to v1").click()
    panel = dialog(page, "Roll back")
    expect(panel.get_by_label("Git waits afterwards")).to_be_checked()
    expect(panel.get_by_role("region", name="Preview")).to_contain_text("Changes from Git are on hold after it")
    panel.get_by_role("button", name="Roll back to v1 (#1)").click()
    rolled_out(page)
    deploying.stage.until_served("v1", app, rows=3)
    page.get_by_role("link", name="Overview").click()
    expect(rules(page)).to_contain_text("Changes from Git are on hold")
    return page


def test_after_a_rollback_what_git_asks_for_waits_until_it_is_resumed(page_as: PageAs, deploying: Deploying) -> None:
    page = rolled_back(page_as, deploying, "kept")
    git(deploying, "kept", "v3")
    rules(page).get_by_role("link", name="Resume… v3 (#4)").click()
    review = dialog(page, "Review v3 (#4)")
    expect(review.get_by_role("region", name="Flow: what changes")).to_contain_text("return 'v3'")
    review.get_by_role("button", name="Resume v3 (#4)").click()
    rolled_out(page)
    expect(page.get_by_text("v3 serves", exact=True).first).to_be_visible(timeout=LIVE_WITHIN)
    deploying.stage.until_served("v3", "kept", rows=4)


@pytest.mark.long(
    "a guard of its own on a real cluster; the decisions: tests/unit/plan; approval, hold and bypass in a browser: this file; its dialogs: operator/console/tests/guards.test.tsx"
)
def test_a_hold_is_ended_before_anything_waits_and_can_be_left_out(page_as: PageAs, deploying: Deploying) -> None:
    page = rolled_back(page_as, deploying, "let-go")
    rules(page).get_by_role("button", name="Resume…").click()
    form = dialog(page, "Resume changes from Git")
    assert axe(page) == []
    form.get_by_role("button", name="Resume", exact=True).click()
    expect(rules(page)).to_have_count(0)
    git(deploying, "let-go", "v3")
    deploying.stage.until_served("v3", "let-go", rows=4)
    page.get_by_role("link", name="History").click()
    page.get_by_role("link", name="Roll back to v1 (#3)").click()
    panel = dialog(page, "Roll back")
    panel.get_by_label("Git waits afterwards").uncheck()
    expect(panel.get_by_role("region", name="Preview")).not_to_contain_text("Changes from Git are on hold after it")
    expect(panel.get_by_role("region", name="From a terminal")).to_contain_text("--no-hold")
    panel.get_by_role("button", name="Roll back to v1 (#3)").click()
    rolled_out(page)
    deploying.stage.until_served("v1", "let-go", rows=5)
    assert "holds" not in deploying.stage.rows("let-go")[-1]["spec"]["pinned"]


@pytest.mark.long(
    "a guard of its own on a real cluster; the decisions: tests/unit/plan; approval, hold and bypass in a browser: this file; its dialogs: operator/console/tests/guards.test.tsx"
)
def test_a_freeze_shows_its_end_and_its_policy(page_as: PageAs, deploying: Deploying, rule: Rule) -> None:
    app = deploying.app("frozen", "v1")
    now = datetime.now(UTC)
    to = format_time(now + timedelta(hours=2))
    rule("frozen", "Frozen", freezes=[{"name": "weekend", "from": format_time(now - timedelta(hours=1)), "to": to}])
    page = page_as("author", f"/console/apps/{app}").page
    expect(rules(page)).to_contain_text("Frozen until")
    expect(rules(page)).to_contain_text(f"frozen until {to} (freeze weekend of policy {deploying.stage.namespace}-rule)", ignore_case=True)
    assert axe(page) == []
    page.get_by_role("link", name="Deploy", exact=True).click()
    deploy(page, "v2", "It would wait: frozen until")
    page.get_by_role("link", name="Overview").click()
    expect(rules(page).get_by_role("link", name="Withdraw… v2 (#2)")).to_be_visible()
    rules(page).get_by_role("link", name="Withdraw… v2 (#2)").click()
    dialog(page, "Review v2 (#2)").get_by_role("button", name="Withdraw v2 (#2)").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert settled_row(deploying, "frozen", "Failed")["outcome"]["reason"].startswith("withdrawn by ")


@pytest.mark.long(
    "a guard of its own on a real cluster; the decisions: tests/unit/plan; approval, hold and bypass in a browser: this file; its dialogs: operator/console/tests/guards.test.tsx"
)
def test_an_app_is_suspended_and_that_is_taken_off_by_who_may(page_as: PageAs, deploying: Deploying) -> None:
    app = deploying.app("stopped", "v1")
    page = page_as("author", f"/console/apps/{app}/configuration").page
    page.get_by_role("button", name="Suspend…").click()
    dialog(page, "Suspend stopped").get_by_role("button", name="Suspend", exact=True).click()
    page.get_by_role("link", name="Overview").click()
    expect(rules(page)).to_contain_text("App stopped is suspended")
    theirs = page_as("viewer", f"/console/apps/{app}").page
    barred = rules(theirs).get_by_role("button", name="Take it off…")
    expect(barred).to_have_attribute("aria-disabled", "true")
    expect(barred).to_have_accessible_description(re.compile("dynamiq-"))
    rules(page).get_by_role("button", name="Take it off…").click()
    dialog(page, "End the suspension").get_by_role("button", name="Take it off", exact=True).click()
    for each in (page, theirs):
        expect(rules(each)).to_have_count(0)
    assert not deploying.stage.get(kinds.APP.kind, "stopped")["spec"].get("suspend")


@pytest.mark.long(
    "a guard of its own on a real cluster; the decisions: tests/unit/plan; approval, hold and bypass in a browser: this file; its dialogs: operator/console/tests/guards.test.tsx"
)
def test_a_rejected_version_is_marked_and_cannot_be_chosen_until_that_is_withdrawn(page_as: PageAs, deploying: Deploying) -> None:
    app = deploying.app("choosing", "v1")
    stage = deploying.stage
    version = rest.uid(stage.api, kinds.WORKFLOW_VERSION.kind, f"{deploying.workflow}-v3", stage.namespace)
    theirs = page_as("approver", f"/console/workflows/{deploying.workflow_id}/versions/{version}").page
    theirs.get_by_role("button", name="Reject…").click()
    form = dialog(theirs, "Reject v3")
    expect(form.get_by_role("button", name="Reject v3")).to_be_disabled()
    form.get_by_label("Why nobody is to deploy it").fill(WHY)
    form.get_by_role("button", name="Reject v3").click()
    expect(theirs.get_by_text(WHY)).to_be_visible()
    mine = page_as("author", f"/console/apps/{app}/deploy").page
    source = dialog(mine, "Deploy").get_by_label("Source version")
    expect(source.locator("option", has_text="v3 (rejected)")).to_have_attribute("disabled", "")
    expect(source.locator("option", has_text="v3 (rejected)")).to_contain_text(WHY)
    expect(source.locator("option:checked")).to_contain_text("v1 (deployed)")
    theirs.get_by_role("button", name="Withdraw the rejection…").click()
    form = dialog(theirs, "Withdraw the rejection of v3")
    form.get_by_label("Why it may be deployed again").fill("it was the mail server")
    form.get_by_role("button", name="Withdraw the rejection").click()
    expect(theirs.get_by_role("button", name="Reject…")).to_be_visible()
    mine.reload()
    deploy(mine, "v3")
    stage.until_served("v3", "choosing", rows=2)


def test_a_user_with_the_right_bypasses_the_guards_with_a_reason_that_stays(page_as: PageAs, deploying: Deploying, rule: Rule) -> None:
    app = deploying.app("passed", "v1")
    rule("passed", "AwaitingApproval", approvals=approvals(deploying))
    mine = page_as("author", f"/console/apps/{app}/deploy?version=v3").page
    expect(dialog(mine, "Deploy").get_by_role("region", name="Preview")).to_contain_text("It would wait")
    expect(mine.get_by_label("Bypass the rules")).to_have_count(0)
    window = page_as("breaker", f"/console/apps/{app}/deploy?version=v3")
    page = window.page
    panel = dialog(page, "Deploy")
    box = panel.get_by_label("Bypass the rules")
    box.check()
    button = panel.get_by_role("button", name="Deploy v3 past the rules")
    button.click(force=True)  # it is disabled, and leads to what is missing
    expect(panel.get_by_label("Reason for the bypass")).to_have_attribute("aria-invalid", "true")
    expect(panel.get_by_label("Reason for the bypass")).to_be_focused()
    assert not [each for each in window.seen.requests if each.method == "POST" and each.url.endswith("/deploy")]
    panel.get_by_label("Reason for the bypass").fill(WHY)
    expect(panel.get_by_role("region", name="Preview")).to_contain_text(f"It bypasses the guards: {WHY}")
    expect(panel.get_by_role("region", name="Preview")).not_to_contain_text("It would wait")
    assert axe(page) == []
    box.focus()
    page.keyboard.press("Space")
    expect(panel.get_by_role("region", name="Preview")).to_contain_text("It would wait")
    expect(box).to_be_focused()
    page.keyboard.press("Space")
    panel.get_by_label("Reason for the bypass").fill(WHY)
    expect(panel.get_by_role("region", name="Preview")).not_to_contain_text("It would wait")
    button.click()
    rolled_out(page)
    deploying.stage.until_served("v3", "passed", rows=2)
    assert settled_row(deploying, "passed", "Succeeded")["bypass"] == {"reason": WHY}
    page.get_by_role("link", name="History").click()
    expect(row(page, 2)).to_contain_text(f"Past the rules: {WHY}")


def rejected(deploying: Deploying, app: str, **parts: str) -> None:
    """Rejects the flow of the App's first row."""
    stage = deploying.stage
    made = {"apiVersion": API_VERSION, "kind": kinds.REJECTION.kind, "metadata": {"namespace": stage.namespace, "generateName": "bad-"}}
    spec = {"workflowHash": stage.rows(app)[0]["spec"]["pinned"]["workflowHash"], "reason": WHY, **parts}
    assert stage.api.create(made | {"spec": spec}).ok


def older_than_all_that_are_listed(window: Window, deploying: Deploying, version: str) -> None:
    """Asserts that the page of such a version shows its rejection like any other page."""
    newest_two_alone(window.page)
    found = rest.uid(deploying.stage.api, kinds.WORKFLOW_VERSION.kind, f"{deploying.workflow}-{version}", deploying.stage.namespace)
    page = window.goto(f"/console/workflows/{deploying.workflow_id}/versions/{found}")
    expect(page.get_by_text(f"What {version} does")).to_be_visible()
    expect(page.get_by_text(f"{version} was rejected by")).to_be_visible()


@pytest.mark.long(
    "a guard of its own on a real cluster; the decisions: tests/unit/plan; approval, hold and bypass in a browser: this file; its dialogs: operator/console/tests/guards.test.tsx"
)
def test_a_rejected_version_needs_a_bypass_until_all_its_rejections_are_withdrawn(page_as: PageAs, deploying: Deploying) -> None:
    app = deploying.app("rejected-then-back", "v1", "v2")
    rejected(deploying, "rejected-then-back")
    rejected(deploying, "rejected-then-back", workflow=deploying.workflow, version="v9")
    mine = page_as("author", f"/console/apps/{app}/history").page
    expect(row(mine, 1)).to_contain_text("v1 was rejected by")
    expect(row(mine, 1)).not_to_contain_text("v9")
    barred = mine.get_by_role("button", name=re.compile("Roll back to v1"))
    expect(barred).to_have_attribute("aria-disabled", "true")
    page = page_as("breaker", f"/console/apps/{app}/history").page
    page.get_by_role("link", name="Roll back to v1 (#1)").click()
    panel = dialog(page, "Roll back")
    expect(panel.get_by_role("region", name="Preview").get_by_role("alert")).to_contain_text("v1 was rejected by")
    panel.get_by_label("Bypass the rules").check()
    panel.get_by_label("Reason for the bypass").fill(WHY)
    panel.get_by_role("button", name="Roll back to v1 (#1) past the rules").click()
    rolled_out(page)
    deploying.stage.until_served("v1", "rejected-then-back", rows=3)
    deploying.live("rejected-then-back", "v2")
    older_than_all_that_are_listed(page_as("author", "/console/"), deploying, "v1")
    theirs = page_as("approver", f"/console/apps/{app}/history").page
    theirs.get_by_role("link", name="Details of v1 (#1)").click()
    theirs.get_by_role("button", name="Withdraw the rejection…").click()
    form = dialog(theirs, "Withdraw the rejection of v1")
    expect(form.get_by_text("was rejected by")).to_have_count(2)
    form.get_by_label("Why it may be deployed again").fill("it was the mail server")
    form.get_by_role("button", name="Withdraw the rejection").click()
    expect(theirs.get_by_role("button", name="Reject v1…")).to_be_visible()
    mine.reload()
    expect(mine.get_by_role("link", name="Roll back to v1 (#1)")).to_be_visible()

"""Deploying, rolling back and promoting in the console, by mouse and by the keyboard alone: what was previewed is what is there then."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.support import factories, rest
from tests.support.browser.deploying import Deploying, dialog, newest_two_alone, previewed, rolled_out
from tests.support.browser.keys import choose, painted, tab_to
from tests.support.browser.pages import ORIGIN, Window, axe
from tests.support.browser.served import User
from tests.support.history_stage import HistoryStage
from tests.support.waiting import eventually

AsSomebody = Callable[..., Window]


@pytest.fixture(scope="module")
def deploying(stage: HistoryStage, users: dict[str, User]) -> Deploying:
    made = Deploying.made(stage, "deploying")
    users["releaser"] = made.user("releaser", "edit")
    return made


@pytest.fixture
def opened(page_as: PageAs, deploying: Deploying) -> AsSomebody:
    """A window at a path, of somebody who may deploy and promote."""

    def open_at(path: str, **options: Any) -> Window:
        return page_as("releaser", path, **options)

    return open_at


def live_row(deploying: Deploying, app: str, version: str, rows: int) -> dict[str, Any]:
    """The newest row, once it is live and there are so many."""
    name = deploying.stage.until_served(version, app, rows=rows)
    return deploying.stage.row(name)


def test_a_new_deployment_is_an_app_and_its_first_row(opened: AsSomebody, deploying: Deploying) -> None:
    window = opened(f"/console/workflows/{deploying.workflow_id}/deploy")
    panel = dialog(window.page, "Deploy")
    panel.get_by_text("New deployment").click()
    panel.get_by_label("Name").fill("By mouse")
    panel.get_by_label("Description").fill("Made in a window")
    panel.get_by_text("Server-based").click()
    panel.get_by_text("Public").click()
    panel.get_by_label("Source version").select_option(label="v2 · What v2 does")
    panel.get_by_label("Runtime").select_option(label=panel.get_by_label("Runtime").locator("option").nth(1).inner_text())
    assert axe(window.page) == []
    panel.get_by_role("button", name="Deploy v2").click()
    rolled_out(window.page)
    row = live_row(deploying, "by-mouse", "v2", 1)
    app = deploying.stage.get(kinds.APP.kind, "by-mouse")["spec"]
    assert (app["displayName"], app["description"], app["access"]) == ("By mouse", "Made in a window", {"type": "public"})
    assert row["spec"]["pinned"]["config"]["type"] == "server"


def test_a_new_deployment_by_the_keyboard_alone(opened: AsSomebody, deploying: Deploying) -> None:
    page = opened(f"/console/workflows/{deploying.workflow_id}/deploy").page
    panel = dialog(page, "Deploy")
    painted(page)  # the first field has the focus by then, and takes it from nothing else
    tab_to(page, panel.locator("input[type=radio]:checked").first)
    while not panel.get_by_role("radio", name="New deployment").is_checked():
        page.keyboard.press("ArrowLeft")
    tab_to(page, panel.get_by_label("Name"))
    page.keyboard.type("By keys")
    tab_to(page, panel.get_by_role("radio", name="Serverless"))
    page.keyboard.press("ArrowRight")
    choose(page, panel.get_by_label("Source version"), "v1")
    tab_to(page, panel.get_by_label("Runtime"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter") if page.evaluate("document.activeElement.matches(':open')") else None
    tab_to(page, panel.get_by_role("button", name="Deploy v1"))
    page.keyboard.press("Enter")
    rolled_out(page)
    assert live_row(deploying, "by-keys", "v1", 1)["spec"]["pinned"]["config"]["type"] == "server"


def test_what_was_previewed_is_deployed(opened: AsSomebody, deploying: Deploying) -> None:
    app = deploying.app("redeployed", "v1")
    page = opened(f"/console/apps/{app}").page
    page.get_by_role("link", name="Deploy", exact=True).click()
    panel = dialog(page, "Deploy")
    expect(panel.get_by_label("Select deployment").locator("option:checked")).to_contain_text("redeployed")
    expect(panel.get_by_label("Source version").locator("option", has_text="(deployed)")).to_have_text("v1 (deployed) · What v1 does")
    expect(panel.get_by_label("Name")).not_to_be_editable()
    expect(panel.get_by_text("is deprecated: choose a newer one")).to_be_visible()
    panel.get_by_label("Source version").select_option(label="v2 · What v2 does")
    panel.get_by_text("Advanced configuration").click()
    panel.get_by_label("Max replicas").fill("3")
    panel.get_by_label("Message").fill("it's two, by <b>hand</b>")
    previewed(page, "v2")
    expect(panel.locator(".pairs")).to_contain_text("1 to 3 pods at 80 % CPU")
    expect(panel.get_by_role("region", name="Flow: what changes")).to_contain_text("return 'v2'")
    expect(panel.get_by_role("region", name="From a terminal")).to_contain_text(
        f"kubectl dynamiq deploy redeployed -n {deploying.stage.namespace} --version v2 --server-based --max 3 "
        "-m 'it'\\''s two, by <b>hand</b>'"
    )
    assert axe(page) == []
    panel.get_by_role("button", name="Deploy v2").click()
    rolled_out(page)
    spec = live_row(deploying, "redeployed", "v2", 2)["spec"]
    assert spec["message"] == "it's two, by <b>hand</b>"
    assert spec["createdBy"].endswith(":releaser")
    assert spec["pinned"]["config"]["autoscaling"] == {"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 80}
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_left_untouched_keeps_what_is_live(opened: AsSomebody, deploying: Deploying) -> None:
    config = {"type": "server", "autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60}}
    app = deploying.app("untouched", "v1", config=config)
    window = opened(f"/console/apps/{app}/deploy")
    panel = dialog(window.page, "Deploy")
    panel.get_by_text("Advanced configuration").click()
    for field, value in (("Min replicas", "2"), ("Max replicas", "5"), ("Target CPU", "60")):
        expect(panel.get_by_label(field)).to_have_value(value)
    previewed(window.page, "v3")
    panel.get_by_role("button", name="Deploy v3").click()
    rolled_out(window.page)
    (sent,) = [each for each in window.seen.requests if each.method == "POST" and each.url.endswith("/deploy")]
    assert "deployment_config" not in (sent.post_data_json or {})
    assert live_row(deploying, "untouched", "v3", 2)["spec"]["pinned"]["config"]["autoscaling"] == config["autoscaling"]


def test_a_redeploy_by_the_keyboard_alone(opened: AsSomebody, deploying: Deploying) -> None:
    app = deploying.app("by-keys-again", "v1")
    page = opened(f"/console/apps/{app}").page
    tab_to(page, page.get_by_role("link", name="Deploy", exact=True))
    page.keyboard.press("Enter")
    panel = dialog(page, "Deploy")
    source = panel.get_by_label("Source version")
    expect(source).to_be_focused()
    choose(page, source, "v2")
    tab_to(page, panel.get_by_label("Message"))
    page.keyboard.type("Line one\nand two")
    previewed(page, "v2")
    tab_to(page, panel.get_by_role("button", name="Deploy v2"))
    page.keyboard.press("Enter")
    rolled_out(page)
    assert live_row(deploying, "by-keys-again", "v2", 2)["spec"]["message"] == "Line one\nand two"


@pytest.mark.parametrize("way", ["mouse", "keys"])
def test_a_rollback_takes_two_actions_from_the_history(opened: AsSomebody, deploying: Deploying, way: str) -> None:
    app = deploying.app(f"back-by-{way}", "v1", "v2")
    page = opened(f"/console/apps/{app}/history").page
    link = page.get_by_role("link", name="Roll back to v1")
    if way == "mouse":
        link.click()
    else:
        tab_to(page, link)
        page.keyboard.press("Enter")
    panel = dialog(page, "Roll back")
    button = panel.get_by_role("button", name="Roll back to v1 (#1)")
    expect(button).to_be_focused()
    expect(panel.get_by_role("region", name="Preview")).to_contain_text("Pods restart")
    assert axe(page) == []
    button.click() if way == "mouse" else page.keyboard.press("Enter")
    rolled_out(page)
    expect(page.locator("h1")).to_be_focused()
    row = live_row(deploying, f"back-by-{way}", "v1", 3)
    assert row["spec"]["pinned"]["restores"]["sequence"] == 1


def test_a_rollback_brings_back_scaling_where_that_is_asked_for(opened: AsSomebody, deploying: Deploying) -> None:
    wide = {"type": "server", "autoscaling": {"minReplicas": 3, "maxReplicas": 7, "targetCPUUtilizationPercentage": 50}}
    app = deploying.app("scaled", "v1", config=wide)
    first = deploying.rows("scaled")[0]["metadata"]["uid"]
    deploying.live("scaled", "v2", config={"type": "server", "autoscaling": {"minReplicas": 1, "maxReplicas": 1}})
    page = opened(f"/console/apps/{app}/history/{first}/roll-back").page
    panel = dialog(page, "Roll back")
    pairs = panel.locator(".pairs")
    expect(pairs).to_contain_text("1 pod at 50 % CPU")
    scaling = panel.locator("label", has_text="Bring back its scaling")
    expect(scaling).to_contain_text("Server-based, 3 to 7 pods at 50 % CPU")
    expect(scaling).to_contain_text("Otherwise what is live stays: server-based, 1 pod at 50 % CPU")
    panel.get_by_label("Bring back its scaling").check()
    expect(pairs).to_contain_text("3 to 7 pods at 50 % CPU")
    expect(panel.get_by_role("region", name="From a terminal")).to_contain_text("--to-row 1 --with-config")
    call = panel.get_by_role("region", name="API call")
    expect(call).to_contain_text(f"/v1/apps/{app}/deploy")
    expect(call).to_contain_text(f'"restores":"{first}","with_config":true')
    panel.get_by_label("Message").fill("v2 is slow")
    panel.get_by_role("button", name="Roll back to v1 (#1)").click()
    rolled_out(page)
    spec = live_row(deploying, "scaled", "v1", 3)["spec"]
    assert spec["pinned"]["config"]["autoscaling"] == wide["autoscaling"]
    assert spec["message"] == "v2 is slow"


@pytest.mark.parametrize("way", ["mouse", "keys"])
def test_a_promotion_makes_the_app_there(opened: AsSomebody, deploying: Deploying, way: str) -> None:
    name = f"promoted-by-{way}"
    app = deploying.app(name, "v2")
    page = opened(f"/console/apps/{app}").page
    link = page.get_by_role("link", name="Promote deployment", exact=True)
    if way == "mouse":
        link.click()
    else:
        tab_to(page, link)
        page.keyboard.press("Enter")
    panel = dialog(page, "Promote deployment")
    expect(panel.get_by_label("Environment").locator("option:checked")).to_have_text("Production")
    outlook = panel.get_by_role("region", name="Preview")
    expect(outlook).to_contain_text(f"App {name} will be made in {deploying.production}")
    expect(outlook).to_contain_text(f"Version v2 will be put into {deploying.production}" if way == "mouse" else "v2")
    button = panel.get_by_role("button", name="Promote deployment")
    expect(button).to_be_focused()
    assert axe(page) == []
    button.click() if way == "mouse" else page.keyboard.press("Enter")
    rolled_out(page)
    found = eventually("the App is there", lambda: deploying.stage.api.get(kinds.APP.kind, name, deploying.production))
    assert found.body["spec"]["workflow"] == deploying.workflow


def test_a_promotion_asks_for_the_hostname_that_is_needed(opened: AsSomebody, deploying: Deploying) -> None:
    stage = deploying.stage
    stage.app("hosted", factories.public(), factories.with_hostname("hosted.example.com"), workflow=deploying.workflow)
    deploying.live("hosted", "v1")
    app = stage.get(kinds.APP.kind, "hosted")["metadata"]["uid"]
    window = opened(f"/console/apps/{app}/promote")
    panel = dialog(window.page, "Promote deployment")
    hostname = panel.get_by_label("Hostname")
    expect(hostname).to_be_focused()
    button = panel.get_by_role("button", name="Promote deployment")
    expect(button).to_have_attribute("aria-disabled", "true")
    hostname.fill("https://Hosted")
    expect(hostname).to_have_attribute("aria-invalid", "true")
    hostname.fill("hosted.prod.example.com")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    button.click()
    rolled_out(window.page)
    made = eventually("the App is there", lambda: stage.api.get(kinds.APP.kind, "hosted", deploying.production))
    assert made.body["spec"]["hostname"] == "hosted.prod.example.com"


def test_what_the_target_lacks_is_said_first_with_the_line_that_makes_it(
    page_as: PageAs, deploying: Deploying, users: dict[str, User]
) -> None:
    stage = deploying.stage
    users["keeper"] = deploying.user("keeper", "edit")
    rest.bind(stage.api, deploying.production, "keeper", "edit", stage.namespace)
    secret = {"name": "TOKEN", "secret": {"name": "openai", "key": "token"}}
    stage.create({**stage.named("Secret", "openai"), "stringData": {"token": "x"}})
    stage.app(
        "lacking",
        factories.public(),
        factories.with_hostname("lacking.example.com"),
        factories.with_variables(secret),
        workflow=deploying.workflow,
    )
    deploying.live("lacking", "v1")
    app = stage.get(kinds.APP.kind, "lacking")["metadata"]["uid"]
    page = page_as("keeper", f"/console/apps/{app}/promote").page
    panel = dialog(page, "Promote deployment")
    told = panel.get_by_role("alert").filter(has_text="First, Production needs")
    expect(told).to_contain_text(f"kubectl create secret generic openai -n {deploying.production} --from-literal=token=VALUE")
    expect(told).to_contain_text(f"Whoever may write Secrets in namespace {deploying.production} can do this")
    button = panel.get_by_role("button", name="Promote deployment")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_accessible_description("Production lacks Secret openai")
    assert axe(page) == []
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "openai", "namespace": deploying.production}}
    assert stage.api.create({**made, "stringData": {"token": "x"}}).ok
    told.get_by_role("button", name="Look again").click()
    expect(told).to_have_count(0)
    expect(button).to_have_accessible_description("Give a hostname")
    panel.get_by_label("Hostname").fill("lacking.prod.example.com")
    expect(button).not_to_have_attribute("aria-disabled", "true")


def test_a_workflow_without_a_version_names_the_next_step(opened: AsSomebody, deploying: Deploying) -> None:
    stage = deploying.stage
    made = stage.create(factories.workflow_manifest(factories.in_namespace(stage.namespace), name="unreleased"))
    page = opened(f"/console/workflows/{made['metadata']['uid']}/deploy").page
    panel = dialog(page, "Deploy")
    expect(panel.get_by_text(f"kubectl dynamiq release unreleased -n {stage.namespace}")).to_be_visible()
    panel.get_by_role("link", name="Open the workflow").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_preview_is_beside_the_fields_where_there_is_room_and_the_button_short_where_there_is_none(
    opened: AsSomebody, deploying: Deploying
) -> None:
    page = opened(f"/console/apps/{deploying.app('roomy', 'v1')}/deploy", viewport={"width": 1280, "height": 860}).page
    previewed(page, "v3")
    fields, preview = (page.locator(each).bounding_box() for each in (".fields", ".beside"))
    assert fields is not None
    assert preview is not None
    assert preview["x"] >= fields["x"] + fields["width"]
    button = dialog(page, "Deploy").get_by_role("button", name="Deploy v3 to roomy")
    expect(button).to_have_text("Deploy v3 to roomy", use_inner_text=True)
    page.set_viewport_size({"width": 360, "height": 740})
    expect(button).to_have_text("Deploy v3", use_inner_text=True)
    expect(page.get_by_text("To roomy", exact=True)).to_be_visible()


def test_whoever_may_only_look_sees_what_it_would_do_and_which_role_is_missing(page_as: PageAs, deploying: Deploying) -> None:
    app = deploying.app("looked-at", "v1")
    window = page_as("viewer", f"/console/apps/{app}/deploy")
    button = dialog(window.page, "Deploy").get_by_role("button", name="Deploy v3")
    previewed(window.page, "v3")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_accessible_description(re.compile("the role dynamiq-deployer has it"))
    button.focus()
    window.page.keyboard.press("Enter")
    button.click(force=True)
    assert axe(window.page) == []
    assert [each for each in window.seen.requests if each.method == "POST" and each.url.endswith("/deploy")] == []


def test_a_link_chooses_the_version_beforehand(opened: AsSomebody, deploying: Deploying) -> None:
    deploying.app("chosen", "v1")
    page = opened(f"/console/workflows/{deploying.workflow_id}/deploy?version=v2").page
    panel = dialog(page, "Deploy")
    expect(panel.get_by_role("radio", name="Existing deployment")).to_be_checked()
    expect(panel.get_by_label("Source version").locator("option:checked")).to_contain_text("v2")


def test_a_link_to_a_version_that_is_not_there_chooses_none_in_its_place(opened: AsSomebody, deploying: Deploying) -> None:
    app = deploying.app("chosen-in-vain", "v1")
    page = opened(f"/console/apps/{app}/deploy?version=v9").page
    panel = dialog(page, "Deploy")
    source = panel.get_by_label("Source version")
    expect(source.locator("option:checked")).to_have_text("Choose a version…")
    expect(source).to_have_accessible_description(re.compile("v9 is no version of this workflow"))
    expect(panel.locator("button[type=submit]")).to_have_accessible_description("Choose a version")
    assert axe(page) == []
    source.select_option(label="v2 · What v2 does")
    previewed(page, "v2")
    expect(panel.get_by_role("button", name="Deploy v2")).not_to_have_attribute("aria-disabled", "true")


def test_a_version_that_is_older_than_all_that_are_listed_is_deployed(opened: AsSomebody, deploying: Deploying) -> None:
    app = deploying.app("brought-back", "v2")
    version = rest.uid(deploying.stage.api, kinds.WORKFLOW_VERSION.kind, f"{deploying.workflow}-v1", deploying.stage.namespace)
    window = opened("/console/")
    page = window.page
    newest_two_alone(page)
    window.goto(f"/console/apps/{app}/deploy?version={version}")
    previewed(page, "v1")
    dialog(page, "Deploy").get_by_role("button", name="Deploy v1").click()
    rolled_out(page)
    live_row(deploying, "brought-back", "v1", 2)


def test_a_rollback_needs_no_workflow(opened: AsSomebody, deploying: Deploying) -> None:
    orphaned = Deploying.made(deploying.stage, "orphaning")
    app = orphaned.app("orphaned", "v1", "v2")
    first = orphaned.rows("orphaned")[0]["metadata"]["uid"]
    orphaned.stage.delete(kinds.WORKFLOW.kind, "orphaning")
    eventually("the workflow is gone", lambda: orphaned.stage.find(kinds.WORKFLOW.kind, "orphaning") is None)
    page = opened(f"/console/apps/{app}/history/{first}/roll-back").page
    previewed(page, "v1")
    dialog(page, "Roll back").get_by_role("button", name="Roll back to v1 (#1)").click()
    rolled_out(page)
    live_row(orphaned, "orphaned", "v1", 3)


def test_with_several_apps_the_reader_says_which(opened: AsSomebody, deploying: Deploying) -> None:
    deploying.app("one-of-two", "v1")
    deploying.app("two-of-two", "v1")
    page = opened(f"/console/workflows/{deploying.workflow_id}/deploy").page
    panel = dialog(page, "Deploy")
    chosen = panel.get_by_label("Select deployment")
    expect(chosen).to_be_focused()
    expect(chosen.locator("option:checked")).to_have_text("Choose a deployment…")
    button = panel.get_by_role("button", name="Deploy v3")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_accessible_description("Choose a deployment")
    choose(page, chosen, "two-of-two")
    expect(panel.get_by_role("button", name="Deploy v3 to two-of-two")).not_to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Tab")
    panel.get_by_label("Message").fill("by two keys")
    page.keyboard.press("Control+Enter")
    rolled_out(page)
    assert live_row(deploying, "two-of-two", "v3", 2)["spec"]["message"] == "by two keys"
    assert deploying.stage.versions("one-of-two") == ["v1"]


def test_a_wrong_value_is_named_beside_the_button(opened: AsSomebody, deploying: Deploying) -> None:
    app = deploying.app("mistyped", "v1")
    page = opened(f"/console/apps/{app}/deploy").page
    panel = dialog(page, "Deploy")
    panel.get_by_text("Advanced configuration").click()
    replicas = panel.get_by_label("Max replicas")
    replicas.fill("many")
    button = panel.get_by_role("button", name="Deploy v3 to mistyped")
    expect(button).to_have_accessible_description("Mend first: Max replicas. A whole number from 1 to 1,000")
    button.click()
    expect(replicas).to_be_focused()
    assert deploying.stage.versions("mistyped") == ["v1"]


@pytest.mark.parametrize("way", ["Escape", "the browser's way back"])
def test_a_filled_form_asks_once_before_it_is_left(opened: AsSomebody, deploying: Deploying, way: str) -> None:
    app = deploying.app(f"left-by-{'escape' if way == 'Escape' else 'back'}", "v1")
    page = opened(f"/console/apps/{app}/history").page
    page.get_by_role("link", name="Deploy", exact=True).click()
    panel = dialog(page, "Deploy")
    previewed(page, "v3")

    def leave() -> None:
        page.keyboard.press("Escape") if way == "Escape" else page.go_back()

    panel.get_by_label("Message").fill("half a senten")
    leave()
    expect(panel.get_by_role("button", name="Stay")).to_be_focused()
    page.keyboard.press("Enter")
    expect(panel.get_by_label("Message")).to_have_value("half a senten")
    leave()
    expect(panel.get_by_role("button", name="Stay")).to_be_focused()
    leave()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(f"{ORIGIN}/console/apps/{app}/history")


def test_it_is_used_on_a_narrow_dark_screen(opened: AsSomebody, deploying: Deploying) -> None:
    app = deploying.app("narrow", "v1")
    row = deploying.rows("narrow")[0]["metadata"]["uid"]
    for path in (f"{app}/deploy", f"{app}/history/{row}/roll-back", f"{app}/promote"):
        page = opened(f"/console/apps/{path}", viewport={"width": 320, "height": 640}, color_scheme="dark").page
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.get_by_role("region", name="Preview").locator(".pairs")).to_be_visible()
        assert page.evaluate("document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth")
        assert axe(page) == []

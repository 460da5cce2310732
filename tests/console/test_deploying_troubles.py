"""What comes in between while somebody deploys in the console: others deploy, answers are lost, a session or a right ends. The form goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.console.conftest import PageAs
from tests.support import rest
from tests.support.browser import names, served
from tests.support.browser.chromium import Places
from tests.support.browser.deploying import Deploying, dialog, previewed, rolled_out
from tests.support.browser.everything import LIVE_WITHIN
from tests.support.browser.pages import Window, Windows, sign_in
from tests.support.browser.served import User
from tests.support.browser.silence import answers_lost
from tests.support.history_stage import HistoryStage
from tests.support.waiting import eventually

DEPLOY = re.compile(r"/v1/apps/[^/]+/deploy$")
MESSAGE = "kept whatever happens"


@pytest.fixture(scope="module")
def deploying(stage: HistoryStage, users: dict[str, User]) -> Deploying:
    made = Deploying.made(stage, "troubled")
    users["operator-on-call"] = made.user("operator-on-call", "edit")
    return made


@pytest.fixture
def panel_of(page_as: PageAs, deploying: Deploying) -> Callable[..., Window]:
    """Opens the Deploy panel of a new App, and fills it in."""

    def opened(app: str, user: str = "operator-on-call") -> Window:
        uid = deploying.app(app, "v1")
        window = page_as(user, f"/console/apps/{uid}/deploy")
        fill_in(window.page)
        return window

    return opened


def fill_in(page: Page) -> None:
    """Fills in the panel: a version and a message."""
    panel = dialog(page, "Deploy")
    panel.get_by_label("Source version").select_option(label="v2 · What v2 does")
    panel.get_by_label("Message").fill(MESSAGE)
    previewed(page, "v2")


def deploy(page: Page) -> None:
    page.get_by_role("button", name="Deploy v2").click()


def is_kept(page: Page) -> None:
    """Nothing of what was filled in is lost."""
    expect(page.get_by_label("Message")).to_have_value(MESSAGE)
    expect(page.get_by_label("Source version").locator("option:checked")).to_contain_text("v2")


def deployed(deploying: Deploying, page: Page, app: str, rows: int = 2) -> None:
    """The deploy was done, once."""
    rolled_out(page)
    row = deploying.stage.row(deploying.stage.until_served("v2", app, rows=rows))
    assert row["spec"]["message"] == MESSAGE


def test_what_changed_since_the_preview_is_told_and_nothing_is_done(panel_of: Callable[..., Window], deploying: Deploying) -> None:
    page = panel_of("overtaken").page

    def somebody_is_faster(route: Route) -> None:
        scaled = {"type": "server", "autoscaling": {"minReplicas": 2, "maxReplicas": 4}}
        deploying.live("overtaken", "v1", config=scaled)
        route.continue_()

    page.route(DEPLOY, somebody_is_faster, times=1)
    deploy(page)
    told = page.get_by_role("alert").filter(has_text="Nothing was done")
    expect(told.get_by_role("row", name="Configuration")).to_contain_text("1 to 2 pods at 80 % CPU", timeout=LIVE_WITHIN)
    expect(told.get_by_role("row", name="Configuration")).to_contain_text("2 to 4 pods at 80 % CPU")
    assert deploying.stage.versions("overtaken") == ["v1", "v1"]
    is_kept(page)
    told.get_by_role("button", name="Look at the new preview").click()
    expect(told).to_have_count(0)
    expect(page.locator(".pairs")).to_contain_text("2 to 4 pods at 80 % CPU")
    previewed(page, "v2")
    deploy(page)
    deployed(deploying, page, "overtaken", rows=3)


def test_a_lost_answer_is_told_and_another_try_does_it_once(panel_of: Callable[..., Window], deploying: Deploying) -> None:
    window = panel_of("unanswered")
    page = window.page

    with answers_lost(page, "*/deploy"):
        deploy(page)
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="whether it was done is not known")).to_be_visible()
    is_kept(page)
    eventually("it was done", lambda: len(deploying.stage.rows("unanswered")) == 2)
    page.get_by_role("button", name="Try again").click()
    deployed(deploying, page, "unanswered")


def test_what_is_tried_again_is_what_was_sent(panel_of: Callable[..., Window], deploying: Deploying) -> None:
    window = panel_of("held")
    page = window.page
    message = page.get_by_label("Message")
    message.focus()
    with answers_lost(page, "*/deploy"):
        page.keyboard.press("Control+Enter")
        again = page.get_by_role("button", name="Try again")
        expect(again).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("The deploy of v2 to held had no answer")
    for field in (message, page.get_by_label("Source version"), page.get_by_label("Select deployment")):
        expect(field).to_be_disabled()
    is_kept(page)
    page.keyboard.press("Enter")
    deployed(deploying, page, "held")


def test_a_form_without_an_edit_asks_too_where_it_is_not_known_what_became_of_it(page_as: PageAs, deploying: Deploying) -> None:
    uid = deploying.app("left-uncertain", "v1")
    window = page_as("operator-on-call", f"/console/apps/{uid}/deploy")
    page = window.page
    previewed(page, "v3")
    with answers_lost(page, "*/deploy"):
        page.get_by_role("button", name="Deploy v3").click()
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.keyboard.press("Escape")
    asked = page.get_by_role("alertdialog", name="Leave?")
    expect(asked).to_contain_text("Whether it was done is not known")
    asked.get_by_role("button", name="Stay").click()
    page.get_by_role("button", name="Try again").click()
    rolled_out(page)
    deploying.stage.until_served("v3", "left-uncertain", rows=2)
    assert deploying.stage.versions("left-uncertain")[1:] == ["v3"]


def test_what_is_refused_goes_on_where_the_reader_was(panel_of: Callable[..., Window], deploying: Deploying) -> None:
    page = panel_of("overtaken-by-keys").page

    def somebody_is_faster(route: Route) -> None:
        deploying.live("overtaken-by-keys", "v3")
        route.continue_()

    page.route(DEPLOY, somebody_is_faster, times=1)
    page.get_by_label("Message").focus()
    page.keyboard.press("Control+Enter")
    told = page.get_by_role("alert").filter(has_text="Nothing was done")
    expect(told.get_by_role("row", name="Live version")).to_contain_text("v3", timeout=LIVE_WITHIN)
    expect(told.get_by_role("row", name="Live deployment")).to_contain_text("#2")
    expect(page.get_by_label("Message")).to_be_focused()
    assert deploying.stage.versions("overtaken-by-keys") == ["v1", "v3"]


def test_the_workflows_panel_follows_what_others_deploy(page_as: PageAs, stage: HistoryStage, users: dict[str, User]) -> None:
    alone = Deploying.made(stage, "followed")
    users["follower"] = alone.user("follower", "edit")
    alone.app("followed-app", "v1")
    page = page_as("follower", f"/console/workflows/{alone.workflow_id}/deploy").page
    panel = dialog(page, "Deploy")
    panel.get_by_label("Source version").select_option(label="v2 · What v2 does")
    previewed(page, "v2")
    alone.live("followed-app", "v3")
    expect(page.locator(".pairs .was").first).to_contain_text("v3 (#2)")
    expect(panel.get_by_label("Source version").locator("option", has_text="(deployed)")).to_contain_text("v3")
    expect(panel.get_by_label("Source version").locator("option:checked")).to_contain_text("v2")


def test_a_promotion_follows_what_others_deploy_there(page_as: PageAs, deploying: Deploying) -> None:
    uid = deploying.app("promoted-meanwhile", "v2")
    there = replace(deploying.stage, namespace=deploying.production)
    page = page_as("operator-on-call", f"/console/apps/{uid}/promote").page
    dialog(page, "Promote deployment").get_by_role("button", name="Promote deployment").click()
    rolled_out(page)
    there.until_served("v2", "promoted-meanwhile", rows=1)
    page = page_as("operator-on-call", f"/console/apps/{uid}/promote").page
    expect(page.locator(".pairs")).to_contain_text("v2 (#1)")
    scaled = {"type": "server", "autoscaling": {"minReplicas": 2, "maxReplicas": 4}}
    there.live("promoted-meanwhile", "v2", runtime=deploying.stage.default_runtime, config=scaled)
    expect(page.locator(".pairs")).to_contain_text("v2 (#2)")
    expect(page.locator(".pairs")).to_contain_text("2 to 4 pods at 80 % CPU")


def test_the_form_goes_on_when_the_api_is_back(
    login: Path, tmp_path: Path, places: Places, windows: Windows, deploying: Deploying, users: dict[str, User]
) -> None:
    uid = deploying.app("replica-killed", "v1")
    window = windows.open()
    page = window.page
    with served.serving(login, tmp_path, places, names.REPLICA) as console:
        page.goto(f"{console.origin}/console/sign-in?to=/console/apps/{uid}/deploy")
        sign_in(window, users["operator-on-call"].token)
        fill_in(page)
    deploy(page)
    expect(page.get_by_role("alert").filter(has_text="whether it was done is not known")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_text("The API does not answer at this moment")).to_be_visible()
    is_kept(page)
    with served.serving(login, tmp_path, places, names.REPLICA):
        expect(page.get_by_text("The API does not answer at this moment")).to_have_count(0, timeout=LIVE_WITHIN)
        is_kept(page)
        page.get_by_role("button", name="Try again").click()
        deployed(deploying, page, "replica-killed")
        page.close()


def test_who_signs_in_again_in_a_second_window_goes_on(
    panel_of: Callable[..., Window], deploying: Deploying, users: dict[str, User]
) -> None:
    page = panel_of("expired").page
    page.context.clear_cookies()
    deploy(page)
    again = page.get_by_role("dialog").get_by_role("button", name="Sign in again")
    expect(page.get_by_role("alert").filter(has_text="Nothing was done")).to_be_visible()
    is_kept(page)
    with page.expect_popup() as popup:
        again.click()
    window = popup.value
    window.get_by_label("Token").fill(users["operator-on-call"].token)
    with window.expect_event("close"):
        window.get_by_role("button", name="Sign in").click(no_wait_after=True)
    expect(again).to_have_count(0)
    is_kept(page)
    previewed(page, "v2")
    deploy(page)
    deployed(deploying, page, "expired")


def test_a_right_that_is_gone_is_named_and_the_form_goes_on_when_it_is_back(
    panel_of: Callable[..., Window], deploying: Deploying, users: dict[str, User]
) -> None:
    stage, name, role = deploying.stage, "relieved", "dynamiq-deployer"
    users[name] = deploying.user(name, "view", role)
    page = panel_of("forbidden", name).page
    account = f"system:serviceaccount:{stage.namespace}:{name}"

    def allowed() -> bool:
        return rest.allowed(stage.api, account, stage.namespace, "create", "deployments")

    binding = {"apiVersion": f"{rest.RBAC}/v1", "kind": "RoleBinding"}
    stage.api.delete({**binding, "metadata": {"name": f"{stage.namespace}-{name}-{role}", "namespace": stage.namespace}})
    eventually("the right is gone", lambda: not allowed())
    deploy(page)
    button = page.get_by_role("button", name="Deploy v2")
    expect(page.get_by_role("dialog").get_by_text(f"the role {role} has it")).to_be_visible()
    expect(button).to_have_attribute("aria-disabled", "true")
    is_kept(page)
    assert deploying.stage.versions("forbidden") == ["v1"]
    rest.bind(stage.api, stage.namespace, name, role, stage.namespace)
    eventually("the right is back", allowed)
    page.get_by_role("button", name="Ask again").click()
    expect(button).not_to_have_attribute("aria-disabled", "true")
    deploy(page)
    deployed(deploying, page, "forbidden")


def test_what_the_api_refuses_stands_at_its_field(panel_of: Callable[..., Window], deploying: Deploying) -> None:
    page = panel_of("refused").page
    panel = dialog(page, "Deploy")
    panel.get_by_text("New deployment").click()
    name = panel.get_by_label("Name")
    name.fill("refused")
    panel.get_by_text("Server-based").click()
    panel.get_by_label("Runtime").select_option(index=1)
    deploy(page)
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description(re.compile("an App named refused already"))
    name.fill("refused & more")
    expect(name).to_have_accessible_description(re.compile("Letters, digits, spaces"))
    name.fill("not refused")
    expect(name).not_to_have_attribute("aria-invalid", "true")
    deploy(page)
    rolled_out(page)


def test_a_form_stays_as_it_is_while_others_release_and_deploy(panel_of: Callable[..., Window], deploying: Deploying) -> None:
    page = panel_of("busy").page
    expect(page.get_by_label("Source version").locator("option", has_text="(deployed)")).to_contain_text("v1")
    deploying.live("busy", "v3")
    expect(page.get_by_label("Source version").locator("option", has_text="(deployed)")).to_contain_text("v3")
    is_kept(page)
    expect(page.locator(".pairs .was").first).to_contain_text("v3 (#2)")
    previewed(page, "v2")
    deploy(page)
    deployed(deploying, page, "busy", rows=3)

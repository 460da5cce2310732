"""The frame around every screen: where one is, who one is, the theme, and what is said where the session or the API is lost."""

from __future__ import annotations

import json
import re
import uuid

import pytest
from playwright.sync_api import expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.support import rest
from tests.support.browser import cast
from tests.support.browser.everything import LIVE_WITHIN
from tests.support.browser.served import User
from tests.support.browser.stand_in import StandIn
from tests.support.history_stage import APP, HistoryStage

NO_FILE = {"error": {"code": "not_found", "message": "the console has no such file: load the page again", "details": {}}}
AWAY = {"error": {"code": "unavailable", "message": "the cluster does not answer", "details": {}}}


@pytest.fixture
def app(stage: HistoryStage) -> str:
    """The path of an App that is live."""
    name = f"a-{uuid.uuid4().hex[:8]}"
    stage.app(name, workflow=APP)
    stage.live(name, "v1", runtime=stage.default_runtime)
    return f"/console/apps/{stage.get(kinds.APP.kind, name)['metadata']['uid']}"


def test_each_screen_has_a_title_is_told_and_takes_the_focus(page_as: PageAs, app: str) -> None:
    page = page_as("viewer", "/console/").page
    expect(page).to_have_title("Deployments · Dynamiq")
    page.get_by_role("link", name="Workflows").click()
    expect(page).to_have_title(re.compile("^Workflows"))
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.goto(page.url.split("/console/")[0] + app)
    name = page.locator("h1:not(.loading)").inner_text()
    page.get_by_role("link", name="Triggers").click()
    expect(page).to_have_title(f"Triggers · {name} · Dynamiq")
    expect(page.get_by_role("status").filter(has_text=f"Triggers · {name}")).to_be_attached()
    # Whoever goes from tab to tab by the keyboard stays at the tabs.
    expect(page.get_by_role("link", name="Triggers")).to_be_focused()


def test_an_address_of_no_screen_says_so_and_leads_on(page_as: PageAs, app: str) -> None:
    page = page_as("viewer", f"{app}/nothing").page
    expect(page.get_by_role("heading", level=1, name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="To the deployments").click()
    expect(page.get_by_role("heading", level=1, name="Deployments")).to_be_focused()


def test_a_page_whose_script_is_gone_says_so_and_can_be_loaded_again(page_as: PageAs) -> None:
    """After an upgrade a replica of before may be asked for the script: it has none of that name."""
    page = page_as("viewer", "/console/").page
    gone = re.compile("/console/assets/index-[^/]*[.]js$")
    page.route(gone, lambda route: route.fulfill(status=404, content_type="application/json", body=json.dumps(NO_FILE)))
    page.goto(f"{page.url}?q=support", wait_until="commit")
    again = page.get_by_role("link", name="load the page again")
    expect(again).to_be_hidden()  # a page that is merely slow says nothing
    expect(again).to_be_visible()
    expect(page.get_by_text("The console is loading")).to_be_visible()
    page.unroute(gone)
    again.click()
    expect(page.get_by_role("heading", level=1, name="Deployments")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_have_value("support")
    expect(page.get_by_text("The console is loading")).to_have_count(0)


def test_whoever_sees_one_project_is_told_its_name_and_chooses_none(page_as: PageAs) -> None:
    window = page_as("viewer")
    stand_in = StandIn.before(window.page)
    stand_in.begin(cast.usual())
    top = window.goto("/console/").get_by_role("banner")
    expect(top).to_contain_text("Project demo (production)")
    expect(top.get_by_role("combobox")).to_have_count(0)
    (first,) = cast.data(cast.READ_PROJECTS)
    stand_in.says(cast.READ_PROJECTS, cast.some([first, {**first, "id": cast.uid(20), "name": "other"}]))
    window.goto("/console/")
    expect(top.get_by_role("combobox", name="Project").get_by_role("option")).to_contain_text(["All projects", "demo", "other"])


def test_the_overview_leads_to_the_rollback_of_what_was_live_before(page_as: PageAs, stage: HistoryStage, app: str) -> None:
    page = page_as("deployer", app).page
    back = page.get_by_role("link", name="Roll back…")
    expect(back).to_have_attribute("href", f"{app}/history")
    resource = page.get_by_text("kubectl dynamiq status").inner_text().split()[3]
    first = stage.row(stage.get(kinds.APP.kind, resource)["status"]["live"]["row"])
    stage.live(resource, "v2", runtime=stage.default_runtime)
    expect(page.get_by_role("heading", name=re.compile("^Live: v2"))).to_be_visible()
    back = page.get_by_role("link", name="Roll back to v1…")
    expect(back).to_have_attribute("href", f"{app}/history/{first['metadata']['uid']}/roll-back")
    back.click()
    expect(page.get_by_role("dialog").get_by_role("heading", name="Roll back")).to_be_visible()


def test_the_theme_is_chosen_by_the_keyboard_and_stays(page_as: PageAs) -> None:
    window = page_as("viewer", "/console/", color_scheme="light")
    page = window.page
    page.get_by_role("button", name="Account").press("Enter")
    page.get_by_role("radio", name="System").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    page.reload()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_whoever_signs_in_again_in_the_second_window_goes_on_where_they_were(
    page_as: PageAs, stage: HistoryStage, app: str, users: dict[str, User]
) -> None:
    users["everywhere"] = User("everywhere", rest.account(stage.api, stage.namespace, "everywhere", "view"))
    rest.bind(stage.api, "", "everywhere", "view", stage.namespace)
    page = page_as("everywhere", "/console/").page
    expect(page.locator(f"a[href='{app}']")).to_be_visible()
    page.get_by_role("searchbox").fill("a-")
    page.context.clear_cookies()
    page.get_by_role("combobox", name="Project").select_option(label=f"{stage.namespace} (staging)")
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Sign in again").click()
    second = opened.value
    second.get_by_label("Token").fill(users["everywhere"].token)
    with second.expect_event("close"):
        second.get_by_role("button", name="Sign in").click(no_wait_after=True)
    expect(page.get_by_text("Your session has ended")).to_have_count(0)
    expect(page.locator(f"a[href='{app}']")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_have_value("a-")


def test_a_page_that_is_opened_while_the_api_is_away_says_so_and_comes_up_by_itself(page_as: PageAs) -> None:
    page = page_as("viewer", "/console/").page
    page.route("**/console/session", lambda route: route.fulfill(status=503, json=AWAY))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("the cluster does not answer")
    page.unroute_all()
    expect(page.get_by_role("heading", level=1, name="Deployments")).to_be_visible()


def test_a_page_stays_while_the_api_is_away_and_is_read_again_as_soon_as_it_is_back(page_as: PageAs, app: str) -> None:
    page = page_as("viewer", app).page
    expect(page.get_by_role("heading", name="Live: v1")).to_be_visible()
    page.route("**/v1/**", lambda route: route.fulfill(status=503, json=AWAY))
    page.get_by_role("link", name="Triggers").click()
    expect(page.get_by_text("The API does not answer at this moment")).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Live: v1")).to_be_visible()
    page.unroute_all()
    expect(page.get_by_text("The API does not answer at this moment")).to_have_count(0, timeout=LIVE_WITHIN)

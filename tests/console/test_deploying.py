"""Deploying, rolling back and promoting in the console, by mouse and by keyboard alone: the result matches the preview."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.support.browser.deploying import Deploying, dialog, previewed, rolled_out
from tests.support.browser.keys import choose, painted, tab_to
from tests.support.browser.pages import ORIGIN, Window, axe
from tests.support.browser.served import User
from tests.support.flows import a_flow
from tests.support.history_stage import HistoryStage
from tests.support.waiting import eventually

AsSomebody = Callable[..., Window]


@pytest.fixture(scope="module")
def deploying(stage: HistoryStage, users: dict[str, User]) -> Deploying:
    made = Deploying.made(stage, "deploying")
    # It breaks callers of the others by its answer alone: no recorder is there that would count its new field.
    stage.release("v4", workflow="deploying", text=a_flow("def run(inputs):\n    return inputs['question']\n", answer="reply"))
    users["releaser"] = made.user("releaser", "edit")
    return made


@pytest.fixture
def opened(page_as: PageAs, deploying: Deploying) -> AsSomebody:
    """Returns a function that opens a path as a user who may deploy and promote."""

    def open_at(path: str, **options: Any) -> Window:
        return page_as("releaser", path, **options)

    return open_at


def live_row(deploying: Deploying, app: str, version: str, rows: int) -> dict[str, Any]:
    """Returns the newest row, once it is live and the App has `rows` rows."""
    name = deploying.stage.until_served(version, app, rows=rows)
    return deploying.stage.row(name)


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


def test_the_previewed_values_are_deployed(opened: AsSomebody, deploying: Deploying) -> None:
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


def test_a_rollback_takes_two_keys_from_the_history(opened: AsSomebody, deploying: Deploying) -> None:
    app = deploying.app("back-by-keys", "v1", "v4")
    page = opened(f"/console/apps/{app}/history").page
    tab_to(page, page.get_by_role("link", name="Roll back to v1"))
    page.keyboard.press("Enter")
    panel = dialog(page, "Roll back")
    expect(panel.get_by_role("button", name="Roll back to v1 (#1)")).to_be_focused()
    expect(panel.get_by_role("region", name="Preview")).to_contain_text("Pods restart")
    callers = panel.get_by_role("list", name="Callers").get_by_role("listitem")
    expect(callers).to_have_text(["Breaking: v1 no longer answers reply", "v1 no longer reads question"])
    page.keyboard.press("Enter")
    rolled_out(page)
    expect(page.locator("h1")).to_be_focused()
    row = live_row(deploying, "back-by-keys", "v1", 3)
    assert row["spec"]["pinned"]["restores"]["sequence"] == 1


def test_a_promotion_makes_the_app_there(opened: AsSomebody, deploying: Deploying) -> None:
    page = opened(f"/console/apps/{deploying.app('promoted', 'v2')}").page
    page.get_by_role("link", name="Promote deployment", exact=True).click()
    panel = dialog(page, "Promote deployment")
    expect(panel.get_by_label("Environment").locator("option:checked")).to_have_text("Production")
    outlook = panel.get_by_role("region", name="Preview")
    expect(outlook).to_contain_text(f"App promoted will be made in {deploying.production}")
    expect(outlook).to_contain_text(f"Version v2 will be put into {deploying.production}")
    button = panel.get_by_role("button", name="Promote deployment")
    expect(button).to_be_focused()
    button.click()
    rolled_out(page)
    found = eventually("the App is there", lambda: deploying.stage.api.get(kinds.APP.kind, "promoted", deploying.production))
    assert found.body["spec"]["workflow"] == deploying.workflow


def test_the_preview_is_beside_the_fields_where_there_is_room_and_the_button_short_where_there_is_none(
    opened: AsSomebody, deploying: Deploying
) -> None:
    page = opened(
        f"/console/apps/{deploying.app('roomy', 'v1')}/deploy?version=v4", viewport={"width": 1280, "height": 860}, is_new=True
    ).page
    previewed(page, "v4")
    callers = page.get_by_role("list", name="Callers").get_by_role("listitem")
    expect(callers).to_contain_text(
        [
            "Breaking: v4 no longer answers answer",
            "Unknown: v4 fails without question",
            "How many callers it may break is unknown: no recorder",
        ]
    )
    fields, preview = (page.locator(each).bounding_box() for each in (".fields", ".beside"))
    assert fields is not None
    assert preview is not None
    assert preview["x"] >= fields["x"] + fields["width"]
    button = dialog(page, "Deploy").get_by_role("button", name="Deploy v4 to roomy")
    expect(button).to_have_text("Deploy v4 to roomy", use_inner_text=True)
    page.set_viewport_size({"width": 360, "height": 740})
    expect(button).to_have_text("Deploy v4", use_inner_text=True)
    expect(page.get_by_text("To roomy", exact=True)).to_be_visible()


def test_a_filled_form_asks_once_before_it_is_left_by_the_browsers_way_back(opened: AsSomebody, deploying: Deploying) -> None:
    app = deploying.app("left-by-back", "v1")
    page = opened(f"/console/apps/{app}/history").page
    page.get_by_role("link", name="Deploy", exact=True).click()
    panel = dialog(page, "Deploy")
    expect(panel.get_by_role("region", name="Preview")).to_have_attribute("aria-busy", "false")
    panel.get_by_label("Message").fill("half a senten")
    page.go_back()
    expect(panel.get_by_role("button", name="Stay")).to_be_focused()
    page.keyboard.press("Enter")
    expect(panel.get_by_label("Message")).to_have_value("half a senten")
    page.go_back()
    expect(panel.get_by_role("button", name="Stay")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(f"{ORIGIN}/console/apps/{app}/history")

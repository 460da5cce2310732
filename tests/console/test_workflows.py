"""Workflows: the list, a workflow with its versions and live Apps, the changes of each version, and the release of a reviewed draft."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.console.support.configuring import button
from tests.support import factories
from tests.support.api import Manifest
from tests.support.browser.keys import press, tab_to
from tests.support.browser.pages import axe, settled
from tests.support.history_stage import HistoryStage

DRAFT = "nodes:\n- id: in\n  name: Question\n  type: dynamiq.nodes.utils.Input\n- id: answer\n  name: Answer\n  type: dynamiq.nodes.tools.Python\n  temperature: 1.0\n  depends: [{node: in}]\n"
OLDER = DRAFT.replace("1.0", "0.5")
NewWorkflow = Callable[..., str]


@pytest.fixture
def new_workflow(stage: HistoryStage) -> NewWorkflow:
    """Returns `new_workflow("v1", "v2")`: it makes a workflow with a draft and these releases of an older flow, and returns its name."""

    def made(*versions: str) -> str:
        name = f"w-{uuid.uuid4().hex[:8]}"
        here = factories.in_namespace(stage.namespace)
        stage.create(factories.workflow_manifest(here, factories.with_spec(description=f"What {name} does", flow=DRAFT), name=name))
        stage.release(*versions, workflow=name, text=OLDER)
        return name

    return made


def uid(stage: HistoryStage, workflow: str) -> str:
    return str(stage.get(kinds.WORKFLOW.kind, workflow)["metadata"]["uid"])


def version_of(stage: HistoryStage, workflow: str, version: str) -> Manifest | None:
    return stage.find(kinds.WORKFLOW_VERSION.kind, f"{workflow}-{version}")


def live_app(stage: HistoryStage, workflow: str, version: str) -> str:
    name = f"a-{uuid.uuid4().hex[:8]}"
    stage.app(name, workflow=workflow)
    stage.live(name, version, runtime=stage.default_runtime)
    return name


def opened(page_as: PageAs, stage: HistoryStage, workflow: str, more: str = "", user: str = "admin") -> Page:
    return page_as(user, f"/console/workflows/{uid(stage, workflow)}{more}").page


def test_the_list_shows_the_newest_version_and_the_apps_that_run_a_workflow(
    stage: HistoryStage, new_workflow: NewWorkflow, page_as: PageAs
) -> None:
    live, fresh = new_workflow("v1", "v2", "v10"), new_workflow()
    app = live_app(stage, live, "v2")
    page = page_as("viewer", "/console/workflows").page
    row = page.get_by_role("row", name=re.compile(f"^{live}"))
    expect(row.get_by_role("link", name="v10", exact=True)).to_be_visible()
    expect(row.get_by_role("link", name=app)).to_be_visible()
    expect(row).to_contain_text(re.compile(rf"{app}\s*v2"))
    expect(row).to_contain_text(stage.namespace)
    other = page.get_by_role("row", name=re.compile(f"^{fresh}"))
    expect(other).to_contain_text("none yet")
    expect(other).to_contain_text("nowhere")
    assert axe(page) == []

    page.get_by_label("Search name or description").fill(f"what {live}")
    expect(other).to_be_hidden()
    expect(row).to_be_visible()
    page.reload()
    settled(page)
    expect(row).to_be_visible()
    expect(other).to_be_hidden()
    page.get_by_label("Search name or description").fill("no such workflow")
    expect(page.get_by_role("heading", name="No workflow matches")).to_be_visible()
    button(page, "Show all").click()
    expect(other).to_be_visible()
    row.get_by_role("link", name=app).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(app)


def test_a_workflow_shows_its_nodes_its_versions_and_where_each_is_live(
    stage: HistoryStage, new_workflow: NewWorkflow, page_as: PageAs
) -> None:
    workflow = new_workflow("v1", "v2")
    app = live_app(stage, workflow, "v1")
    page = opened(page_as, stage, workflow, user="viewer")
    versions = page.get_by_role("region", name="Versions").get_by_role("row")
    expect(versions.nth(1)).to_contain_text("v2")
    expect(versions.nth(2)).to_contain_text("v1")
    expect(versions.nth(2).get_by_role("link", name=app)).to_be_visible()
    expect(versions.nth(1).get_by_role("link", name=app)).to_have_count(0)
    flow = page.get_by_role("region", name="Flow", exact=True)
    expect(flow.get_by_role("listitem")).to_have_count(2)
    expect(flow.get_by_role("listitem").nth(1)).to_contain_text("Answer Python")
    expect(flow.get_by_role("listitem").nth(1)).to_contain_text("after Question")
    flow.get_by_text("As text").click()
    expect(flow.get_by_label("The flow as text")).to_contain_text('"dynamiq.nodes.tools.Python"')
    refused = page.get_by_role("button", name=re.compile("^Release"))
    expect(refused).to_have_attribute("aria-disabled", "true")
    expect(refused).to_contain_text("dynamiq-edit")
    assert axe(page) == []
    versions.nth(1).get_by_role("link", name=re.compile("^v2")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{workflow} v2")


def test_a_link_to_a_version_shows_what_changed_and_compares_with_any_other(
    stage: HistoryStage, new_workflow: NewWorkflow, page_as: PageAs
) -> None:
    workflow = new_workflow("v1")
    stage.release("v2", workflow=workflow, text=DRAFT)
    second = stage.get(kinds.WORKFLOW_VERSION.kind, f"{workflow}-v2")["metadata"]["uid"]
    page = opened(page_as, stage, workflow, f"/versions/{second}", "viewer")
    diff = page.get_by_role("region", name="Flow: what changes")
    expect(diff.get_by_role("row", name=re.compile("removed.*temperature: 0.5"))).to_be_visible()
    expect(diff.get_by_role("row", name=re.compile("added.*temperature: 1.0"))).to_be_visible()
    assert axe(page) == []
    page.get_by_label("Compare with").select_option("the draft")
    expect(page).to_have_url(re.compile(r"\?with=draft$"))
    expect(page.get_by_text("The flow is the same.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("The flow is the same.")).to_be_visible()
    page.get_by_role("link", name="Deploy v2").click()
    expect(page).to_have_url(re.compile(rf"/workflows/{uid(stage, workflow)}/deploy\?version={second}$"))
    expect(page.get_by_role("dialog")).to_be_visible()


def test_the_draft_is_released_as_it_is_stored(stage: HistoryStage, new_workflow: NewWorkflow, page_as: PageAs) -> None:
    workflow = new_workflow("v1")
    page = opened(page_as, stage, workflow)
    draft = page.get_by_role("region", name="Draft")
    expect(draft).to_contain_text("Differs from v1: +1 −1 lines")
    button(draft, "Release").click()
    dialog = page.get_by_role("dialog", name=f"Release {workflow} v2")
    expect(dialog.get_by_role("row", name=re.compile("added.*temperature: 1.0"))).to_be_visible()
    dialog.get_by_label("Description").fill("It's warmer")
    expect(dialog).to_contain_text(f"kubectl dynamiq release {workflow} -n {stage.namespace} --description 'It'\\''s warmer'")
    assert axe(page) == []
    button(dialog, "Release v2").click()
    expect(page.get_by_role("region", name="Versions")).to_contain_text("It's warmer")
    expect(draft).to_contain_text("The same as v2.")
    made = stage.get(kinds.WORKFLOW_VERSION.kind, f"{workflow}-v2")["spec"]
    assert made == {"workflow": workflow, "version": "v2", "description": "It's warmer", "flow": DRAFT}
    button(draft, "Release").click()
    expect(button(page.get_by_role("dialog"), "Release v3")).to_be_disabled()
    expect(page.get_by_role("dialog")).to_contain_text("the draft is v2 already")


def test_a_draft_that_others_changed_is_not_released_before_it_was_looked_at(
    stage: HistoryStage, new_workflow: NewWorkflow, page_as: PageAs
) -> None:
    workflow = new_workflow("v1")
    page = opened(page_as, stage, workflow)
    button(page, "Release").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("row", name=re.compile("temperature: 1.0"))).to_be_visible()
    stage.change(kinds.WORKFLOW.kind, workflow, spec={"flow": DRAFT.replace("1.0", "2.0")})
    button(dialog, "Release v2").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Nothing was released")
    assert version_of(stage, workflow, "v2") is None
    button(dialog, "Look at it as it is now").click()
    expect(dialog.get_by_role("row", name=re.compile("temperature: 2.0"))).to_be_visible()
    expect(button(dialog, "Release v2")).to_be_visible()
    stage.release("v2", workflow=workflow, text=OLDER)
    button(dialog, "Release v2").click()
    button(dialog, "Look at it as it is now").click()
    button(dialog, "Release v3").click()
    expect(dialog).to_be_hidden()
    assert stage.get(kinds.WORKFLOW_VERSION.kind, f"{workflow}-v3")["spec"]["flow"] == DRAFT.replace("1.0", "2.0")


def test_the_first_version_is_released_by_keyboard_alone(stage: HistoryStage, new_workflow: NewWorkflow, page_as: PageAs) -> None:
    workflow = new_workflow()
    page = opened(page_as, stage, workflow)
    expect(page.get_by_role("heading", name="Nothing is released yet")).to_be_visible()
    press(page, button(page, "Release"))
    dialog = page.get_by_role("dialog")
    tab_to(page, dialog.get_by_label("Description"))
    page.keyboard.type("The first")
    press(page, button(dialog, "Release v1"))
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("region", name="Versions")).to_contain_text("The first")
    assert stage.get(kinds.WORKFLOW_VERSION.kind, f"{workflow}-v1")["spec"]["description"] == "The first"


def test_an_address_of_no_workflow_or_version_is_reported(stage: HistoryStage, new_workflow: NewWorkflow, page_as: PageAs) -> None:
    nothing = uuid.uuid4()
    window = page_as("viewer", f"/console/workflows/{nothing}")
    expect(window.page.get_by_role("heading", level=1)).to_contain_text("It does not exist")
    page = window.goto(f"/console/workflows/{uid(stage, new_workflow('v1'))}/versions/{nothing}")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such version")
    page.get_by_role("link", name=re.compile("^To w-")).click()
    expect(page.get_by_role("region", name="Versions")).to_be_visible()

"""An App's triggers: created, described in words, run, changed and deleted, by mouse and by keyboard."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from dynamiq_operator.model import kinds
from dynamiq_operator.model.names import APP_LABEL
from tests.console.conftest import PageAs
from tests.console.support.configuring import address, button, spec
from tests.support import factories
from tests.support.api import Manifest
from tests.support.browser.keys import press, tab_to
from tests.support.browser.pages import axe
from tests.support.history_stage import APP, HistoryStage
from tests.support.waiting import eventually

HOUR = (datetime.now(UTC).hour + 12) % 24
"""An hour far from now: the trigger runs only when somebody runs it."""
NIGHTLY = {"name": "nightly", "schedule": f"0 {HOUR} * * *", "timezone": "Europe/Berlin", "suspend": True, "draft": True}
NewApp = Callable[..., str]


@pytest.fixture
def new_app(stage: HistoryStage) -> NewApp:
    """Returns `new_app(*triggers)`: it makes a new App and returns its name. `is_live=True` waits until it serves v1."""

    def made(*triggers: Manifest, is_live: bool = False) -> str:
        name = f"t-{uuid.uuid4().hex[:8]}"
        stage.app(name, factories.with_triggers(*triggers), workflow=APP)
        if is_live:
            stage.until_told(stage.live(name, "v1", runtime=stage.default_runtime), name)  # what is not live by its App runs nothing
        return name

    return made


def triggers(stage: HistoryStage, app: str) -> list[Manifest]:
    found: list[Manifest] = spec(stage, app).get("triggers") or []
    return found


def opened(page_as: PageAs, stage: HistoryStage, app: str, user: str = "admin") -> Page:
    return page_as(user, address(stage, app, "triggers")).page


def test_an_app_without_triggers_names_the_next_step_and_a_schedule_is_shown_in_words(
    stage: HistoryStage, new_app: NewApp, page_as: PageAs
) -> None:
    app = new_app()
    page = opened(page_as, stage, app)
    expect(page.get_by_role("heading", name="No triggers yet")).to_be_visible()
    button(page, "New trigger").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Every working day")
    schedule = dialog.get_by_label("Schedule", exact=True)
    schedule.fill("0 9 * *")
    expect(dialog.get_by_role("status").filter(has_text="This is not a schedule yet")).to_be_visible()
    schedule.fill("30 8,17 * * 1-5")
    expect(dialog.get_by_text("Monday to Friday at 08:30 and 17:30")).to_be_visible()
    dialog.get_by_label("Time zone").fill("Europe/Berlin")
    button(dialog, "Add a field").click()
    page.keyboard.type("question")
    dialog.get_by_label("Value of question").fill("What is new?")
    assert axe(page) == []
    button(dialog, "Create the trigger").click()
    expect(page.get_by_role("row", name=re.compile("Every working day"))).to_contain_text("Monday to Friday at 08:30 and 17:30")
    # It is created, and then activated: the list may show it in between.
    expect(page.get_by_role("dialog", name="Every working day")).to_be_visible()
    (made,) = triggers(stage, app)
    assert {key: made.get(key) for key in ("schedule", "timezone", "suspend", "draft")} == {
        "schedule": "30 8,17 * * 1-5",
        "timezone": "Europe/Berlin",
        "suspend": None,
        "draft": None,
    }
    assert made["inputTransformer"] == {"selector": {"question": "What is new?"}}
    assert axe(page) == []


def test_a_refusal_of_the_api_is_shown_at_its_field(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app(NIGHTLY)
    page = opened(page_as, stage, app)
    button(page, "New trigger").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Odd")
    dialog.get_by_label("Schedule", exact=True).fill("99 9 * * *")
    button(dialog, "Create the trigger").click()
    expect(dialog.get_by_text("minute 99: use 0 to 59")).to_be_visible()
    expect(dialog.get_by_label("Schedule", exact=True)).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Schedule", exact=True).fill("0 9 * * *")
    dialog.get_by_label("Time zone").fill("Europe/Nowhere")
    button(dialog, "Create the trigger").click()
    expect(dialog.get_by_label("Time zone")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Time zone").fill("UTC")
    dialog.get_by_label("Name").fill("nightly")
    button(dialog, "Create the trigger").click()
    expect(dialog.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    assert [each["name"] for each in triggers(stage, app)] == ["nightly"]


def test_a_trigger_is_activated_and_run_and_its_run_is_shown(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app(NIGHTLY, is_live=True)
    page = opened(page_as, stage, app)
    row = page.get_by_role("row", name=re.compile("nightly"))
    expect(row).to_contain_text(f"Every day at {HOUR:02}:00")
    expect(row).to_contain_text("Draft")
    expect(row).to_contain_text("not active")
    button(row, "Activate nightly").click()
    expect(row).to_contain_text("Active")
    expect(row.get_by_text(re.compile(r"in \d+ (hours?|minutes?)"))).to_be_visible()
    assert triggers(stage, app)[0].get("suspend") is None
    button(row, "Run now nightly").click()
    expect(row).to_contain_text(re.compile("Running|Succeeded|Failed"))
    jobs = stage.api.get("Job", "", stage.namespace, api_version="batch/v1", labelSelector=f"{APP_LABEL}={app}").body["items"]
    assert len(jobs) == 1
    button(row, "nightly").click()
    dialog = page.get_by_role("dialog", name="nightly")
    expect(dialog.get_by_role("table", name="Runs")).to_contain_text(jobs[0]["metadata"]["name"])
    button(dialog, "Deactivate nightly").click()
    expect(dialog).to_contain_text("Inactive")
    assert triggers(stage, app)[0]["suspend"] is True


def test_a_trigger_is_changed_to_run_once_and_deleted(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app(NIGHTLY)
    page = opened(page_as, stage, app)
    button(page, "nightly").click()
    dialog = page.get_by_role("dialog")
    button(dialog, "Change").click()
    dialog.get_by_label("Once").check(force=True)
    dialog.get_by_label("Run at").fill("2126-01-01T09:30")
    button(dialog, "Save changes").click()
    expect(button(dialog, "Change")).to_be_visible()
    expect(dialog).to_contain_text("Once")
    assert triggers(stage, app)[0]["runAt"] == "2126-01-01T09:30:00Z"
    assert "schedule" not in triggers(stage, app)[0]
    button(dialog, "Delete").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This cannot be undone")
    button(dialog, "Keep it").click()
    button(dialog, "Delete").click()
    button(dialog, "Delete the trigger").click()
    expect(page.get_by_role("heading", name="No triggers yet")).to_be_visible()
    assert triggers(stage, app) == []


def test_changes_and_runs_of_others_appear_without_a_reload(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app({**NIGHTLY, "suspend": False, "draft": False}, is_live=True)
    page, other = opened(page_as, stage, app), opened(page_as, stage, app)
    row = page.get_by_role("row", name=re.compile("nightly"))
    expect(row).to_contain_text("none")
    button(other, "Run now nightly").click()
    expect(row).to_contain_text(re.compile("Running|Succeeded|Failed"))
    stage.change(kinds.APP.kind, app, spec={"triggers": [{**NIGHTLY, "name": "another"}]})
    expect(page.get_by_role("row", name=re.compile("another"))).to_be_visible()


def test_a_trigger_is_made_and_deactivated_by_keyboard_alone(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app()
    page = opened(page_as, stage, app)
    dialog = page.get_by_role("dialog")
    press(page, button(page, "New trigger"))
    tab_to(page, dialog.get_by_label("Name"))
    page.keyboard.type("Hourly")
    press(page, button(dialog, "Every hour"))
    press(page, button(dialog, "Create the trigger"))
    made = eventually("the trigger is there", lambda: triggers(stage, app))
    assert made[0]["schedule"] == "0 * * * *"
    expect(page.get_by_role("dialog", name="Hourly")).to_be_visible()
    press(page, button(page.get_by_role("dialog", name="Hourly"), "Deactivate Hourly"))
    expect(page.get_by_role("dialog", name="Hourly")).to_contain_text("Inactive")
    expect(button(page.get_by_role("dialog", name="Hourly"), "Activate Hourly")).to_be_focused()  # what is being sent keeps the focus
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    press(page, button(page, "Activate Hourly"))
    expect(page.get_by_role("row", name=re.compile("Hourly"))).to_contain_text("Active")
    assert triggers(stage, app)[0].get("suspend") is None


def test_a_link_to_a_trigger_opens_it(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app(NIGHTLY)
    page = opened(page_as, stage, app)
    button(page, "nightly").click()
    expect(page.get_by_role("dialog", name="nightly")).to_be_visible()
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_role("dialog", name="nightly")).to_contain_text(f"Every day at {HOUR:02}:00")
    page.go_back()
    assert stage.find(kinds.APP.kind, app) is not None

"""An App's configuration, Access Keys and deletion, by mouse and by keyboard, with concurrent changes by others."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.console.support.configuring import address, button, spec
from tests.console.support.silence import answers_lost
from tests.support import factories
from tests.support.browser.keys import choose, press, tab_to
from tests.support.browser.pages import axe, kept, settled
from tests.support.history_stage import APP, HistoryStage
from tests.support.waiting import eventually

REGION = {"name": "REGION", "value": "eu-west"}
SECRET = {"name": "API_KEY", "secret": {"name": "openai", "key": "api-key"}}
NewApp = Callable[..., str]


@pytest.fixture
def new_app(stage: HistoryStage) -> NewApp:
    """Returns `new_app(modifiers…)`: it makes a new App of the stage and returns its name. `is_live=True` waits until it serves v1."""

    def made(*modifiers: factories.Modifier, is_live: bool = False) -> str:
        name = f"c-{uuid.uuid4().hex[:8]}"
        stage.app(name, *modifiers, workflow=APP)
        if is_live:
            stage.until_told(stage.live(name, "v1", runtime=stage.default_runtime), name)
        return name

    return made


def keys_of(stage: HistoryStage, app: str) -> set[str]:
    return set(stage.get("Secret", f"{app}-access-keys").get("data") or {})


# Access Keys.


def test_a_key_is_shown_once_kept_nowhere_and_revoked(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app(is_live=True)
    page = page_as("admin", address(stage, app, "history")).page
    page.get_by_role("link", name="Configuration").click()
    panel = page.get_by_role("region", name="Access Keys")
    expect(panel.get_by_role("row", name=re.compile("^default"))).to_be_visible()
    button(panel, "Create a key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("website")
    expect(dialog.get_by_text(f"kubectl dynamiq keys create {app} website -n {stage.namespace}")).to_be_visible()
    button(dialog, "Create the key").click()
    expect(dialog.get_by_text("it is not shown again")).to_be_visible()
    value = stage.key(app, "website")
    expect(dialog.get_by_text(value, exact=True)).to_be_visible()
    assert axe(page) == []

    page.keyboard.press("Escape")
    expect(dialog.get_by_role("alert")).to_contain_text("Confirm that you stored it")
    page.go_back()
    expect(dialog.get_by_text(value, exact=True)).to_be_visible()
    expect(button(dialog, "Done")).to_be_disabled()
    dialog.get_by_label("I have stored it").check()
    button(dialog, "Done").click()
    expect(dialog).to_be_hidden()
    expect(panel.get_by_role("row", name=re.compile("^website"))).to_contain_text(f"{value[:4]}…")
    assert value not in kept(page)

    button(panel, "Revoke website").click()
    expect(dialog).to_contain_text("One more of its keys stays: default")
    assert keys_of(stage, app) == {"default", "website"}
    button(dialog, "Revoke website").click()
    expect(panel.get_by_role("row", name=re.compile("^website"))).to_have_count(0)
    assert keys_of(stage, app) == {"default"}
    button(panel, "Revoke default").click()
    expect(dialog).to_contain_text("It is the last one: nobody can call the App then")
    button(dialog, "Cancel").click()
    assert keys_of(stage, app) == {"default"}


@pytest.mark.long(
    "what it sends, and what the API answers: tests/unit/rest; its screens over prepared answers: operator/console/tests/states.test.tsx"
)
def test_a_key_is_made_and_revoked_by_keyboard_alone(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app(is_live=True)
    page = page_as("admin", address(stage, app)).page
    panel, dialog = page.get_by_role("region", name="Access Keys"), page.get_by_role("dialog")
    expect(panel.get_by_role("row", name=re.compile("^default"))).to_be_visible()
    press(page, button(panel, "Create a key"))
    # Typed text replaces the proposed name.
    expect(dialog.get_by_label("Name")).to_be_focused()
    page.keyboard.type("by-hand")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("it is not shown again").locator("xpath=..")).to_be_focused()
    press(page, dialog.get_by_label("I have stored it"), "Space")
    press(page, button(dialog, "Done"))
    expect(dialog).to_be_hidden()
    expect(button(panel, "Create a key")).to_be_focused()
    assert keys_of(stage, app) == {"default", "by-hand"}
    press(page, button(panel, "Revoke by-hand"))
    press(page, button(dialog, "Revoke by-hand"))
    expect(dialog).to_be_hidden()
    expect(panel.get_by_role("heading", name="Access Keys")).to_be_focused()
    assert keys_of(stage, app) == {"default"}


# Configuration.


def test_variables_and_description_are_changed_and_a_secrets_content_is_never_requested(
    stage: HistoryStage, new_app: NewApp, page_as: PageAs
) -> None:
    app = new_app(factories.with_variables(REGION, SECRET))
    window = page_as("admin", address(stage, app))
    page = window.page
    panel = page.get_by_role("region", name="Configuration", exact=True)
    expect(panel.get_by_role("row", name="API_KEY")).to_contain_text("openai/api-key")
    button(panel, "Change").click()
    form = page.get_by_role("region", name="Change the configuration")
    expect(button(form, "Save changes")).to_be_disabled()
    form.get_by_label("Description").fill("Answers in two languages")
    form.get_by_label("Value of REGION").fill("eu-east")
    button(form, "Remove API_KEY").click()
    button(form, "Add a variable").click()
    page.keyboard.type("GREETING")
    form.get_by_label("Value of GREETING").fill("Hello,\nhow can we help?")
    expect(form).to_contain_text("eu-west → eu-east")
    assert axe(page) == []
    patch = kubectl_patch(form)
    button(form, "Save changes").click()
    expect(panel.get_by_role("row", name="GREETING")).to_be_visible()
    now = spec(stage, app)
    variables = [{"name": "REGION", "value": "eu-east"}, {"name": "GREETING", "value": "Hello,\nhow can we help?"}]
    assert (now["description"], now["variables"]) == ("Answers in two languages", variables)
    assert patch == {"spec": {"description": "Answers in two languages", "variables": variables}}
    assert not [request.url for request in window.seen.requests if "secrets" in request.url]


def kubectl_patch(form: Locator) -> Any:
    """Returns the patch of the command that the form shows."""
    form.get_by_text("The same with kubectl").click()
    command = form.get_by_text(re.compile("^kubectl patch app")).inner_text()
    assert "--type=merge -p '" in command
    return json.loads(command.partition("-p '")[2].removesuffix("'"))


@pytest.mark.long(
    "what it sends, and what the API answers: tests/unit/rest; its screens over prepared answers: operator/console/tests/states.test.tsx"
)
def test_a_variable_is_added_from_a_secret_by_keyboard_only(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app()
    page = page_as("admin", address(stage, app)).page
    press(page, button(page, "Change"))
    form = page.get_by_role("region", name="Change the configuration")
    press(page, button(form, "Add a variable"))
    page.keyboard.type("TOKEN")
    choose(page, form.get_by_label("Where TOKEN comes from"), "Secret")
    tab_to(page, form.get_by_label("Secret of TOKEN"))
    page.keyboard.type("tokens")
    page.keyboard.press("Tab")
    page.keyboard.type("first")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Configuration", exact=True).get_by_role("row", name="TOKEN")).to_contain_text("tokens/first")
    assert spec(stage, app)["variables"] == [{"name": "TOKEN", "secret": {"name": "tokens", "key": "first"}}]


def test_changes_of_others_are_shown_by_field_and_never_overwritten_unseen(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app(factories.with_variables(REGION, SECRET), factories.with_spec(description="Answers"))
    page = page_as("admin", address(stage, app)).page
    button(page, "Change").click()
    form = page.get_by_role("region", name="Change the configuration")
    form.get_by_label("Description").fill("Mine")
    form.get_by_label("Value of REGION").fill("mine")
    theirs = {"description": "Theirs", "variables": [{"name": "REGION", "value": "theirs"}, {"name": "NEW", "value": "1"}]}
    stage.change(kinds.APP.kind, app, spec=theirs)
    button(form, "Save changes").click()

    notice = form.get_by_role("alert").first
    expect(notice).to_contain_text("Somebody else changed this App while you were here")
    expect(notice.get_by_role("group", name=re.compile("^Description"))).to_contain_text("Take the new one: Theirs")
    expect(notice.get_by_role("group", name=re.compile("^Variable REGION"))).to_contain_text("Keep mine: mine")
    expect(notice).to_contain_text("Variable NEW is now 1. You did not change it: it stays so.")
    expect(notice).to_contain_text("Variable API_KEY is now not set")
    assert {name: value for name, value in spec(stage, app).items() if name in theirs} == theirs
    assert axe(page) == []

    button(form, "Save changes").click()
    expect(notice).to_contain_text("Choose one")
    notice.get_by_role("group", name=re.compile("^Description")).get_by_label("Take the new one").check()
    expect(form.get_by_label("Description")).to_have_value("Theirs")
    notice.get_by_role("group", name=re.compile("^Variable REGION")).get_by_label("Keep mine").check()
    button(form, "Save changes").click()
    expect(form).to_be_hidden()
    now = spec(stage, app)
    assert (now["description"], now["variables"]) == ("Theirs", [{"name": "REGION", "value": "mine"}, {"name": "NEW", "value": "1"}])


@pytest.mark.long(
    "what it sends, and what the API answers: tests/unit/rest; its screens over prepared answers: operator/console/tests/states.test.tsx"
)
def test_changes_of_others_elsewhere_in_the_app_do_not_conflict(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app()
    page = page_as("admin", address(stage, app)).page
    button(page, "Change").click()
    form = page.get_by_role("region", name="Change the configuration")
    form.get_by_label("Description").fill("Mine")
    stage.change(kinds.APP.kind, app, spec={"displayName": "Renamed", "history": {"limit": 20}})
    button(form, "Save changes").click()
    expect(form).to_be_hidden()
    now = spec(stage, app)
    assert (now["description"], now["displayName"], now["history"]) == ("Mine", "Renamed", {"limit": 20})


@pytest.mark.long(
    "what it sends, and what the API answers: tests/unit/rest; its screens over prepared answers: operator/console/tests/states.test.tsx"
)
def test_while_the_api_is_away_the_form_stays_and_is_saved_once_it_is_back(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app()
    window = page_as("admin", address(stage, app))
    page = window.page
    button(page, "Change").click()
    form = page.get_by_role("region", name="Change the configuration")
    form.get_by_label("Description").fill("Filled in before")
    window.context.set_offline(True)
    button(form, "Save changes").click()
    expect(form.get_by_role("alert")).to_contain_text("The result is unknown")
    expect(form.get_by_label("Description")).to_have_value("Filled in before")
    window.context.set_offline(False)
    button(form, "Save changes").click()
    expect(form).to_be_hidden()
    assert spec(stage, app)["description"] == "Filled in before"
    window.seen.errors[:] = [text for text in window.seen.errors if "ERR_INTERNET_DISCONNECTED" not in text]


def test_a_save_whose_answer_was_lost_is_found_done_by_the_next_try(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app()
    page = page_as("admin", address(stage, app)).page
    button(page, "Change").click()
    form = page.get_by_role("region", name="Change the configuration")
    form.get_by_label("Description").fill("Saved at the first try")
    with answers_lost(page, "*/configuration"):
        button(form, "Save changes").click()
        expect(form.get_by_role("alert")).to_contain_text("The result is unknown")
    eventually("it is saved", lambda: spec(stage, app).get("description") == "Saved at the first try")
    button(form, "Save changes").click()
    expect(form).to_be_hidden()
    expect(page.get_by_text("Somebody else changed")).to_have_count(0)


# Deletion.


def test_an_app_is_deleted_by_whoever_types_its_name(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app(factories.with_spec(displayName="Doomed"), is_live=True)
    page = page_as("admin", address(stage, app)).page
    button(page, "Delete App").click()
    dialog = page.get_by_role("dialog", name="Delete Doomed")
    expect(dialog).to_contain_text("its history: every deployment")
    typed = dialog.get_by_label(f"Type {app} to confirm")
    typed.fill(app[:-1])
    expect(button(dialog, "Delete Doomed")).to_be_disabled()
    typed.press("Enter")
    assert stage.find(kinds.APP.kind, app) is not None
    assert axe(page) == []
    typed.fill(app)
    typed.press("Enter")
    expect(page).to_have_url(re.compile(r"/console/(\?.*)?$"))
    eventually("the App is gone", lambda: stage.find(kinds.APP.kind, app) is None)
    settled(page)
    expect(page.get_by_role("link", name="Doomed", exact=True)).to_have_count(0)


def test_a_protected_history_keeps_its_app_in_the_api_servers_words(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app(factories.with_spec(history={"protect": True}), is_live=True)
    page = page_as("admin", address(stage, app)).page
    button(page, "Delete App").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(f"Type {app} to confirm").fill(app)
    dialog.get_by_role("button", name=re.compile("^Delete")).click()
    expect(dialog.get_by_role("alert")).to_contain_text("protect")
    assert stage.find(kinds.APP.kind, app) is not None
    stage.change(kinds.APP.kind, app, spec={"history": None})

"""Texts of users, clusters and addresses stay plain texts on every screen, whatever script they contain."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.console.conftest import PageAs
from tests.console.support import scripts
from tests.console.support.screens import DIALOGS, REFUSED, SCREENS, addresses
from tests.console.support.scripts import ALL, TEXTS, Written, nothing_ran, says
from tests.support.browser import answers
from tests.support.browser.pages import settled
from tests.support.history_stage import HistoryStage

FIELDS_LEAST = 30
SHOWN_LEAST = 8  # screens that show the text
EVERY = pytest.mark.long("what is refused is shown by one component, whatever its status and its screen: 403 of five screens in make test")
ALONE = pytest.mark.long("one text by itself; in make test all of them at once")


@pytest.fixture(scope="module")
def written(stage: HistoryStage) -> Written:
    return scripts.write(stage)


def test_text_of_users_is_shown_as_text_on_every_screen(page_as: PageAs, written: Written) -> None:
    assert len(written.fields) >= FIELDS_LEAST, sorted(written.fields)
    window = page_as("admin", None, is_new=True)
    window.page.on("dialog", lambda dialog: window.seen.errors.append(f"a dialog: {dialog.message}"))
    shown: dict[str, set[str]] = {}
    for name, path in addresses(**written.ids).items():
        window.go_on(path)
        nothing_ran(window)
        shown[name] = says(window.page)
    assert len([name for name, texts in shown.items() if texts]) >= SHOWN_LEAST, shown
    assert set().union(*shown.values()) == set(TEXTS), "each of the texts is shown somewhere"


@pytest.mark.parametrize(
    ("status", "names"),
    [
        pytest.param(200, SCREENS.keys(), id="200"),
        pytest.param(403, REFUSED, id="403"),
        *(pytest.param(status, SCREENS.keys(), id=f"{status}-everywhere", marks=EVERY) for status in (403, 404, 503)),
    ],
)
def test_responses_of_the_api_are_shown_as_text_on_every_screen(page_as: PageAs, status: int, names: frozenset[str]) -> None:
    window = page_as("viewer", None)
    everything = answers.Everything(lambda _: ALL, status)
    everything.given_to(window.page)
    for name in sorted(names):
        window.go_on(addresses(**everything.ids)[name])
        nothing_ran(window)
        assert window.seen.errors == [], name
    assert everything.given >= len(names - DIALOGS), "a dialog reads nothing while the screen below it cannot be read"


@pytest.mark.parametrize("text", [*(pytest.param(each, marks=ALONE) for each in TEXTS[4:7]), ALL])
def test_text_of_an_address_is_no_script(page_as: PageAs, text: str) -> None:
    window = page_as("viewer", None)
    given = quote(text, safe="")
    for path in (
        f"/console/?q={given}&project={given}&sort={given}&status={given}",
        f"/console/sign-in?to={given}&error={given}&window={given}",
        f"/console/apps/{given}/history?q={given}&page={given}",
        f"/console/apps/{given}/compare?a={given}&b={given}",
        f"/console/workflows/{given}/versions/{given}?with={given}",
        f"/console/{given}#{given}",
    ):
        window.page.goto(f"{window.origin}{path}", wait_until="commit")
        settled(window.page)
        nothing_ran(window)

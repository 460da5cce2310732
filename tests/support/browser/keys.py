"""A page by the keyboard alone."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.support.waiting import eventually

TABS_MOST = 80


def focused(locator: Locator) -> bool:
    return bool(locator.evaluate("element => element === document.activeElement"))


def painted(page: Page) -> None:
    """Waits for what the page does after it has painted: it listens for letters, and gives a first field the focus."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def tab_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Presses Tab until `wanted` has the focus. Fails where the keyboard does not come to it."""
    expect(wanted).to_be_visible()
    painted(page)  # what gives a field the focus has done so by then, and does not take it from where the keyboard has gone
    for _ in range(TABS_MOST):
        if focused(wanted):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{TABS_MOST} times {key} do not lead to {wanted}")


def press(page: Page, target: Locator, key: str = "Enter") -> None:
    """Goes to a control by Tab, and presses a key there."""
    tab_to(page, target)
    page.keyboard.press(key)


def choose(page: Page, select: Locator, option: str) -> None:
    """Chooses an option of the focused <select> by its first letters, as one types them."""
    tab_to(page, select)

    def chosen() -> bool:
        page.keyboard.type(option)
        return option in select.locator("option:checked").inner_text()

    eventually(f"{option} is chosen by its letters", chosen, every=1.5)  # letters that come over a second late begin anew

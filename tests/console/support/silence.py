"""Answers that never come back to a page, though what it asked was done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page

from tests.support.waiting import eventually

PROBE = "/answers-that-are-lost"


@contextlib.contextmanager
def answers_lost(page: Page, addresses: str) -> Iterator[None]:
    """What the page asks of these addresses comes to the API and is done; of the answers none comes back."""
    session = page.context.new_cdp_session(page)

    def lose(event: dict[str, Any]) -> None:
        session.send("Fetch.failRequest", {"requestId": event["requestId"], "errorReason": "ConnectionReset"})

    session.on("Fetch.requestPaused", lose)
    patterns = [{"urlPattern": each, "requestStage": "Response"} for each in (addresses, f"*{PROBE}")]
    session.send("Fetch.enable", {"patterns": patterns})
    # Chromium says that it is enabled before the page's process has heard of it: a request made at once could still be answered.
    eventually("answers are lost", lambda: page.evaluate(f"fetch('{PROBE}').then(() => false, () => true)"))
    yield
    session.send("Fetch.disable")
    session.detach()

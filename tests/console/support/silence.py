"""Loses the answers to a page's requests, which the API has carried out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page

from tests.support.waiting import eventually

PROBE = "/answers-that-are-lost"


@contextlib.contextmanager
def answers_lost(page: Page, addresses: str) -> Iterator[None]:
    """Loses all answers from these addresses while the block runs. The API still carries out the requests."""
    session = page.context.new_cdp_session(page)

    def lose(event: dict[str, Any]) -> None:
        session.send("Fetch.failRequest", {"requestId": event["requestId"], "errorReason": "ConnectionReset"})

    session.on("Fetch.requestPaused", lose)
    patterns = [{"urlPattern": each, "requestStage": "Response"} for each in (addresses, f"*{PROBE}")]
    session.send("Fetch.enable", {"patterns": patterns})
    # Chromium reports that it is enabled before the page's process knows: a request made at once could still be answered.
    eventually("answers are lost", lambda: page.evaluate(f"fetch('{PROBE}').then(() => false, () => true)"))
    yield
    session.send("Fetch.disable")
    session.detach()

"""Serves the console's screens with prepared answers to all their calls, the same as `operator/console/tests` uses in a DOM."""

from __future__ import annotations

import functools
import json
import subprocess
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, Route

from local import console_build, steps
from local.steps import Step
from tests.support.browser import answers
from tests.support.browser.pages import ORIGIN


@dataclass(frozen=True)
class Screen:
    name: str
    path: str
    shows: str
    """A text of the loaded screen."""

    opens: tuple[str, ...] = ()
    """Buttons to press to open it."""

    over: tuple[str, ...] = ()
    """For a dialog: the button or link that opens it, and the path of the screen below it."""

    def __str__(self) -> str:
        return self.name


@functools.cache
def _prepared() -> dict[str, Any]:
    steps.run([Step("console packages", console_build.checked_out)])
    command = [console_build.node(), console_build.SOURCE / "tests" / "prepared.ts"]
    done = subprocess.run(command, env=console_build.environment(), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@functools.cache
def screens() -> dict[str, Screen]:
    """Returns the screens of `operator/console/tests/screens.ts`, by name."""
    made = (
        Screen(each["name"], each["path"], each["shows"], tuple(each.get("opens", ())), tuple(each.get("over", ())))
        for each in _prepared()["screens"]
    )
    return {each.name: each for each in made}


@dataclass
class Prepared:
    """Prepared answers to every call of a context's pages. Streams open and stay silent. A call without an answer is a surprise."""

    surprises: list[str] = field(default_factory=list)

    @classmethod
    def before(cls, context: BrowserContext) -> Prepared:
        made = cls()
        context.route(f"{ORIGIN}/v1/**", made._take)
        return made

    def _take(self, route: Route) -> None:
        method, (path, _, query) = route.request.method, route.request.url.removeprefix(ORIGIN).partition("?")
        if path.endswith("/watch"):
            return  # a stream that is open, and on which nothing happens
        try:
            known = _prepared()["answers"]
            named = f"{method} {answers.template(path)}"
            body = known[f"{named}?open=true"] if "open=true" in query else known.get(f"{method} {path}") or known[named]
            answers.checked(method, path, 200, body)
        except (AssertionError, KeyError) as error:
            self.surprises.append(f"{method} {path}: {error!r}")
            route.abort()
            return
        route.fulfill(status=200, headers={"Content-Type": answers.JSON}, body=json.dumps(body))

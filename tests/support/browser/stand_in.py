"""A stand-in for the API in front of a browser: each call of a page is answered as a test says, and only as the API could, by its document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import BrowserContext, Page, Request, Route

from tests.support.browser import answers
from tests.support.browser.pages import ORIGIN

Query = Mapping[str, str]
Body = Any | Callable[[Query], Any]
"""What is answered, or how it follows from the query of what is asked."""

Table = Mapping[str, Body]
"""Bodies of good answers by call: `GET /v1/apps/{app_id}`, or with an id in its place, which comes first."""

EVERYTHING = ""
GOOD = {"GET": 200, "POST": 201, "PUT": 200, "PATCH": 200, "DELETE": 204}


@dataclass(frozen=True)
class Answer:
    status: int
    body: Body


@dataclass
class StandIn:
    """What the pages of a context are answered. Streams are opened and tell nothing; a call that no answer was given for is a surprise."""

    surprises: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Calls so far, by the paths of the document."""

    is_away: bool = False
    """Whether nobody answers anything."""

    _answers: dict[str, Answer] = field(default_factory=dict)
    _refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    _held: str | None = None
    _waiting: list[Route] = field(default_factory=list)

    @classmethod
    def before(cls, context: BrowserContext | Page) -> StandIn:
        made = cls()
        context.route(re.compile(rf"^{re.escape(ORIGIN)}/v1/"), made._take)
        return made

    def begin(self, *tables: Table) -> None:
        """From now on these answers, the later ones first, and nothing of what was said before."""
        self._answers = {call: self._answer_of(call, body) for table in tables for call, body in table.items()}
        self.answer()
        self.let_go()
        self.is_away = False
        self.asked.clear()

    def says(self, call: str, body: Body, status: int | None = None) -> None:
        """This call is answered so."""
        self._answers[call] = self._answer_of(call, body, status)

    def _answer_of(self, call: str, body: Body, status: int | None = None) -> Answer:
        method, path = call.split(" ")
        code = status or (200 if path.endswith("/preview") else GOOD[method])
        if not callable(body):
            answers.checked(method, path, code, body)
        return Answer(code, body)

    def refuse(self, status: int, message: str, call: str = EVERYTHING) -> None:
        """Until `answer`, this call, or every one, is refused in these words."""
        self._refused[call] = (status, message)

    def answer(self) -> None:
        """Nothing is refused any more."""
        self._refused.clear()

    def hold(self, call: str = EVERYTHING) -> None:
        """Until `let_go`, this call, or every one, waits for its answer."""
        self._held = call

    def holds(self, request: Request) -> bool:
        """Whether it is one of those that wait."""
        return "/v1/" in request.url and self._held in (EVERYTHING, *_names(request))

    def let_go(self) -> None:
        """What waits is answered, as is said now."""
        self._held = None
        waiting, self._waiting = self._waiting, []
        for route in waiting:
            self._take(route)

    def _take(self, route: Route) -> None:
        method, url = route.request.method, urlsplit(route.request.url)
        path = url.path
        try:
            if path.endswith("/watch"):
                return  # a stream that is open, and on which nothing happens
            call, exact = _names(route.request)
            if self.holds(route.request):
                self._waiting.append(route)
                return
            self.asked.append(call)
            if self.is_away:
                route.abort("connectionrefused")
                return
            status, body = self._found(call, exact, dict(parse_qsl(url.query)))
            answers.checked(method, path, status, body)
        except (AssertionError, KeyError) as error:
            self.surprises.append(f"{method} {route.request.url}: {error!r}")
            route.abort()
            return
        if body is None:
            route.fulfill(status=status)
        else:
            route.fulfill(status=status, headers={"Content-Type": answers.JSON}, body=json.dumps(body))

    def _found(self, call: str, exact: str, query: Query) -> tuple[int, Any]:
        refused = next((self._refused[each] for each in (EVERYTHING, exact, call) if each in self._refused), None)
        if refused is not None:
            status, message = refused
            method, path = call.split(" ")
            body = answers.example(method, path, status)
            return status, {"error": {**body["error"], "message": message}}
        found = self._answers.get(exact) or self._answers[call]
        return found.status, found.body(query) if callable(found.body) else found.body


def _names(request: Request) -> tuple[str, str]:
    """What a call is by the document, and with its ids."""
    path = urlsplit(request.url).path
    return f"{request.method} {answers.template(path)}", f"{request.method} {path}"

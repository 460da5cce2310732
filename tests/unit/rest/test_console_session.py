"""Signing in to the console: the token is in cookies, which are accepted from the console's own pages alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from dynamiq_operator import __version__
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.rest.console.options import OidcOptions
from dynamiq_operator.rest.http import sessions
from dynamiq_operator.rest.http.console_address import ConsoleAddress
from tests.support.console import HOST, OWN, SESSION, URL, WRITES, a_console, a_jwt, cookie, kept
from tests.support.rest_stage import ANNA, TOKEN, Answered, RestStage, of_user
from tests.support.scripted import Reply, failure

COOKIE = cookie({"__Host-dynamiq-0": f"1.{TOKEN}"})
SIBLING = "https://chat.example.com"


@pytest.fixture
def stage() -> Iterator[RestStage]:
    with RestStage(console=a_console()) as made:
        yield made


def ask(stage: RestStage, method: str, path: str, headers: dict[str, str], body: Any = None) -> Answered:
    """Sends a request as a browser does, without the header Authorization."""
    return stage.call(method, path, body, token=None, headers=headers)


def signed_in(stage: RestStage, token: str) -> Answered:
    stage.script.on("POST", sessions.REVIEWS, of_user(ANNA))
    return ask(stage, "POST", SESSION, WRITES, {"token": token})


# The signed-in user.


def test_a_sign_in_lasts_as_long_as_its_token(stage: RestStage) -> None:
    ends = int(time.time()) + 600
    answered = signed_in(stage, a_jwt(exp=ends))
    assert answered.status == 201
    assert answered.data["user"]["username"] == ANNA
    first = answered.cookies[0]
    name, *attributes = first.split("; ")
    assert name.startswith("__Host-dynamiq-0=")
    age = next(int(each.removeprefix("Max-Age=")) for each in attributes if each.startswith("Max-Age="))
    assert 590 <= age <= 600
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} <= set(attributes)
    assert not [each for each in attributes if each.startswith("Domain")]
    session = ask(stage, "GET", SESSION, {**OWN, **cookie(kept(answered.cookies))}).data
    assert session == answered.data
    assert datetime.fromisoformat(session["expires_at"]).timestamp() == ends


def test_a_token_without_an_expiry_lasts_as_long_as_the_browser(stage: RestStage) -> None:
    answered = ask(stage, "POST", SESSION, WRITES, {"token": f"  {TOKEN}\n"})
    assert answered.data["expires_at"] is None
    assert "Max-Age" not in answered.cookies[0]
    assert kept(answered.cookies) == {"__Host-dynamiq-0": f"1.{TOKEN}"}


def test_without_a_cookie_there_is_no_session(stage: RestStage) -> None:
    session = ask(stage, "GET", SESSION, OWN).data
    assert session == {"user": None, "expires_at": None, "sign_in": {"token": True, "oidc": None}, "version": __version__}


def test_a_session_has_the_name_of_the_provider() -> None:
    with RestStage(console=a_console(oidc=OidcOptions("https://dex.example.com", "console", "Dex"))) as stage:
        assert ask(stage, "GET", SESSION, OWN).data["sign_in"] == {"token": True, "oidc": {"name": "Dex"}}


def test_a_token_that_is_not_good_any_more_is_removed(stage: RestStage) -> None:
    answered = ask(stage, "GET", SESSION, {**OWN, **cookie({"__Host-dynamiq-0": "1.expired"})})
    assert answered.data["user"] is None
    assert kept([*COOKIE, *answered.cookies]).keys() & {"__Host-dynamiq-0"} == set()
    assert all("Max-Age=0" in each for each in answered.cookies)


def test_an_unavailable_api_server_ends_no_session(stage: RestStage) -> None:
    stage.script.on("POST", sessions.REVIEWS, Reply(503, b"away"))
    answered = ask(stage, "GET", SESSION, {**OWN, **COOKIE})
    answered.error(503)
    assert answered.cookies == []


def test_a_token_that_the_api_server_refuses_sets_no_cookie(stage: RestStage) -> None:
    answered = ask(stage, "POST", SESSION, WRITES, {"token": "nobody"})
    answered.error(401)
    assert answered.cookies == []


@pytest.mark.parametrize("token", ["", " ", "a b", "a;b", 'a"b', "ä", 7, "a" * (16 * 1024 + 1)])
def test_an_invalid_token_is_refused_without_a_review(stage: RestStage, token: object) -> None:
    assert ask(stage, "POST", SESSION, WRITES, {"token": token}).status in (413, 422)
    assert stage.script.bodies("POST", sessions.REVIEWS) == []


def test_signing_out_removes_every_piece(stage: RestStage) -> None:
    pieces = kept(signed_in(stage, a_jwt(9000)).cookies)
    answered = ask(stage, "DELETE", SESSION, {**WRITES, **cookie(pieces)})
    assert (answered.status, answered.content) == (204, b"")
    removed = {each.partition("=")[0] for each in answered.cookies if "Max-Age=0" in each}
    assert pieces.keys() <= removed


# Pieces.


@pytest.mark.parametrize("length", [100, 3498, 3499, 9000, 16 * 1024])
def test_a_long_token_comes_in_pieces_that_a_browser_takes(stage: RestStage, length: int) -> None:
    token = a_jwt(length)
    answered = signed_in(stage, token)
    assert all(len(each) < 4096 for each in answered.cookies)
    assert all(len(value) <= 3500 for value in kept(answered.cookies).values())
    stage.script.sent.clear()
    ask(stage, "GET", "/v1/apps", {**OWN, **cookie(kept(answered.cookies))})
    assert {sent.headers["Authorization"] for sent in stage.script.sent} == {f"Bearer {token}"}


def test_pieces_of_a_longer_token_before_it_are_removed(stage: RestStage) -> None:
    before = signed_in(stage, a_jwt(9000)).cookies
    after = ask(stage, "POST", SESSION, WRITES, {"token": TOKEN}).cookies
    assert list(kept([*before, *after])) == ["__Host-dynamiq-0"]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_session_with_a_missing_piece_is_invalid(stage: RestStage, missing: int) -> None:
    pieces = kept(signed_in(stage, a_jwt(9000)).cookies)
    del pieces[f"__Host-dynamiq-{missing}"]
    assert ask(stage, "GET", SESSION, {**OWN, **cookie(pieces)}).data["user"] is None
    assert "sign in again" in ask(stage, "GET", "/v1/apps", {**OWN, **cookie(pieces)}).error(401)["message"]


@pytest.mark.parametrize(
    "given",
    [
        f"__Host-dynamiq-0=1.{TOKEN}; __Host-dynamiq-0=1.other",
        f"__Host-dynamiq-0=1.other; __Host-dynamiq-0=1.{TOKEN}",
        f"\xa0__Host-dynamiq-0=1.{TOKEN}",
        f"\x85__Host-dynamiq-0=1.{TOKEN}",
        f"__host-dynamiq-0=1.{TOKEN}",
        f"$Version=1; dynamiq-0=1.{TOKEN}",
        f"__Host-dynamiq-0={TOKEN}",
        f"__Host-dynamiq-0=0.{TOKEN}",
        f'__Host-dynamiq-0="1.{TOKEN}"',
        f"__Host-dynamiq-0=2.{TOKEN}; __Host-dynamiq-1=",
    ],
)
def test_a_cookie_that_somebody_else_may_have_set_is_none(stage: RestStage, given: str) -> None:
    ask(stage, "GET", "/v1/apps", {**OWN, "Cookie": given}).error(401)


# Origins of requests.


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


READS: list[tuple[str, dict[str, str], int]] = [
    ("a page of the console", OWN, 200),
    ("an older browser, which names the origin alone", {"Host": HOST, "Origin": URL}, 200),
    ("with the port that the scheme has anyway", {**OWN, "Host": f"{HOST}:443"}, 200),
    ("in capitals", {**OWN, "Host": HOST.upper()}, 200),
    ("a program, or a browser that says nothing", {"Host": HOST}, 403),
    ("a page of an App, with fetch", {**OWN, "Sec-Fetch-Site": "same-site", "Origin": SIBLING}, 403),
    ("a page of an App, with EventSource", {**OWN, "Sec-Fetch-Site": "same-site", "Accept": "text/event-stream"}, 403),
    ("a link in an App", {**OWN, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, 403),
    ("another site", {**OWN, "Sec-Fetch-Site": "cross-site"}, 403),
    ("who types the address", {**OWN, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 403),
    ("a page of an App whose browser names the origin alone", {"Host": HOST, "Origin": SIBLING}, 403),
    ("no origin", {"Host": HOST, "Origin": "null"}, 403),
    ("the same host by plain HTTP", {"Host": HOST, "Origin": f"http://{HOST}"}, 403),
    ("another port", {"Host": HOST, "Origin": f"{URL}:8443"}, 403),
    ("one that only begins so", {"Host": HOST, "Origin": f"{URL}.evil.test"}, 403),
    ("two things at once", {**OWN, "Origin": SIBLING}, 403),
    ("another name of this API", {**OWN, "Host": "api.example.com"}, 403),
    ("another port of the host", {**OWN, "Host": f"{HOST}:8443"}, 403),
    ("a name that a proxy tells", {**OWN, "Host": "other.test", "X-Forwarded-Host": HOST}, 403),
    ("this machine", {**OWN, "Host": "localhost:8080"}, 403),
]


@pytest.mark.parametrize(("who", "headers", "status"), READS, ids=[who for who, _, _ in READS])
def test_only_the_console_itself_reads_with_a_cookie(stage: RestStage, who: str, headers: dict[str, str], status: int) -> None:
    answered = ask(stage, "GET", "/v1/apps", {**headers, **COOKIE})
    assert answered.status == status, who
    if status == 403:
        assert "Bearer" in answered.error(403)["message"]
        assert stage.script.sent == [], "nothing was asked with that token"


WROTE: list[tuple[str, dict[str, str], int]] = [
    ("a page of the console", WRITES, 201),
    ("an older browser", without(WRITES, "Sec-Fetch-Site"), 201),
    ("a browser that names no origin where it is the same", without(WRITES, "Origin"), 201),
    ("a form of the console's own host", without(WRITES, "X-Dynamiq-Console"), 403),
    ("another value of the header", {**WRITES, "X-Dynamiq-Console": "true"}, 403),
    ("a page of an App", {**WRITES, "Sec-Fetch-Site": "same-site", "Origin": SIBLING}, 403),
    ("a form of an App", {**without(WRITES, "X-Dynamiq-Console"), "Sec-Fetch-Site": "same-site", "Origin": SIBLING}, 403),
    ("an App in an older browser", {**without(WRITES, "Sec-Fetch-Site"), "Origin": SIBLING}, 403),
    ("another site", {**WRITES, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"}, 403),
    ("a program", {"Host": HOST, "X-Dynamiq-Console": "1"}, 403),
    ("another host", {**WRITES, "Host": "api.example.com"}, 403),
    ("text in place of JSON", {**WRITES, "Content-Type": "text/plain"}, 415),
    ("a form", {**WRITES, "Content-Type": "application/x-www-form-urlencoded"}, 415),
]


@pytest.mark.parametrize(("who", "headers", "status"), WROTE, ids=[who for who, _, _ in WROTE])
def test_only_the_console_itself_writes_with_a_cookie(stage: RestStage, who: str, headers: dict[str, str], status: int) -> None:
    answered = ask(stage, "POST", SESSION, headers, {"token": TOKEN})
    assert answered.status == status, who
    assert bool(answered.cookies) == (status == 201), "nobody is signed in as somebody else"
    assert bool(stage.script.sent) == (status == 201)
    path = f"/v1/apps/{stage.uid(APPS, 'chat')}/deploy/preview"
    assert ask(stage, "POST", path, {**headers, **COOKIE}, {}).status == {201: 422}.get(status, status)
    assert ask(stage, "DELETE", SESSION, {**headers, **COOKIE}).status == {201: 204, 415: 204}.get(status, status)


def test_with_a_header_authorization_cookies_mean_nothing(stage: RestStage) -> None:
    hostile = {"Host": "api.example.com", "Sec-Fetch-Site": "cross-site", **cookie({"__Host-dynamiq-0": "1.other"})}
    assert stage.call("GET", "/v1/apps", headers=hostile).status == 200
    stage.call("GET", "/v1/apps", token="expired", headers={**OWN, **COOKIE}).error(401)
    stage.call("GET", "/v1/apps", token=None, headers={**OWN, **COOKIE, "Authorization": "Basic YTpi"}).error(401)
    assert stage.call("GET", SESSION, headers={**OWN, **COOKIE}).data["user"] is None


def test_other_cookies_are_no_sign_in(stage: RestStage) -> None:
    assert "Bearer" in ask(stage, "GET", "/v1/apps", {**OWN, **cookie({"theme": "dark"})}).error(401)["message"]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8080", 200), ("127.0.0.1:1", 200), ("[::1]:8080", 200), ("localhost", 200)]
    + [
        (host, 403)
        for host in ("console.example.com", "localhost.evil.test", "127.0.0.1.evil.test", "a.localhost", "0.0.0.0", "localhost:x")
    ],
)
def test_without_an_address_the_console_is_for_this_machine(host: str, status: int) -> None:
    with RestStage(console=a_console(None)) as stage:
        assert ask(stage, "GET", "/v1/apps", {"Host": host, "Sec-Fetch-Site": "same-origin", **COOKIE}).status == status
        assert ask(stage, "GET", "/v1/apps", {"Host": host, "Origin": f"http://{host}", **COOKIE}).status == status
        ask(stage, "GET", "/v1/apps", {"Host": host, "Origin": f"https://{host}", **COOKIE}).error(403)
        if status == 403:
            assert "--console-url" in ask(stage, "POST", SESSION, {**WRITES, "Host": host}, {"token": TOKEN}).error(403)["message"]


def test_cookies_are_ignored_if_the_console_is_off() -> None:
    with RestStage(console=a_console(is_on=False)) as stage:
        ask(stage, "GET", "/v1/apps", {**OWN, **COOKIE}).error(401)
        for method, path in (("GET", "/console/"), ("GET", SESSION), ("POST", SESSION), ("DELETE", SESSION)):
            assert "--console" in ask(stage, method, path, WRITES).error(404)["message"]


def test_no_cookie_is_in_the_log_or_sent_on(stage: RestStage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ask(stage, "POST", SESSION, WRITES, {"token": TOKEN})
    ask(stage, "GET", "/v1/apps", {**OWN, **COOKIE})
    ask(stage, "GET", "/v1/apps", {"Host": HOST, **COOKIE})
    stage.script.on("GET", APPS.path("demo", "chat"), {"metadata": {}, "spec": "broken"})
    ask(stage, "GET", f"/v1/apps/{stage.uid(APPS, 'chat')}", {**OWN, **COOKIE}).error(500)
    log = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert log
    assert TOKEN not in log
    assert not [sent for sent in stage.script.sent if "Cookie" in sent.headers]


def test_a_sign_in_does_not_wait_until_everything_was_listed() -> None:
    with RestStage(is_ready=False, console=a_console()) as stage:
        assert ask(stage, "GET", SESSION, {**OWN, **COOKIE}).data["user"]["username"] == ANNA
        ask(stage, "GET", "/v1/apps", {**OWN, **COOKIE}).error(503)


def test_a_sign_in_without_the_right_to_a_token_review_is_forbidden(stage: RestStage) -> None:
    stage.script.on("POST", sessions.REVIEWS, failure(403, "Forbidden", "no reviews for you"))
    assert "no reviews for you" in ask(stage, "POST", SESSION, WRITES, {"token": TOKEN}).error(403)["message"]
    assert ask(stage, "GET", SESSION, {**OWN, **COOKIE}).data["user"] is None


# Its address.


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://console.example.com", "https://console.example.com"),
        ("https://Console.Example.com:443/", "https://console.example.com"),
        ("https://console.example.com:8443", "https://console.example.com:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address(text: str, origin: str) -> None:
    assert ConsoleAddress.parse(text).origin == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "console.example.com",
        "//console.example.com",
        "http://console.example.com",
        "http://localhost.evil.test",
        "ftp://localhost",
        "https://",
        "https://a@b.test",
        "https://a.test/console",
        "https://a.test?x",
        "https://a.test#x",
        "https://a.test:0",
        "https://a.test:99999",
        "https://a.test\\@b.test",
        "https://a .test",
        "https://a.test\n",
        "https://[::1",
        "https://ä.test",
    ],
)
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)console's URL|plain HTTP"):
        ConsoleAddress.parse(text)

"""Pages of Apps, on sibling subdomains, and of other sites can do nothing with a console that is open beside them."""

from __future__ import annotations

import base64
import itertools
import json
from collections import Counter
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import PageAs
from tests.console.support.strangers import stranger
from tests.support import factories, rest
from tests.support.browser import names
from tests.support.browser.pages import ORIGIN, Windows, sign_in
from tests.support.browser.served import Served, User
from tests.support.history_stage import HistoryStage
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("pages_of_strangers")

SERVER = {"type": "server"}
STRANGERS = (names.APP, names.ELSEWHERE)
STATUS = {names.APP: 403, names.ELSEWHERE: 401}
"""Statuses of refused requests. Those of a sibling carry the cookies and are refused anyway; those of another site have none."""

SEND = """async ([origin, app, body]) => {
  const deploy = `${origin}/v1/apps/${app}/deploy`;
  const tried = [];
  const attempt = async (what, doing) => {
    try { const answer = await doing(); tried.push([what, answer.type, answer.status, answer.type === "opaque" ? "" : await answer.text()]); }
    catch (refused) { tried.push([what, "refused", 0, ""]); }
  };
  const all = {credentials: "include"};
  await attempt("read", () => fetch(`${origin}/v1/apps`, {...all, mode: "no-cors"}));
  await attempt("read it", () => fetch(`${origin}/v1/apps`, {...all}));
  await attempt("session", () => fetch(`${origin}/console/session`, {...all}));
  await attempt("text", () => fetch(deploy, {...all, mode: "no-cors", method: "POST", body}));
  await attempt("json", () => fetch(deploy, {...all, method: "POST", body, headers: {"Content-Type": "application/json"}}));
  await attempt("own", () => fetch(deploy, {...all, method: "POST", body, headers: {"Content-Type": "application/json", "X-Dynamiq-Console": "1"}}));
  await attempt("form", () => fetch(deploy, {...all, mode: "no-cors", method: "POST", body: new URLSearchParams({body})}));
  await attempt("delete", () => fetch(`${origin}/v1/apps/${app}`, {...all, method: "DELETE"}));
  await attempt("out", () => fetch(`${origin}/console/session`, {...all, method: "DELETE"}));
  navigator.sendBeacon(deploy, body);
  navigator.sendBeacon(deploy, new Blob([body], {type: "text/plain"}));
  return tried;
}"""

LOAD = """async ([origin, app]) => {
  const ended = [];
  for (const [tag, attribute] of [["img", "src"], ["script", "src"], ["link", "href"], ["iframe", "src"], ["object", "data"], ["audio", "src"]]) {
    const made = document.createElement(tag);
    if (tag === "link") made.rel = "stylesheet";
    made[attribute] = `${origin}/v1/apps/${app}?by=${tag}`;
    ended.push(new Promise((done) => { made.onload = made.onerror = done; setTimeout(done, 3000); }));
    document.body.append(made);
  }
  const opened = (made) => new Promise((done) => {
    made.onopen = made.onmessage = () => done("opened");
    made.onerror = () => done("refused");
    setTimeout(() => done("silent"), 60000);
  });
  const streams = await Promise.all([
    opened(new EventSource(`${origin}/v1/apps/${app}/watch`, {withCredentials: true})),
    opened(new WebSocket(`${origin.replace("https", "wss")}/v1/apps/${app}/watch`)),
  ]);
  await Promise.all(ended);
  return streams;
}"""

SUBMIT = """([action, name, value, type]) => {
  const form = document.createElement("form");
  form.method = "POST"; form.action = action; form.enctype = type;
  const field = document.createElement("input");
  field.name = name; field.value = value;
  form.append(field); document.body.append(form); form.submit();
}"""


@pytest.fixture(scope="module")
def app(stage: HistoryStage) -> str:
    """Makes a serving App, and returns its id."""
    stage.create(factories.workflow_manifest(factories.in_namespace(stage.namespace), name="chat"))
    stage.app("target", factories.public(), workflow="chat")
    stage.live("target", "v1", runtime=stage.default_runtime, config=SERVER)
    return rest.uid(stage.api, "App", "target", stage.namespace)


@pytest.fixture
def victim(page_as: PageAs, stage: HistoryStage, app: str) -> Iterator[Page]:
    """Yields an administrator's console, and asserts afterwards that the App is unchanged and the administrator still signed in."""
    before = [row["metadata"]["name"] for row in stage.rows("target")]
    page = page_as("admin").page
    yield page
    assert [row["metadata"]["name"] for row in stage.rows("target")] == before
    assert stage.find("App", "target") is not None
    page.reload()
    expect(page.get_by_role("button", name="Account")).to_be_visible()


def body(stage: HistoryStage) -> str:
    ids = {
        "workflow_id": rest.uid(stage.api, "Workflow", "chat", stage.namespace),
        "workflow_version_id": rest.uid(stage.api, "WorkflowVersion", "chat-v2", stage.namespace),
    }
    return json.dumps(ids)


OWN = """async ([origin, app, body]) => (await fetch(`${origin}/v1/apps/${app}/deploy`, {
  method: "POST", body, headers: {"Content-Type": "application/json", "X-Dynamiq-Console": "1"},
})).status"""


@pytest.mark.usefixtures("app")
def test_the_request_of_the_attacks_deploys_if_the_console_itself_sends_it(page_as: PageAs, stage: HistoryStage) -> None:
    """Without this test the refusals below would prove nothing."""
    stage.app("control", factories.public(), workflow="chat")
    stage.until_told(stage.live("control", "v1", runtime=stage.default_runtime, config=SERVER), "control")  # its config is kept
    control = rest.uid(stage.api, "App", "control", stage.namespace)
    assert page_as("admin").page.evaluate(OWN, [ORIGIN, control, body(stage)]) == 201
    assert len(stage.rows("control")) == 2


class Refused:
    """The requests that the API has refused from now on without checking the caller: counts by method and status."""

    def __init__(self, console: Served) -> None:
        self._console, self._before = console, len(console.answered())

    def __call__(self) -> Counter[tuple[str, int]]:
        found = self._console.answered()[self._before :]
        return Counter(
            (each.method, each.status)
            for each in found
            if not each.caller and each.route in ("-", "/console/session") and each.status >= 400
        )

    def until(self, refusal: tuple[str, int], least: int) -> None:
        eventually(f"{refusal} is there {least} times", lambda: self()[refusal] >= least)


def test_requests_of_a_stranger_are_refused_though_the_cookies_may_come_along(
    victim: Page, stage: HistoryStage, app: str, console: Served
) -> None:
    for host in STRANGERS:
        page, refused, status = stranger(victim, host), Refused(console), STATUS[host]
        answers = page.evaluate(SEND, [ORIGIN, app, body(stage)])
        assert {(kind, text) for _, kind, _, text in answers} == {("opaque", ""), ("refused", "")}
        for method, least in (("GET", 2), ("POST", 4)):
            refused.until((method, status), least)
        assert {method for method, _ in refused()} == {"GET", "POST", "OPTIONS"}


def test_nothing_that_a_stranger_loads_opens_or_listens_to_is_answered(victim: Page, app: str, console: Served) -> None:
    for host in STRANGERS:
        page, refused = stranger(victim, host), Refused(console)
        assert page.evaluate(LOAD, [ORIGIN, app]) == ["refused", "refused"]
        refused.until(("GET", STATUS[host]), 6)


def test_a_form_of_a_stranger_deploys_nothing(victim: Page, stage: HistoryStage, app: str) -> None:
    opening, _, rest_of_it = body(stage).partition(":")
    for host in STRANGERS:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            page = stranger(victim, host)
            with page.expect_navigation() as going:
                page.evaluate(SUBMIT, [f"{ORIGIN}/v1/apps/{app}/deploy", f'{opening}: "x", "a', f'": {rest_of_it}', kind])
            assert going.value is not None
            assert going.value.status in (401, 403), kind


def test_another_site_cannot_start_a_session_of_another_user(console: Served, windows: Windows, users: dict[str, User]) -> None:
    window = windows.open()
    window.goto("/console/sign-in")
    for host in STRANGERS:
        page = stranger(window.page, host)
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            with page.expect_navigation() as going:
                page.evaluate(SUBMIT, [f"{ORIGIN}/console/session", '{"token": "' + users["deployer"].token + '", "a', '": ""}', kind])
            assert going.value is not None
            assert going.value.status == 403
            page.goto(f"https://{host}/")
        assert window.context.cookies(ORIGIN) == []


def subject(user: User) -> str:
    middle = user.token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return str(claims["sub"])


FRAME = """([tag, url]) => {
  const made = document.createElement(tag);
  made[tag === "object" ? "data" : "src"] = url;
  document.body.append(made);
}"""

TOSS = """([token]) => {
  for (const name of ["__Host-dynamiq-0", "__host-dynamiq-0", "\\u2000__Host-dynamiq-0", "\\u00a0__Host-dynamiq-0", "\\ufeff__Host-dynamiq-0", "=__Host-dynamiq-0", "dynamiq-0", "__Secure-dynamiq-0", "__Host-oidc"]) {
    for (const more of ["", "; Domain=example.org", "; Domain=example.org; Path=/console/", "; Domain=console.example.org"]) {
      document.cookie = `${name}=1.${token}; Secure${more.includes("Path") ? "" : "; Path=/"}${more}`;
    }
  }
  return document.cookie;  // Chromium waits for no write of it, and a read waits for all before it
}"""


def test_cookies_that_an_app_sets_for_its_siblings_are_nobodys_session(
    console: Served, windows: Windows, users: dict[str, User], page_as: PageAs
) -> None:
    fresh, signed_in = windows.open(), page_as("viewer")
    for window in (fresh, signed_in):
        assert "__Secure-dynamiq-0" in stranger(window.page, names.APP).evaluate(TOSS, [users["admin"].token])
        assert any(each["domain"] == ".example.org" for each in window.context.cookies(ORIGIN)), "some of them come along"
    fresh.goto("/console/")
    expect(fresh.page.get_by_label("Token")).to_be_visible()
    signed_in.page.reload()
    expect(signed_in.page.get_by_role("button", name="Account")).to_have_accessible_name(f"Account: {subject(users['viewer'])}")


def test_signing_in_replaces_what_was_there(console: Served, windows: Windows, users: dict[str, User]) -> None:
    """A session that an attacker planted is not the session that the reader continues with."""
    window = windows.open()
    window.goto("/console/sign-in")
    sign_in(window, users["deployer"].token)
    window.page.get_by_role("button", name="Account").click()
    window.page.get_by_role("button", name="Sign out").click()
    expect(window.page.get_by_label("Token")).to_be_visible()
    sign_in(window, users["viewer"].token)
    expect(window.page.get_by_role("button", name="Account")).to_have_accessible_name(f"Account: {subject(users['viewer'])}")
    tokens = [each["value"] for each in window.context.cookies(ORIGIN)]
    assert tokens == [f"1.{users['viewer'].token}"]


def test_no_page_of_the_console_is_framed(victim: Page, app: str) -> None:
    for host in STRANGERS:
        page = stranger(victim, host)
        for tag, path in itertools.product(("iframe", "object", "embed"), ("/console/", f"/console/apps/{app}")):
            with page.expect_event("requestfailed") as failed:
                page.evaluate(FRAME, [tag, f"{ORIGIN}{path}"])
            assert (failed.value.url, failed.value.failure) == (f"{ORIGIN}{path}", "net::ERR_BLOCKED_BY_RESPONSE")


def test_a_window_that_a_stranger_opens_has_nothing_of_the_console(victim: Page) -> None:
    for host in STRANGERS:
        page = stranger(victim, host)
        with page.expect_popup() as opened:
            page.evaluate("(url) => { window.it = window.open(url, 'it'); }", f"{ORIGIN}/console/")
        expect(opened.value.locator("body")).not_to_be_empty()
        assert page.evaluate(
            "(async () => { for (let n = 0; n < 600 && !window.it.closed; n++) await new Promise((done) => setTimeout(done, 100)); return window.it.closed; })()"
        )
        assert opened.value.evaluate("window.opener") is None

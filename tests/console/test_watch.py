"""The page shows changes in the cluster as they happen. The tabs of a browser share a stream, and polls replace a missing stream."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from dynamiq_operator.model import kinds
from tests.console.conftest import PageAs
from tests.support import rest
from tests.support.browser.pages import ORIGIN, Window, until_streaming
from tests.support.history_stage import APP, HistoryStage, counted
from tests.support.waiting import eventually

STREAMS_OF_A_BROWSER, TABS = 3, 20
NewApp = Callable[[], str]


@pytest.fixture
def new_app(stage: HistoryStage) -> NewApp:
    """Returns a function that makes an App without deployments, and returns its name."""

    def made() -> str:
        name = f"a-{uuid.uuid4().hex[:8]}"
        stage.app(name, workflow=APP)
        return name

    return made


def address(stage: HistoryStage, app: str) -> str:
    return f"/console/apps/{stage.get(kinds.APP.kind, app)['metadata']['uid']}"


def renamed(stage: HistoryStage, app: str) -> str:
    """Changes the App's display name, and returns it."""
    name = f"Renamed {uuid.uuid4().hex[:6]}"
    stage.change(kinds.APP.kind, app, spec={"displayName": name})
    return name


def shows(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def times_requested(window: Window, path: str) -> int:
    """Returns how often a path was requested."""
    return sum(request.url.endswith(path) for request in window.asked())


def watches(*windows: Window) -> int:
    """Returns how many streams these windows have requested."""
    return sum(times_requested(window, "/watch") for window in windows)


HELD = "navigator.locks.query().then(({ held }) => held.filter(({ name }) => name.startsWith('dynamiq-stream-')).length)"


def held(window: Window) -> int:
    """Returns how many streams all windows of the browser hold. A stream that is silent for too long may be requested twice."""
    return int(window.page.evaluate(HELD))


def reads(window: Window) -> int:
    """Returns how often the App itself was requested."""
    return times_requested(window, window.page.url.replace(f"{ORIGIN}/console", "/v1"))


def test_a_deploy_made_elsewhere_is_on_the_page_without_asking_for_the_app(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app()
    stage.live(app, "v1", runtime=stage.default_runtime)
    window = page_as("viewer", address(stage, app))
    page = window.page
    expect(page.get_by_role("heading", name="Live: v1")).to_be_visible()
    until_streaming(window)
    before, streams = reads(window), watches(window)
    stage.live(app, "v2", runtime=stage.default_runtime)
    expect(page.get_by_role("heading", name="Live: v2")).to_be_visible()
    assert reads(window) - before <= 2 * (watches(window) - streams), "but for a stream that ended, and for the one after it"


def test_a_rollout_is_followed_from_its_begin_to_its_end(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app()
    stage.live(app, "v1", runtime=stage.default_runtime)
    page = page_as("deployer", address(stage, app)).page
    stuck = {"requests": {"cpu": "90000", "memory": "64Mi"}}
    row = stage.deploy(app, "v2", runtime=stage.default_runtime, config={"type": "server", "resources": stuck})
    page.get_by_role("link", name="Follow the rollout").click()
    now = page.locator("[aria-current=step]")
    expect(now).to_contain_text("Progressing")
    expect(now).to_contain_text("0/1 ready")
    pods = page.get_by_role("region", name="Pods")
    expect(pods.get_by_text("Unschedulable")).to_be_visible()
    expect(pods.get_by_text("Insufficient cpu").first).to_be_visible()
    stage.live(app, "v3", runtime=stage.default_runtime)
    expect(page.get_by_text(f"--row {row}")).to_be_visible()
    expect(page.get_by_role("region", name="Rollout of v2")).to_contain_text("v3 serves now")


def test_tabs_of_one_app_share_a_stream_and_another_takes_it_over(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    app = new_app()
    first = page_as("viewer", address(stage, app))
    others = [first.another() for _ in range(4)]
    for each in others:
        each.goto(address(stage, app))
    until_streaming(first)
    name = renamed(stage, app)
    for window in (first, *others):
        shows(window.page, name)
    eventually("one tab holds the stream", lambda: held(first) == 1)
    first.page.close()
    eventually("another tab holds the stream", lambda: held(others[0]) == 1)
    name = renamed(stage, app)
    for window in others:
        shows(window.page, name)
    eventually("it still does", lambda: held(others[0]) == 1)


@pytest.mark.long(
    "seven windows on seven Apps; the places of streams: operator/console/src/state/stream.test.ts, and tabs that share one: this file"
)
@pytest.mark.full_count
def test_tabs_of_many_apps_leave_connections_for_calls(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    apps = [new_app() for _ in range(max(counted(TABS), STREAMS_OF_A_BROWSER + 4))]
    first = page_as("viewer", address(stage, apps[0]))
    windows = [first]
    for app in apps[1:]:
        windows.append(first.another())
        windows[-1].goto(address(stage, app))
    eventually("all places are taken", lambda: held(first) == STREAMS_OF_A_BROWSER)
    for window, app in zip(windows, apps, strict=True):
        shows(window.page, renamed(stage, app))
        window.page.get_by_role("link", name="Configuration").click()
        expect(window.page.get_by_role("button", name="Delete App")).to_be_visible()


def never_answered(route: Route) -> None:
    """Leaves a request unanswered, as a buffering proxy would."""


def refused(route: Route) -> None:
    route.fulfill(status=502, body="")


@pytest.mark.parametrize("answer", [refused, never_answered])
def test_a_page_without_a_stream_polls(stage: HistoryStage, new_app: NewApp, page_as: PageAs, answer: Callable[[Route], None]) -> None:
    app = new_app()
    window = page_as("viewer", None)
    window.page.route("**/watch", answer)
    window.goto(address(stage, app))
    for _ in range(2):
        shows(window.page, renamed(stage, app))
    eventually("a stream was tried again", lambda: watches(window) >= 2)
    shows(window.page, renamed(stage, app))


def test_the_list_of_a_project_shows_what_comes_and_goes(stage: HistoryStage, new_app: NewApp, page_as: PageAs) -> None:
    project = rest.uid(stage.api, "Namespace", stage.namespace)
    window = page_as("viewer", f"/console/?project={project}")
    eventually("a stream is on", lambda: watches(window))
    app = new_app()
    row = window.page.get_by_role("row").filter(has=window.page.get_by_role("link", name=app))
    expect(row).to_contain_text("Not deployed")
    stage.live(app, "v1", runtime=stage.default_runtime)
    expect(row).to_contain_text("Live")
    expect(row).to_contain_text("v1")
    stage.delete(kinds.APP.kind, app)
    expect(row).to_have_count(0)

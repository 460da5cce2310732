"""Fixtures of this folder: a control plane with simulated pods, an operator, the API with the console, and Chromium with windows of users."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, StorageState, StorageStateCookie, expect

from dynamiq_operator.model import names as model
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local import console_build, steps
from local.clusters import Cluster
from tests.console.support import strangers
from tests.support import history_stage, rest, shared_cluster
from tests.support.api import Api, fresh_namespace
from tests.support.browser import chromium, names, served
from tests.support.browser.chromium import Places
from tests.support.browser.pages import WAITS, Window, Windows, pairs, sign_in
from tests.support.browser.served import Served, User
from tests.support.cluster import REPOSITORY
from tests.support.history_stage import HistoryStage
from tests.support.measured import Figures
from tests.support.operator import OPERATOR_ACCOUNT, Operator, logged_in

PICTURES = REPOSITORY / "build" / "tests" / "console"
FAILED = pytest.StashKey[bool]()
PageAs = Callable[..., Window]

expect.set_options(timeout=WAITS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Stores for the fixtures of a test whether it failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Yields a cluster with the admission policies, which all workers of a run share."""
    with shared_cluster.guarded("control-plane", pytestconfig) as started:
        yield started


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("console")


@pytest.fixture(scope="session")
def places(folder: Path) -> Places:
    return Places.made(folder)


@pytest.fixture(scope="session")
def stage(cluster: Cluster, folder: Path) -> Iterator[HistoryStage]:
    """Yields the staging of a project: a Runtime, releases v1 to v4, an operator under its own account, and a production beside it."""
    account = logged_in(cluster, folder, OPERATOR_NAMESPACE)
    with (
        history_stage.stage(cluster, "console") as made,
        fresh_namespace(Api.of(cluster), "console-production") as production,
    ):
        for name, environment in ((made.namespace, "staging"), (production, "production")):
            labels = {model.PROJECT_LABEL: made.namespace, model.ENVIRONMENT_LABEL: environment}
            labelled = made.api.merge(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, {"metadata": {"labels": labels}}
            )
            assert labelled.ok, labelled.message
        rest.bind(made.api, made.namespace, OPERATOR_ACCOUNT, "edit", OPERATOR_NAMESPACE)  # its lease is here: each worker has an operator
        with Operator(account, folder, [made.namespace, production], home=made.namespace):
            yield made


@pytest.fixture(scope="session")
def login(cluster: Cluster, stage: HistoryStage, folder: Path) -> Path:
    """Returns a kubeconfig of the API's own account."""
    return rest.install(cluster, folder)


@pytest.fixture(scope="session")
def console(login: Path, folder: Path, places: Places) -> Iterator[Served]:
    """Serves the API with the console of this checkout."""
    console_build.install()
    with served.serving(login, folder, places) as made:
        yield made


@pytest.fixture(scope="session")
def users(cluster: Cluster, stage: HistoryStage) -> dict[str, User]:
    """Returns users of the stage's namespace: admin, deployer and viewer."""
    return served.users(cluster, stage.namespace)


@pytest.fixture(scope="session")
def browser(places: Places) -> Iterator[Browser]:
    steps.run(chromium.missing())
    with chromium.launched(*places.flags) as launched:
        yield launched


@pytest.fixture(scope="session")
def pages_of_strangers(places: Places) -> Iterator[None]:
    """Serves pages of an App on a sibling subdomain of the console, and pages of another site."""
    with strangers.served(places, names.APP, names.ELSEWHERE):
        yield


@pytest.fixture(scope="session")
def resting(browser: Browser) -> dict[str, Window]:
    """Returns the idle windows, by user and options, for the next tests."""
    # Opening a window costs as much processor time as loading two pages.
    return {}


@pytest.fixture
def windows(browser: Browser, resting: dict[str, Window], request: pytest.FixtureRequest) -> Iterator[Windows]:
    """Yields a function that opens windows, each a browser of its own. If the test fails, build/tests/console gets their pictures."""
    made = Windows(browser)
    yield made
    if request.node.stash.get(FAILED, False):
        made.picture(PICTURES / re.sub(r"\W+", "-", request.node.name))
    made.close(resting.values())


@pytest.fixture(scope="session")
def figures() -> Figures:
    return Figures("console")


@pytest.fixture(scope="session")
def profiles() -> dict[str, StorageState]:
    """Returns the browser storage of each user who has signed in once."""
    return {}


@pytest.fixture
def page_as(
    console: Served,
    users: dict[str, User],
    windows: Windows,
    profiles: dict[str, StorageState],
    resting: dict[str, Window],
    request: pytest.FixtureRequest,
) -> Iterator[PageAs]:
    """Yields `page_as("viewer", "/console/")`: a window of a signed-in user at a path, or at no page yet for None.

    Further options are those of a browser context. Windows are reused: `Window.rest` clears routes, other tabs and storage. A test that
    adds a script, a listener or a clock, or resizes the window, passes `is_new`.
    """
    common: list[tuple[str, Window, list[StorageStateCookie]]] = []

    def opened(user: str, path: str | None = "/console/", is_new: bool = False, **options: Any) -> Window:
        if user not in profiles:
            first = windows.open()
            first.goto("/console/sign-in")
            sign_in(first, users[user].token)
            profiles[user] = first.context.storage_state()
        key = f"{user} {options}"
        rests = not is_new and key in resting
        made = windows.take(resting.pop(key)) if rests else windows.open(storage_state=profiles[user], **options)
        if not is_new:
            common.append((key, made, profiles[user]["cookies"]))
        if path is not None:
            made.goto(path)
        return made

    yield opened
    if not request.node.stash.get(FAILED, False):
        for key, window, cookies in common:
            if key not in resting and window.rest(pairs(cookies)):
                resting[key] = window

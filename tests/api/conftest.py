"""Fixtures of this folder: one real control plane for all its tests. Pods are simulated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.api.support.prometheus.definitions import definitions
from tests.support import admission, history_stage
from tests.support.api import Api, fresh_namespace, goes
from tests.support.cluster import Kubectl, session_cluster
from tests.support.history_stage import HistoryStage
from tests.support.operator import Operator, admission_policies, install_account
from tests.support.plugin import Plugin
from tests.support.prometheus import programs

LAST = ("policies", "refusing")
"""Fixtures whose modules run last. Modules of the first one run after those of the others."""


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Yields a cluster of the control-plane profile with our resources installed, or the one that the environment names."""
    with session_cluster("control-plane", pytestconfig) as started:
        yield started


@pytest.fixture(scope="session")
def account(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a kubeconfig of the operator's own service account, with its rights alone."""
    return install_account(cluster, tmp_path_factory.mktemp("account"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves modules that need the admission policies to the end: the policies are installed once, and no other test runs under them.

    The module without the policies that stamp runs first among them: those policies are added after it.
    """
    places = [place for place, item in enumerate(items) if item.path.is_relative_to(Path(__file__).parent)]
    asking = {name: {items[place].path for place in places if name in getattr(items[place], "fixturenames", ())} for name in LAST}
    ordered = sorted((items[place] for place in places), key=lambda item: [item.path in asking[name] for name in LAST])
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def policies(cluster: Cluster) -> Iterator[None]:
    """Installs the admission policies from the first module that needs them."""
    with admission_policies(cluster, leave=goes(Api.of(cluster))):
        yield


@pytest.fixture(scope="module")
def module_stages(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[list[HistoryStage]]:
    """Yields a stage for each test of a module that needs one. All are made first, because one operator works in all of them."""
    asking = [item for item in request.session.items if item.path == request.path and "stage" in getattr(item, "fixturenames", ())]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(history_stage.stage(cluster, _about(item))) for item in asking]


def _about(item: pytest.Item) -> str:
    return item.name.partition("[")[0].removeprefix("test_")


@pytest.fixture(scope="module")
def unused(module_stages: list[HistoryStage]) -> Iterator[HistoryStage]:
    """Returns the module's stages that no test has used yet."""
    return iter(module_stages)


@pytest.fixture
def stage(unused: Iterator[HistoryStage]) -> HistoryStage:
    """Returns a namespace with a Runtime and releases v1 to v4, for this test alone."""
    return next(unused)


@pytest.fixture(scope="module")
def options() -> list[str]:
    """Returns options of the operator. A module may override them."""
    return []


@pytest.fixture(scope="module")
def serving(
    account: Path, module_stages: list[HistoryStage], options: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """Yields the operator of a module, under its own account."""
    with Operator(account, tmp_path_factory.mktemp("operator"), [each.namespace for each in module_stages], options) as running:
        yield running


@pytest.fixture
def operator(serving: Operator) -> Operator:
    """Returns the module's operator, running in the stage's namespace even if an earlier test stopped it."""
    if not serving.runs:
        serving.start()
    return serving


@pytest.fixture(scope="session")
def guarded(cluster: Cluster, account: Path, policies: None) -> None:
    """Waits until every admission policy works, with the rights of `manifests/rbac/`."""
    admission.wait_until_all_refuse(Api.of(cluster))


@pytest.fixture(scope="module")
def production(cluster: Cluster) -> Iterator[str]:
    """Yields a namespace that is the production of the project of `module_stage`."""
    with fresh_namespace(Api.of(cluster), "production") as name:
        yield name


@pytest.fixture(scope="module")
def module_project(cluster: Cluster, production: str, request: pytest.FixtureRequest) -> Iterator[HistoryStage]:
    """Yields a stage without an operator, for all tests of a module. It is the staging of a project."""
    purpose = request.module.__name__.rpartition("test_")[2]
    with history_stage.stage(cluster, purpose) as made:
        for name, environment in ((made.namespace, "staging"), (production, "production")):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            labels = {names.PROJECT_LABEL: made.namespace, names.ENVIRONMENT_LABEL: environment}
            labelled = made.api.merge(namespace, {"metadata": {"labels": labels}})
            assert labelled.ok, labelled.message
        yield made


@pytest.fixture(scope="module")
def module_operator(
    account: Path, module_project: HistoryStage, production: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """Yields the operator, running in the project of `module_stage`. A test that stops it starts it again."""
    with Operator(account, tmp_path_factory.mktemp("operator"), [module_project.namespace, production]) as running:
        yield running


@pytest.fixture(scope="module")
def module_stage(module_project: HistoryStage, module_operator: Operator) -> HistoryStage:
    """Returns a stage with a running operator, for all tests of a module. Each test makes its own App."""
    return module_project


@pytest.fixture
def app(request: pytest.FixtureRequest) -> str:
    """Returns the name of the test's own App."""
    return names.shortened(request.node.name.removeprefix("test_").partition("[")[0].replace("_", "-"), 40)


@pytest.fixture(scope="session")
def kinds_of_others(account: Path, cluster: Cluster) -> Iterator[None]:
    """Installs the Prometheus kinds that `manifests/monitoring` uses, and the operator's namespace and rights."""
    with definitions(Kubectl(cluster), leave=goes(Api.of(cluster))):
        yield


@pytest.fixture(scope="session")
def prometheus() -> None:
    """Unpacks Prometheus and promtool if this machine has none."""
    programs.ensure()


@pytest.fixture
def plugin(module_stage: HistoryStage, tmp_path: Path) -> Iterator[Plugin]:
    """Yields `kubectl dynamiq` in the module's namespace, and checks at the end that it left no proxy."""
    made = Plugin(module_stage.cluster, module_stage.namespace, tmp_path)
    yield made
    made.nothing_left()

"""Commands of README.md and docs/ that no shell session of tests/system runs. Each is run here, or checked without Docker."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model import names
from local.chart.build import build
from local.clusters import Cluster
from tests.support import chart, restores, velero
from tests.support.api import Manifest
from tests.support.cluster import REPOSITORY, parsed
from tests.support.commands import blocks, pushed, shell
from tests.support.history_stage import APP as WORKFLOW
from tests.support.history_stage import HistoryStage, specs
from tests.support.operator import OPERATOR_ACCOUNT, install_rights
from tests.support.waiting import eventually

README = REPOSITORY / "README.md"
LEDGER = REPOSITORY / "docs" / "ledger.md"
PLUGIN = REPOSITORY / "docs" / "plugin.md"
BACKUP = REPOSITORY / "docs" / "backup.md"
APPS = REPOSITORY / "docs" / "apps.md"
RECORDER, JOURNAL = (REPOSITORY / "docs" / name for name in ("recorder.md", "journal.md"))
INSTALL, BY_KUSTOMIZE = REPOSITORY / "docs" / "install.md", REPOSITORY / "docs" / "install-details.md"
REVERTS = REPOSITORY / "docs" / "reverts.md"
GITOPS = REPOSITORY / "docs" / "gitops.md"
PROMOTION = REPOSITORY / "docs" / "promotion.md"
pytestmark = pytest.mark.usefixtures("policies")

APP = "support"
"""The App of the documents, in their namespace `demo`."""


def test_the_commands_of_the_documents_run(cluster: Cluster, tmp_path: Path) -> None:
    assert "--image-policy" in shell("python -m dynamiq_operator run --help", cluster, tmp_path)
    assert "__start_kubectl" in shell("source <(kubectl completion bash); complete -p kubectl", cluster, tmp_path)
    output = shell(f'eval "$(python -m local env --name {cluster.name})" && kubectl get nodes -o name', cluster, REPOSITORY)
    assert output.startswith("node/")


@pytest.fixture(scope="module")
def helm() -> Path:
    """Returns the folder of helm, which is built if the cache does not have it."""
    return chart.program().parent


def helmed(helm: Path, script: str, cluster: Cluster, folder: Path) -> list[Manifest]:
    """Runs a script that ends with `helm template`, and returns its objects."""
    return parsed(shell(f"PATH={helm}:$PATH; HELM_CACHE_HOME={folder}/helm\n{script}", cluster, folder))


def images_of(objects: list[Manifest]) -> dict[str, str]:
    """Returns the image of each workload."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
        for each in objects
        if each["kind"] in ("Deployment", "StatefulSet") and each["apiVersion"] == "apps/v1"
    }


def triggers_of(objects: list[Manifest]) -> set[str]:
    """Returns the image of triggers that the operator and the API are configured with."""
    environments = [each["spec"]["template"]["spec"]["containers"][0]["env"] for each in objects if each["apiVersion"] == "apps/v1"]
    return {variable["value"] for variables in environments for variable in variables if variable["name"] == "DYNAMIQ_TRIGGER_IMAGE"}


def test_the_page_on_installing_names_the_images_that_were_pushed_by_helm_and_by_kustomize(
    cluster: Cluster, helm: Path, tmp_path: Path
) -> None:
    """Docker is not needed: its commands are only printed."""
    (images, install, values, *_), (by_kustomize,) = blocks(INSTALL), blocks(BY_KUSTOMIZE)
    built = pushed(images, tmp_path)
    assert set(built) == {"operator", "runtime", "recorder"}
    for folder in ("manifests", "crds"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    make, _, installed = install.partition("\n")
    assert make == "make chart"
    build(tmp_path / "build" / "chart")
    short = helmed(helm, installed.replace("helm install ", "helm template ").partition("helm test")[0], cluster, tmp_path)
    full = helmed(helm, values.replace("helm upgrade --install ", "helm template "), cluster, tmp_path)
    three = {f"dynamiq-{name}": built["operator"] for name in ("operator", "api", "gate")}
    assert images_of(short) == three
    assert images_of(full) == {**three, "dynamiq-recorder": built["recorder"], "dynamiq-journal": built["recorder"]}
    assert triggers_of(short) == triggers_of(full) == {built["runtime"]}

    install_rights(cluster)  # its namespace, without which nothing can be tried in it
    assert "\nkubectl apply -k mine\n" in by_kustomize
    trying = by_kustomize.partition("\nmkdir mine-gate")[0].replace(
        "kubectl apply -k mine", "kubectl apply --server-side --force-conflicts --dry-run=server -k mine >&2; kubectl kustomize mine"
    )
    overlay = parsed(shell(trying, cluster, tmp_path))
    assert images_of(overlay) == dict.fromkeys(("dynamiq-operator", "dynamiq-api"), built["operator"])
    assert triggers_of(overlay) == {built["runtime"]}
    (written,) = re.findall("^(mkdir mine-gate.*?^END\n)", by_kustomize, re.MULTILINE | re.DOTALL)
    assert images_of(_rendered(written, cluster, tmp_path)) == {"dynamiq-gate": built["operator"]}


def test_the_page_on_installing_names_the_commands_that_tests_run(cluster: Cluster) -> None:
    """The commands of an upgrade, a rollback and an uninstallation are those that tests/system/test_chart_installed.py runs."""
    page = "".join(blocks(INSTALL))
    for command in ("helm test", "helm upgrade", "helm rollback", "helm uninstall"):
        assert re.search(f"^{command} dynamiq ", page, re.MULTILINE)
    assert "helm show crds build/chart | kubectl apply --server-side --force-conflicts -f -\nhelm upgrade " in page


def test_the_overlays_of_the_recorder_have_the_pushed_image_and_all_programs_its_address(cluster: Cluster, tmp_path: Path) -> None:
    """Docker and a server are not needed: the overlays are written by the document's commands, and rendered."""
    shutil.copytree(REPOSITORY / "manifests", tmp_path / "manifests")
    page = blocks(RECORDER)
    sqlite, postgres, gate = (
        next(each for each in page if name in each) for name in ("../manifests/recorder]", "recorder-postgres", "gate")
    )
    (written,) = re.findall("(kubectl create secret .*?)\nmkdir", postgres, re.DOTALL)
    (secret,) = yaml.safe_load_all(shell(f"{written} --dry-run=client -o yaml", cluster, tmp_path))
    rendered = {name: _rendered(block, cluster, tmp_path) for name, block in (("sqlite", sqlite), ("postgres", postgres), ("gate", gate))}
    for name, kind in (("sqlite", "StatefulSet"), ("postgres", "Deployment")):
        (workload,) = [each for each in rendered[name] if each["kind"] in ("StatefulSet", "Deployment")]
        (service,) = [each for each in rendered[name] if each["kind"] == "Service"]
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert (workload["kind"], container["image"]) == (kind, pushed(blocks(INSTALL)[0], tmp_path)["recorder"])
        assert service["spec"]["selector"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
        if name == "postgres":
            reference = container["env"][0]["valueFrom"]["secretKeyRef"]
            assert reference == {"name": secret["metadata"]["name"], "key": next(iter(secret["data"]))}
            assert secret["metadata"]["namespace"] == workload["metadata"]["namespace"]
    variable = {"name": "DYNAMIQ_RECORDER", "value": "http://dynamiq-recorder.dynamiq-recorder.svc:8080"}
    (deployment,) = [each for each in rendered["gate"] if each["kind"] == "Deployment"]
    assert variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    patches = re.search("^```yaml\n(patches:.*?)^```", RECORDER.read_text(), re.MULTILINE | re.DOTALL)
    assert patches is not None
    shutil.copytree(REPOSITORY / "crds", tmp_path / "crds")
    overlay = f"mkdir mine && cat > mine/kustomization.yaml <<END\nresources: [../manifests]\n{patches[1]}END\n"
    workloads = [each for each in _rendered(overlay, cluster, tmp_path) if each["kind"] == "Deployment"]
    assert {each["metadata"]["name"] for each in workloads} == {"dynamiq-operator", "dynamiq-api"}
    assert all(variable in each["spec"]["template"]["spec"]["containers"][0]["env"] for each in workloads)


def test_the_overlay_of_the_journal_has_the_pushed_image(cluster: Cluster, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "manifests", tmp_path / "manifests")
    (block,) = blocks(JOURNAL)
    assert images_of(_rendered(block, cluster, tmp_path)) == {"dynamiq-journal": pushed(blocks(INSTALL)[0], tmp_path)["recorder"]}


def _rendered(block: str, cluster: Cluster, folder: Path) -> list[Manifest]:
    """Returns the objects of an overlay that a block writes."""
    (written,) = re.findall("^(mkdir .*?^END\n)", block, re.MULTILINE | re.DOTALL)
    name = re.findall(r"^mkdir (?:-p )?(\S+) ", written)[0]
    return parsed(shell(f"{written}kubectl kustomize {name}; rm -r {name}", cluster, folder))


@dataclass(frozen=True)
class Page:
    """The blocks of a page, with the namespace of `on` instead of `demo` and the App `app` instead of the documents' App.

    `folder`: where they run. `logged_in`: a kubeconfig whose namespace is the stage's.
    """

    on: HistoryStage
    folder: Path
    logged_in: Path
    app: str = APP

    def blocks(self, document: Path) -> list[str]:
        return [self.here(block) for block in blocks(document)]

    def here(self, text: str) -> str:
        return text.replace("-n demo", f"-n {self.on.namespace}").replace(APP, self.app)

    def shell(self, script: str) -> str:
        return shell(script, self.on.cluster, self.folder, self.logged_in)


@pytest.fixture(scope="module")
def logged_in(module_stage: HistoryStage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = yaml.safe_load(module_stage.cluster.kubeconfig.read_text())
    content["contexts"][0]["context"]["namespace"] = module_stage.namespace
    path = tmp_path_factory.mktemp("login") / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def support(module_stage: HistoryStage) -> None:
    """Makes the documents' App with two rows, the newest of them live."""
    module_stage.app(APP, workflow=WORKFLOW)
    module_stage.live(APP, "v1", runtime=module_stage.default_runtime)
    module_stage.live(APP, "v2")


@pytest.fixture
def page(module_stage: HistoryStage, logged_in: Path, support: None, tmp_path: Path) -> Page:
    return Page(module_stage, tmp_path, logged_in)


def test_the_commands_of_the_ledgers_page(page: Page) -> None:
    stage, rows = page.on, len(page.on.rows(APP))
    eventually("the App's settings are recorded", lambda: restores.changes(stage, APP))
    exported = stage.kubectl("get", "deployments.dynamiq,appchanges", "-o", "yaml", namespace=stage.namespace).stdout
    (page.folder / "export.yaml").write_text(exported)
    digest = stage.rows(APP)[-1]["spec"]["pinned"]["digest"]
    checks, history, audits = [each.replace("sha256:…", digest) for each in page.blocks(LEDGER)]
    output = page.shell(checks).splitlines()
    assert len(output) == 2 * len(checks.splitlines()) == 4
    assert all(f"{rows} rows fit" in line and digest in line for line in output[::2]), output
    assert all(re.search(r"\d records? of its settings fits?", line) for line in output[1::2]), output
    among = page.shell(history)
    assert re.search(r"^ +the App was created +Settings +", among, re.MULTILINE), among
    assert f"{APP}-settings-1" in among
    reports = page.shell(audits)
    assert re.search(rf"\b{rows} deploys of 1 App; {rows} rows fit", reports), reports
    assert "# Deploys" in reports


def test_the_commands_of_the_page_about_apps(page: Page) -> None:
    session, keys, announced = page.blocks(APPS)
    output = page.shell(keys + announced).splitlines()
    assert [line.partition(" ")[2] for line in output] == ["patched", "patched", "annotated"]
    restart = "kubectl rollout restart deployment.apps/support"
    assert restart in APPS.read_text()
    assert "restarted" in page.shell(restart)
    variable = {"name": "OPENAI_API_KEY", "secret": {"name": "openai", "key": "api-key"}}
    page.on.change("App", APP, spec={"variables": [variable]})
    page.on.until_condition(APP, "VariablesResolved", "False")
    command, shown = session.removeprefix("$ ").splitlines()
    assert page.shell(command).strip() == shown
    page.on.change("App", APP, spec={"variables": []})
    page.on.acted_on(APP)  # else a deploy of the next test may be heard of before it, and lack the Secret


def test_the_commands_of_the_page_on_reverts(page: Page) -> None:
    policy, _shown, by_hand, _slower = page.blocks(REVERTS)
    assert "patched" in page.shell(policy)
    assert page.on.get("App", APP)["spec"]["rollout"]["revert"] == {"seconds": 300, "maxFailedPercent": 20, "minRuns": 20}
    assert re.search(r"is Live after \d+ s$", page.shell(by_hand).strip())
    page.on.change("App", APP, spec={"rollout": None})


def test_the_commands_of_the_page_on_promotion(page: Page) -> None:
    """Promotion to another cluster needs two: tests/soak/test_other_cluster.py runs its commands."""
    within, _to_context, to_file = page.blocks(PROMOTION)
    target = f"shop-{page.on.namespace}"[:63].rstrip("-")
    output = page.shell(re.sub(r"\bshop\b", target, within).replace("project=support", f"project={page.on.namespace}"))
    page.on.api.request("DELETE", f"/api/v1/namespaces/{target}")
    assert f"App {APP} is made in {target}, with hostname {APP}.{target}.localhost" in output
    output = page.shell(to_file)
    version, row = yaml.safe_load_all((page.folder / "bundle.yaml").read_text())
    assert (version["metadata"]["name"], row["spec"]["promotedFrom"]["namespace"]) == (f"{WORKFLOW}-v2", page.on.namespace)
    assert "kubectl apply --server-side -n NAMESPACE -f bundle.yaml" in output


def test_the_commands_of_the_plugins_page(page: Page) -> None:
    # The commands about runs need a cluster with a recorder: tests/api/test_plugin_runs.py.
    page = replace(page, app="plugged")
    stage = page.on
    session, types, rules, _runs, _verdict = page.blocks(PLUGIN)
    stage.app(page.app, workflow=WORKFLOW)
    stage.live(page.app, "v1", runtime=stage.default_runtime)
    stage.live(page.app, "v2")
    stage.until_condition(page.app, "ChildrenApplied", "True")
    output = page.shell(session)
    assert re.search(f"^{stage.namespace} +{page.app} ", output, re.MULTILINE)
    assert f"deployment.dynamiq.getdynamiq.ai/{page.app}-" in output
    assert re.search("^2 v2 (Live|Superseded)$", output, re.MULTILINE)
    assert re.search("^ci +....…$", output, re.MULTILINE)
    output = page.shell(types)
    assert re.search("^  config +.*serverless, .*asleep after 600 s", output, re.MULTILINE), output
    assert output.splitlines()[-1].strip() == "false"
    output = page.shell(rules)
    assert "it would not wait" in output.partition("suspend")[0]
    assert f"{page.app} is resumed" in output
    assert stage.get("App", page.app)["spec"].get("suspend") in (None, False)


def test_the_commands_of_the_page_on_gitops(page: Page) -> None:
    page = replace(page, app="declared")
    stage, app = page.on, page.app
    back, committed, looked, checks = page.blocks(GITOPS)
    for version in ("v1", "v2"):
        stage.apply(stage.declared(version, name=app))
        stage.until_served(version, app)
    output = page.shell(back)
    assert f"{app}: v1 (#3, {app}-" in output
    assert "workflowVersion: v1\n" in output.partition("kind: App")[2]
    template = stage.workload(app)["spec"]["template"]
    assert "condition met" in page.shell(committed)
    stage.until_served("v1", app, rows=4)
    assert stage.workload(app)["spec"]["template"] == template, "no pod restarts"
    stage.until_condition(app, "DeploySpecOverridden", "False", reason="AsDeclared")
    assert page.shell(looked) == "", "Git matches what is live"
    (folder,) = re.findall(r"^kubectl apply --server-side --field-manager=dynamiq -k (\S+)$", checks, re.MULTILINE)
    assert (REPOSITORY / folder / "kustomization.yaml").exists()


def test_the_commands_of_the_page_on_backups(page: Page) -> None:
    """It deletes the namespace, so it is the last test of the module. Velero's commands are only checked: Velero runs in tests/soak."""
    stage = page.on
    before, keys = stage.rows(APP), restores.keys(stage, APP)
    by_hand, _, by_velero = (block.splitlines(keepends=True) for block in page.blocks(BACKUP))
    page.shell("".join(line for line in by_hand if " get " in line))
    restores.lose_the_namespace(stage)
    page.shell("".join(line for line in by_hand if " get " not in line))
    assert stage.until_served("v2", APP, rows=len(before)) == before[-1]["metadata"]["name"]
    assert (specs(stage.rows(APP)), restores.keys(stage, APP)) == (specs(before), keys)

    setting = f" clusterrolebinding {OPERATOR_ACCOUNT} {names.RESTORERS_ANNOTATION}"
    assert [line.rpartition(setting)[2] for line in by_velero if setting in line] == [f"={velero.ACCOUNT}\n", "-\n"]
    checks = [line for line in by_velero if "dynamiq verify" in line]
    assert f"{len(before)} rows fit" in page.shell("".join(checks))

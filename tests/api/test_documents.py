"""Commands of README.md and docs/ that no shell session of tests/system runs: each is run here, or, without Docker, looked up."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support import chart, documents, restores, velero
from tests.support.api import Manifest, fresh_namespace
from tests.support.cluster import COMMAND_TIMEOUT, REPOSITORY, parsed
from tests.support.commands import blocks, shell
from tests.support.history_stage import APP as WORKFLOW
from tests.support.history_stage import HistoryStage, specs
from tests.support.operator import OPERATOR_ACCOUNT, Operator, install_rights
from tests.support.waiting import eventually

README = REPOSITORY / "README.md"
LEDGER = REPOSITORY / "docs" / "ledger.md"
PLUGIN = REPOSITORY / "docs" / "plugin.md"
BACKUP = REPOSITORY / "docs" / "backup.md"
APPS = REPOSITORY / "docs" / "apps.md"
RUNS = REPOSITORY / "docs" / "runs.md"
INSTALL = REPOSITORY / "docs" / "install.md"
ROLLOUTS = REPOSITORY / "docs" / "rollouts.md"
GITOPS = REPOSITORY / "docs" / "gitops.md"
PROMOTION = REPOSITORY / "docs" / "promotion.md"
APP = "support"
"""The App of the documents, in their namespace `demo`."""


def test_make_has_what_the_documents_name() -> None:
    documents = [README, *(REPOSITORY / "docs").glob("*.md")]
    commands = "".join(block for each in documents for block in blocks(each))
    commands += "\n".join(text for each in documents for text in re.findall(r"`(make [^`]*)`", each.read_text()))
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", commands))
    listed = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=True).stdout
    assert {"demo", "test", "check", "cluster", "cluster-down"} <= named
    assert named <= set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE))


def test_the_programs_that_the_documents_name_say_what_they_are(cluster: Cluster, tmp_path: Path) -> None:
    assert "--image-policy" in shell("python -m dynamiq_operator run --help", cluster, tmp_path)
    assert "__start_kubectl" in shell("source <(kubectl completion bash); complete -p kubectl", cluster, tmp_path)
    said = shell(f'eval "$(python -m local env --name {cluster.name})" && kubectl get nodes -o name', cluster, REPOSITORY)
    assert said.startswith("node/")


def pushed(block: str) -> dict[str, str]:
    """The images that a block builds and pushes, by the targets of the Dockerfile."""
    built = dict(re.findall(r"docker build --target (\w+) -t (\S+) \.", block))
    targets = re.findall(r"^FROM \S+ AS (\S+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert set(built) <= set(targets)
    assert re.findall(r"docker push (\S+)", block) == list(built.values())
    return built


def helmed(script: str, cluster: Cluster, folder: Path) -> list[Manifest]:
    """What a script says that ends with `helm template`."""
    return parsed(shell(f"PATH={chart.program().parent}:$PATH; HELM_CACHE_HOME={folder}/helm\n{script}", cluster, folder))


def images_of(objects: list[Manifest]) -> dict[str, str]:
    """The image of each workload."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
        for each in objects
        if each["kind"] in ("Deployment", "StatefulSet") and each["apiVersion"] == "apps/v1"
    }


def triggers_of(objects: list[Manifest]) -> set[str]:
    """The images that operator and API are told of, which call Apps for their triggers."""
    told = [each["spec"]["template"]["spec"]["containers"][0]["env"] for each in objects if each["apiVersion"] == "apps/v1"]
    return {variable["value"] for variables in told for variable in variables if variable["name"] == "DYNAMIQ_TRIGGER_IMAGE"}


def test_the_page_on_installing_names_the_images_that_were_pushed_by_helm_and_by_kustomize(cluster: Cluster, tmp_path: Path) -> None:
    """Docker is not needed: that its targets are there is read from the Dockerfile."""
    images, install, values, *_, by_kustomize = blocks(INSTALL)
    built = pushed(images)
    assert set(built) == {"operator", "runtime", "recorder"}
    for folder in ("manifests", "crds"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    short = helmed(install.replace("helm install ", "helm template ").partition("helm test")[0], cluster, tmp_path)
    full = helmed(values.replace("helm upgrade --install ", "helm template "), cluster, tmp_path)
    three = {f"dynamiq-{name}": built["operator"] for name in ("operator", "api", "gate")}
    assert images_of(short) == three
    assert images_of(full) == {**three, "dynamiq-recorder": built["recorder"]}
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
    """What it shows of an upgrade, a rollback and an uninstallation is what tests/system/test_chart_installed.py does."""
    page = "".join(blocks(INSTALL))
    for command in ("helm test", "helm upgrade", "helm rollback", "helm uninstall"):
        assert re.search(f"^{command} dynamiq ", page, re.MULTILINE)
    assert "helm show crds manifests/chart | kubectl apply --server-side --force-conflicts -f -\nhelm upgrade " in page


def test_the_overlays_of_the_recorder_name_what_was_pushed_and_tell_everybody_of_it(cluster: Cluster, tmp_path: Path) -> None:
    """Docker, and a server, are not needed: the overlays are made by what stands in the document, and rendered."""
    shutil.copytree(REPOSITORY / "manifests", tmp_path / "manifests")
    page = blocks(RUNS)
    sqlite, postgres, gate = (
        next(each for each in page if name in each) for name in ("../manifests/recorder]", "recorder-postgres", "gate")
    )
    pushed = dict(re.findall(r"docker build --target (\w+) -t (\S+) \. && docker push \2", sqlite))
    assert re.search("^FROM .* AS recorder$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    (written,) = re.findall("(kubectl create secret .*?)\nmkdir", postgres, re.DOTALL)
    (secret,) = yaml.safe_load_all(shell(f"{written} --dry-run=client -o yaml", cluster, tmp_path))
    rendered = {name: _rendered(block, cluster, tmp_path) for name, block in (("sqlite", sqlite), ("postgres", postgres), ("gate", gate))}
    for name, kind in (("sqlite", "StatefulSet"), ("postgres", "Deployment")):
        (workload,) = [each for each in rendered[name] if each["kind"] in ("StatefulSet", "Deployment")]
        (service,) = [each for each in rendered[name] if each["kind"] == "Service"]
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert (workload["kind"], container["image"]) == (kind, pushed["recorder"])
        assert service["spec"]["selector"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
        if name == "postgres":
            asked = container["env"][0]["valueFrom"]["secretKeyRef"]
            assert asked == {"name": secret["metadata"]["name"], "key": next(iter(secret["data"]))}
            assert secret["metadata"]["namespace"] == workload["metadata"]["namespace"]
    variable = {"name": "DYNAMIQ_RECORDER", "value": "http://dynamiq-recorder.dynamiq-recorder.svc:8080"}
    (deployment,) = [each for each in rendered["gate"] if each["kind"] == "Deployment"]
    assert variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    patches = re.search("^```yaml\n(patches:.*?)^```", RUNS.read_text(), re.MULTILINE | re.DOTALL)
    assert patches is not None
    shutil.copytree(REPOSITORY / "crds", tmp_path / "crds")
    overlay = f"mkdir mine && cat > mine/kustomization.yaml <<END\nresources: [../manifests]\n{patches[1]}END\n"
    told = [each for each in _rendered(overlay, cluster, tmp_path) if each["kind"] == "Deployment"]
    assert {each["metadata"]["name"] for each in told} == {"dynamiq-operator", "dynamiq-api"}
    assert all(variable in each["spec"]["template"]["spec"]["containers"][0]["env"] for each in told)


def _rendered(block: str, cluster: Cluster, folder: Path) -> list[Manifest]:
    """What an overlay that a block writes has in it."""
    (written,) = re.findall("^(mkdir .*?^END\n)", block, re.MULTILINE | re.DOTALL)
    name = re.findall(r"^mkdir (?:-p )?(\S+) ", written)[0]
    return list(yaml.safe_load_all(shell(f"{written}kubectl kustomize {name}; rm -r {name}", cluster, folder)))


@pytest.fixture
def support(stage: HistoryStage, operator: Operator) -> str:
    """The documents' App, with two rows, the newest of them live."""
    stage.app(APP, workflow=WORKFLOW)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    stage.live(APP, "v2")
    return APP


@pytest.fixture
def logged_in(stage: HistoryStage, tmp_path: Path) -> Path:
    """A kubeconfig whose namespace is the stage's."""
    content = yaml.safe_load(stage.cluster.kubeconfig.read_text())
    content["contexts"][0]["context"]["namespace"] = stage.namespace
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_commands_of_the_ledgers_page(stage: HistoryStage, support: str, logged_in: Path, tmp_path: Path) -> None:
    eventually("the App's settings are recorded", lambda: restores.changes(stage, support))
    exported = stage.kubectl("get", "deployments.dynamiq,appchanges", "-o", "yaml", namespace=stage.namespace).stdout
    (tmp_path / "export.yaml").write_text(exported)
    digest = stage.rows(APP)[-1]["spec"]["pinned"]["digest"]
    checks, history, audits = [each.replace("-n demo", f"-n {stage.namespace}").replace("sha256:…", digest) for each in blocks(LEDGER)]
    said = shell(checks, stage.cluster, tmp_path, logged_in).splitlines()
    assert len(said) == 2 * len(checks.splitlines()) == 4
    assert all("2 rows fit" in line and digest in line for line in said[::2]), said
    assert all("1 record of its settings fits" in line for line in said[1::2]), said
    among = shell(history, stage.cluster, tmp_path, logged_in)
    assert re.search(r"^ +the App was created +Settings +", among, re.MULTILINE), among
    assert f"{support}-settings-1" in among
    reports = shell(audits, stage.cluster, tmp_path, logged_in)
    assert reports.count("2 deploys of 1 App; 2 rows fit") == 2, reports
    assert "# Deploys" in reports


@pytest.mark.usefixtures("policies", "support")
def test_the_commands_of_the_page_on_backups(stage: HistoryStage, logged_in: Path, tmp_path: Path) -> None:
    """Velero's are looked up: it is in tests/soak."""
    before, keys = stage.rows(APP), restores.keys(stage, APP)
    by_hand, _, by_velero = [each.replace("-n demo", f"-n {stage.namespace}").splitlines(keepends=True) for each in blocks(BACKUP)]
    shell("".join(line for line in by_hand if " get " in line), stage.cluster, tmp_path, logged_in)
    restores.lose_the_namespace(stage)
    shell("".join(line for line in by_hand if " get " not in line), stage.cluster, tmp_path, logged_in)
    assert stage.until_served("v2", APP, rows=2) == before[-1]["metadata"]["name"]
    assert (specs(stage.rows(APP)), restores.keys(stage, APP)) == (specs(before), keys)

    setting = f" clusterrolebinding {OPERATOR_ACCOUNT} {names.RESTORERS_ANNOTATION}"
    assert [line.rpartition(setting)[2] for line in by_velero if setting in line] == [f"={velero.ACCOUNT}\n", "-\n"]
    checks = [line for line in by_velero if "dynamiq verify" in line]
    assert "2 rows fit" in shell("".join(checks), stage.cluster, tmp_path, logged_in)


def test_the_commands_of_the_page_about_apps(stage: HistoryStage, support: str, logged_in: Path, tmp_path: Path) -> None:
    session, keys, announced = blocks(APPS)
    said = shell(keys + announced, stage.cluster, tmp_path, logged_in).splitlines()
    assert [line.partition(" ")[2] for line in said] == ["patched", "patched", "annotated"]
    variable = {"name": "OPENAI_API_KEY", "secret": {"name": "openai", "key": "api-key"}}
    stage.change("App", APP, spec={"variables": [variable]})
    stage.until_condition(APP, "VariablesResolved", "False")
    command, shown = session.removeprefix("$ ").replace("-n demo", f"-n {stage.namespace}").splitlines()
    assert shell(command, stage.cluster, tmp_path, logged_in).strip() == shown
    assert "restarted" in shell("kubectl rollout restart deployment.apps/support", stage.cluster, tmp_path, logged_in)
    assert "kubectl rollout restart deployment.apps/support" in APPS.read_text()


def test_the_commands_of_the_plugins_page(stage: HistoryStage, support: str, logged_in: Path, tmp_path: Path) -> None:
    # Those about runs are for a cluster with a recorder: tests/api/test_plugin_runs.py.
    session, types, rules, _runs, _verdict = (block.replace("-n demo", f"-n {stage.namespace}") for block in blocks(PLUGIN))
    stage.until_condition(APP, "ChildrenApplied", "True")
    said = shell(session, stage.cluster, tmp_path, logged_in)
    assert re.search(f"^{stage.namespace} +{APP} ", said, re.MULTILINE)
    assert "deployment.dynamiq.getdynamiq.ai/support-" in said
    assert re.search("^2 v2 (Live|Superseded)$", said, re.MULTILINE)
    assert re.search("^ci +....…$", said, re.MULTILINE)
    said = shell(types, stage.cluster, tmp_path, logged_in)
    assert re.search("^  config +.*serverless, .*asleep after 600 s", said, re.MULTILINE), said
    assert said.splitlines()[-1].strip() == "false"
    said = shell(rules, stage.cluster, tmp_path, logged_in)
    assert "nothing would hold it" in said.partition("suspend")[0]
    assert f"{APP} is suspended no more" in said
    assert stage.get("App", APP)["spec"].get("suspend") in (None, False)


def test_the_commands_of_the_page_on_rollouts(stage: HistoryStage, support: str, logged_in: Path, tmp_path: Path) -> None:
    policy, _shown, _slower, by_hand = (block.replace("-n demo", f"-n {stage.namespace}") for block in blocks(ROLLOUTS))
    assert "patched" in shell(policy, stage.cluster, tmp_path, logged_in)
    assert stage.get("App", APP)["spec"]["rollout"]["revert"] == {"seconds": 300, "maxFailedPercent": 20, "minRuns": 20}
    assert re.search(r"is Live after \d+ s$", shell(by_hand, stage.cluster, tmp_path, logged_in).strip())


@pytest.mark.usefixtures("policies")
def test_the_commands_of_the_page_on_gitops(stage: HistoryStage, operator: Operator, logged_in: Path, tmp_path: Path) -> None:
    back, committed, looked, checks = (block.replace("-n demo", f"-n {stage.namespace}") for block in blocks(GITOPS))
    for version in ("v1", "v2"):
        stage.apply(stage.declared(version, name=APP))
        stage.until_served(version, APP)
    said = shell(back, stage.cluster, tmp_path, logged_in)
    assert f"{APP}: v1 (#3, {APP}-" in said
    assert "workflowVersion: v1\n" in said.partition("kind: App")[2]
    template = stage.workload(APP)["spec"]["template"]
    assert "condition met" in shell(committed, stage.cluster, tmp_path, logged_in)
    stage.until_served("v1", APP, rows=4)
    assert stage.workload(APP)["spec"]["template"] == template, "no pod restarts"
    stage.until_condition(APP, "DeploySpecOverridden", "False", reason="AsDeclared")
    assert shell(looked, stage.cluster, tmp_path, logged_in) == "", "Git says what is live"
    (folder,) = re.findall(r"^kubectl apply --server-side --field-manager=dynamiq -k (\S+)$", checks, re.MULTILINE)
    assert (REPOSITORY / folder / "kustomization.yaml").exists()


def test_the_commands_of_the_page_on_promotion(stage: HistoryStage, support: str, logged_in: Path, tmp_path: Path) -> None:
    """Those to another cluster are for who has two: tests/soak/test_other_cluster.py."""
    within, _to_context, to_file = (block.replace("-n demo", f"-n {stage.namespace}") for block in blocks(PROMOTION))
    with fresh_namespace(stage.api, "promoted") as target:
        said = shell(within.replace("--target-namespace shop", f"--target-namespace {target}"), stage.cluster, tmp_path, logged_in)
    assert f"App {APP} is made in {target}" in said
    said = shell(to_file, stage.cluster, tmp_path, logged_in)
    version, row = yaml.safe_load_all((tmp_path / "bundle.yaml").read_text())
    assert (version["metadata"]["name"], row["spec"]["promotedFrom"]["namespace"]) == (f"{WORKFLOW}-v2", stage.namespace)
    assert "kubectl apply --server-side -n NAMESPACE -f bundle.yaml" in said


def test_ports_of_a_session_are_free_ones() -> None:
    session = ["kubectl port-forward -n a service/b 18080:80 >/dev/null 2>&1 &", "curl localhost:18080/v1?n=180801"]
    forward, curl = documents.with_free_ports(session)
    (port,) = documents.FORWARD.findall(forward)
    assert port != "18080"
    assert curl == f"curl localhost:{port}/v1?n=180801"

"""Tests the Helm chart with the real helm: it lints, is equal to kustomize's output, uses every value, and refuses wrong ones with a
sentence.
"""

from __future__ import annotations

import itertools
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynamiq_operator.model import names
from local import borrowed, images
from local.chart.build import pack
from local.release import chart as release_chart
from local.release.chart import ChartError
from tests.support.api import Manifest
from tests.support.chart import (
    EVERYTHING,
    NAMESPACE,
    OF_ALL_PODS,
    RELEASE,
    VALUE_SETS,
    Helm,
    by_name,
    differences,
    leaves,
    scalars,
)
from tests.support.cluster import REPOSITORY, kustomized, parsed

WORKLOADS = {
    "operator": "Deployment/dynamiq-system/dynamiq-operator",
    "api": "Deployment/dynamiq-system/dynamiq-api",
    "gate": "Deployment/dynamiq-gate/dynamiq-gate",
}
TOLD = {
    f"{name}.spec.template.spec.containers[{container}].env[DYNAMIQ_{told}]"
    for container, name in WORKLOADS.items()
    for told in ("RECORDER", "JOURNAL")
}
TRUSTED = "/dynamiq-recorder/dynamiq-recorder.spec.template.spec.containers[recorder].env[DYNAMIQ_RECORDER_JOURNAL_ACCOUNT]"
"""Differences that the chart makes by itself: in the manifests one sets recorder and journal by hand."""
KEPT_OF_GATE = f"Namespace/{names.GATE_NAMESPACE}.metadata.annotations"
KEPT = {f"Namespace/{name}.metadata.annotations" for name in ("dynamiq-recorder", "dynamiq-journal", names.GATE_NAMESPACE)}
SETTINGS = f"{WORKLOADS['api']}.spec.template.metadata.annotations"
"""The API reads the console's settings when it starts: without the chart one restarts it after a change."""
RENDERINGS: dict[str, tuple[Manifest, tuple[str, ...], set[str]]] = {
    "defaults": ({}, ("manifests", "manifests/gate"), {KEPT_OF_GATE}),
    "whole": (
        VALUE_SETS["whole"],
        ("manifests", "manifests/gate", "manifests/recorder", "manifests/journal", "manifests/monitoring"),
        {*TOLD, f"StatefulSet{TRUSTED}", *KEPT},
    ),
    "on-a-database": (
        {"recorder": {"enabled": True, "store": "postgresql"}, "journal": {"store": "postgresql"}},
        ("manifests", "manifests/gate", "manifests/overlays/recorder-postgres", "manifests/overlays/journal-postgres"),
        {*TOLD, f"Deployment{TRUSTED}", *KEPT},
    ),
    "before-1.36": ({"admission": {"mutating": False}, "gate": {"enabled": False}}, ("manifests/overlays/before-1.36",), set()),
    "with-a-hostname": (
        {
            "api": {"ingress": {"hostname": "api.dynamiq.example.com", "tlsSecret": "dynamiq-api-tls"}},
            "console": {"url": "https://api.dynamiq.example.com"},
        },
        ("manifests", "manifests/gate", "manifests/overlays/api-ingress"),
        {SETTINGS, KEPT_OF_GATE},
    ),
}
"""Values, the equal folders of kustomize, and the known differences."""
OWN_NAMESPACE = f"Namespace/{NAMESPACE}"
"""Helm itself creates the namespace of the release, before all else: `--create-namespace`."""


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.mark.parametrize("name", ["everything", "least"])
def test_helm_finds_nothing_to_mend(helm: Helm, name: str) -> None:
    """tests/api/test_chart.py parses the output of the other sets, and sends it to an API server."""
    output = helm("lint", "--strict", "--namespace", NAMESPACE, str(helm.chart), values=VALUE_SETS[name]).stdout
    assert "1 chart(s) linted, 0 chart(s) failed" in output


@pytest.mark.parametrize(("values", "folders", "beside"), RENDERINGS.values(), ids=RENDERINGS)
def test_it_is_what_kustomize_makes_of_the_same_manifests(helm: Helm, values: Manifest, folders: tuple[str, ...], beside: set[str]) -> None:
    ours, theirs = by_name(helm.rendered(values)), by_name(kustomized(borrowed.kubectl(), *(REPOSITORY / folder for folder in folders)))
    del theirs[OWN_NAMESPACE]
    assert len(ours) > 60
    assert set(ours) == set(theirs)
    assert {f"{name}{path}" for name in ours for path in differences(theirs[name], ours[name])} == beside


def test_every_value_is_in_a_set_that_is_tried(helm: Helm) -> None:
    values = re.findall(r"^\| `([\w.]+)` \|", (helm.chart / "README.md").read_text(), re.MULTILINE)
    tried = {path for each in VALUE_SETS.values() for path, _ in leaves(each)}
    missing = [value for value in values if not any(f"{path}.".startswith(f"{value}.") for path in tried)]
    assert len(values) > 100
    assert not missing, "add them to tests/support/chart.py"


@pytest.mark.parametrize("name", [name for name in VALUE_SETS if name not in ("defaults", "least")])
def test_set_values_are_in_the_rendered_objects(helm: Helm, name: str) -> None:
    """Each number must occur as it is, and each text as a part of some text, since a tag is part of an image's name."""
    rendered = list(scalars(helm.rendered(VALUE_SETS[name])))
    texts, numbers = "\n".join(each for each in rendered if isinstance(each, str)), {each for each in rendered if not isinstance(each, str)}
    wanting = [
        (path, each)
        for path, value in leaves(VALUE_SETS[name])
        for each in scalars(value)
        if not isinstance(each, bool) and not (each in numbers or str(each) in texts)
    ]
    if name == "everything":  # values for a database, with its number of replicas
        of_databases = [f"{store}.{value}" for store in ("recorder", "journal") for value in ("replicas", "existingSecret")]
        wanting = [each for each in wanting if each[0] not in of_databases]
    if name == "on-a-database":
        wanting = [each for each in wanting if not each[0].startswith(("recorder.storage.", "journal.storage."))]
    assert wanting == []


def test_a_value_of_one_program_replaces_the_common_one(helm: Helm) -> None:
    objects = by_name(helm.rendered({**OF_ALL_PODS, "api": {"nodeSelector": {"pool": "of-the-api"}}}))
    pods = {name: objects[workload]["spec"]["template"]["spec"] for name, workload in WORKLOADS.items()}
    assert {name: pod["nodeSelector"] for name, pod in pods.items()} == {
        "operator": {"pool-of-all": "yes"},
        "api": {"pool": "of-the-api"},
        "gate": {"pool-of-all": "yes"},
    }
    assert {pod["priorityClassName"] for pod in pods.values()} == {"class-of-all"}


def test_images_are_pulled_from_one_registry_with_one_secret_by_all_pods(helm: Helm) -> None:
    pods = _pods(helm.rendered(EVERYTHING))
    assert len(pods) == 7, "five programs, helm test and the end of the gate"
    for pod in pods:
        assert pod["imagePullSecrets"] == [{"name": "pull-secret"}]
        (container,) = pod["containers"]
        assert container["image"].startswith("registry.test/team/renamed-")


@pytest.mark.parametrize("name", ["defaults", "everything", "on-a-database"])
def test_every_pod_keeps_to_the_strictest_pod_security(helm: Helm, name: str) -> None:
    """The pods follow the level `restricted` of namespaces, with a root that nobody writes to."""
    volumes = {"configMap", "emptyDir", "projected", "secret"}
    for pod in _pods(helm.rendered(VALUE_SETS[name])):
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
        assert {kind for volume in pod.get("volumes", ()) for kind in volume if kind != "name"} <= volumes
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in container.get("ports", ()))
            assert container["resources"]["limits"]["memory"]


def _pods(rendered: list[Manifest]) -> list[Manifest]:
    return [each["spec"].get("template", {"spec": each["spec"]})["spec"] for each in rendered if _has_pods(each)]


def _has_pods(each: Manifest) -> bool:
    return each["kind"] in ("Deployment", "StatefulSet", "Job", "Pod") and each["apiVersion"] in ("apps/v1", "batch/v1", "v1")


def test_in_another_namespace_all_that_names_it_follows(helm: Helm) -> None:
    rendered = helm.rendered(
        {"gate": {"namespace": "gates"}, "recorder": {"enabled": True}, "monitoring": {"enabled": True}}, namespace="platform"
    )
    text = json.dumps([each for each in rendered if each["kind"] not in ("CustomResourceDefinition", "ConfigMap", "PrometheusRule")])
    assert not re.search(r'"namespace": "dynamiq-(system|gate)\b', text)
    objects = by_name(rendered)
    (subject,) = objects["ClusterRoleBinding/dynamiq-operator"]["subjects"]
    assert subject["namespace"] == "platform"
    assert objects["PodMonitor/platform/dynamiq-gate"]["spec"]["namespaceSelector"] == {"matchNames": ["gates"]}
    (container,) = objects["Deployment/platform/dynamiq-operator"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "DYNAMIQ_GATE_NAMESPACE", "value": "gates"} in container["env"]


SWITCHES = (
    *("api.enabled", "console.enabled", "gate.enabled", "gate.createNamespace", "gate.retire.enabled"),
    *("recorder.enabled", "recorder.createNamespace", "journal.enabled", "journal.createNamespace"),
    *("admission.mutating", "monitoring.enabled"),
)


def test_every_switch_changes_what_is_installed(helm: Helm) -> None:
    """The test leaves out crds.check, which needs a cluster: tests/api/test_chart.py."""
    defaults = yaml.safe_load((helm.chart / "values.yaml").read_text())
    assert {path for path, value in leaves(defaults) if isinstance(value, bool)} == {*SWITCHES, "crds.check"}
    on = _nested(dict.fromkeys(SWITCHES, True))
    whole = helm.rendered(on)
    for switch in SWITCHES:
        assert helm.rendered(_nested({**dict.fromkeys(SWITCHES, True), switch: False})) != whole, switch


def _nested(values: Mapping[str, object]) -> Manifest:
    """Returns values by their dotted names, as helm reads them."""
    nested: Manifest = {}
    for name, value in values.items():
        *path, last = name.split(".")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return nested


OF_A_FEW = {
    *("images.pullPolicy", "images.runtime.digest", "logLevel", "api.service.type", "recorder.store", "journal.store"),
    *("apps.publicScheme", "apps.imagePolicy", "notifications.format"),
}
"""Values that the schema restricts to a choice, or a form."""
STRANGE = ': "it\'s" {{ .Values }} #\n- \\t\té'
"""Special characters of YAML and of the template engine."""


@pytest.mark.parametrize("name", ["everything", "on-a-database", "of-all-pods"])
def test_no_text_breaks_what_it_stands_in(helm: Helm, name: str) -> None:
    texts: list[str] = []

    def strange(value: Any, path: str = "") -> Any:
        if isinstance(value, Mapping):
            return {key: strange(each, f"{path}.{key}" if path else key) for key, each in value.items()}
        if isinstance(value, list):
            return [strange(each, path) for each in value]
        if not isinstance(value, str) or path in OF_A_FEW:
            return value
        if not path.startswith(
            ("recorder.storage.", "recorder.existingSecret", "recorder.prices", "journal.storage.", "journal.existingSecret")
        ):  # of one store alone; and YAML in a text
            texts.append(f"<{path}>{STRANGE}")
        return f"<{path}>{STRANGE}"

    rendered_texts = {each for each in scalars(helm.rendered(strange(VALUE_SETS[name]))) if isinstance(each, str)}
    assert texts
    assert not [each for each in texts if not any(each in text for text in rendered_texts)]


@pytest.mark.parametrize("release", ["123", "1e3", "true", "null"])
def test_a_release_may_have_a_name_that_yaml_takes_for_something_else(helm: Helm, release: str) -> None:
    rendered = parsed(helm("template", release, str(helm.chart), "--namespace", "456", values=VALUE_SETS["whole"]).stdout)
    assert {each["metadata"]["labels"]["app.kubernetes.io/instance"] for each in rendered} == {release}
    assert {
        type(value) for each in rendered for value in [*each["metadata"]["labels"].values(), each["metadata"].get("namespace", "")]
    } == {str}


def test_times_of_weeks_are_still_whole_seconds(helm: Helm) -> None:
    objects = helm.rendered({"gate": {"terminationGracePeriodSeconds": 1_000_000, "retire": {"timeoutSeconds": 2_000_000}}})
    assert by_name(objects)[WORKLOADS["gate"]]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 1_000_000
    (job,) = [each for each in objects if each["kind"] == "Job"]
    assert {"name": "DYNAMIQ_RETIRE_WITHIN", "value": "2000000"} in job["spec"]["template"]["spec"]["containers"][0]["env"]


@pytest.mark.parametrize(
    ("values", "arguments", "said"),
    [
        ({"operator": {"replica": 3}}, (), "additional properties 'replica' not allowed"),
        ({"operator": {"replicas": "three"}}, (), "/operator/replicas"),
        ({"recorder": {"store": "mysql"}}, (), "/recorder/store"),
        ({"journal": {"store": "mysql"}}, (), "/journal/store"),
        ({"images": {"operator": {"digest": "latest"}}}, (), "/images/operator/digest"),
        ({"gate": {"extraEnv": [{"name": "POD_IPS", "value": "1"}]}}, (), "gate.extraEnv has POD_IPS, which the chart sets itself"),
        (
            {"apps": {"domain": "a.test"}, "api": {"extraEnv": [{"name": "DYNAMIQ_DOMAIN", "value": "b.test"}]}},
            (),
            "api.extraEnv has DYNAMIQ_DOMAIN",
        ),
        ({"console": {"oidc": {"issuer": "https://dex.test", "clientId": "a"}}}, (), "console.oidc.issuer needs console.url"),
        ({"console": {"oidc": {"clientId": "a"}}}, (), "console.oidc needs an issuer"),
        ({"gate": {"namespace": NAMESPACE}}, (), "choose a namespace for the gate alone"),
        ({"gate": {"namespace": "dynamiq-recorder"}}, (), "choose a namespace for the gate alone"),
        ({"gate": {"namespace": "dynamiq-journal"}}, (), "choose a namespace for the gate alone"),
        ({}, ("--kube-version", "1.35.2"), "Kubernetes v1.35.2 has no MutatingAdmissionPolicy v1"),
        ({"admission": {"mutating": False}}, ("--kube-version", "1.33.0"), "requires kubeVersion: >=1.34.0-0"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_a_sentence(helm: Helm, values: Manifest, arguments: tuple[str, ...], said: str) -> None:
    assert said in helm.refused(values, *arguments)


def test_the_gate_ends_only_after_every_app_is_awake(helm: Helm) -> None:
    """It ends before `helm uninstall` deletes anything, under an account with no other right."""
    hooks = [each for each in helm.rendered({}) if (each["metadata"].get("annotations") or {}).get("helm.sh/hook") == "pre-delete"]
    (job,) = [each for each in hooks if each["kind"] == "Job"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["retire-gate"]
    assert job["spec"]["activeDeadlineSeconds"] > int(
        next(each["value"] for each in container["env"] if each["name"] == "DYNAMIQ_RETIRE_WITHIN")
    )
    rules = [rule for each in hooks if each["kind"] in ("Role", "ClusterRole") for rule in each["rules"]]
    assert rules == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["dynamiq-gate"], "verbs": ["get", "patch"]},
    ]
    assert not [each for each in helm.rendered({"gate": {"retire": {"enabled": False}}}) if each["kind"] == "Job"]


@pytest.mark.parametrize(
    ("values", "commands"),
    [
        (
            {},
            (
                "helm test dynamiq -n dynamiq-system",
                "kubectl apply -f - <<'END'",
                "kubectl port-forward -n dynamiq-system service/dynamiq-api 8080:80",
            ),
        ),
        (
            {"api": {"enabled": False}},
            (
                "helm test dynamiq -n dynamiq-system",
                "kubectl apply -f - <<'END'",
                "kubectl rollout status -n dynamiq-system deployment/dynamiq-operator",
            ),
        ),
    ],
)
def test_its_notes_name_the_next_three_commands(helm: Helm, values: Manifest, commands: tuple[str, ...]) -> None:
    output = helm("install", RELEASE, str(helm.chart), "--namespace", NAMESPACE, "--dry-run=client", values=values).stdout
    notes = output.partition("\nNOTES:\n")[2]
    assert tuple(re.findall(r"^   ((?:helm|kubectl) .*)$", notes, re.MULTILINE)) == commands
    runtime = yaml.safe_load(re.search(r"<<'END'\n(.*?)\n *END", notes, re.DOTALL)[1])  # type: ignore[index]
    assert runtime["spec"]["image"] == images.RUNTIME.reference


def test_the_chart_has_the_projects_version(helm: Helm, tmp_path: Path) -> None:
    chart_metadata = yaml.safe_load(helm("show", "chart", str(helm.chart)).stdout)
    assert (chart_metadata["version"], chart_metadata["appVersion"]) == (images.version(), images.version())
    helm("package", str(helm.chart), "--destination", str(tmp_path))
    (by_helm,) = tmp_path.iterdir()
    (tmp_path / "ours").mkdir()
    ours = pack(tmp_path / "ours", 0)
    assert ours.name == by_helm.name == f"dynamiq-{images.version()}.tgz"
    assert by_name(helm.rendered({}, chart=ours)) == by_name(helm.rendered({}, chart=by_helm)) == by_name(helm.rendered({}))


def test_a_release_has_it_in_one_file_that_is_the_same_each_time_and_names_no_other_images(tmp_path: Path) -> None:
    packed = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        archive = pack(tmp_path / name, 1_700_000_000)
        packed.append(archive.read_bytes())
    assert packed[0] == packed[1]
    with tarfile.open(archive) as files:
        assert {each.mtime for each in files} == {1_700_000_000}
    digests = {image.name: f"sha256:{letter * 64}" for image, letter in zip(images.ALWAYS, "abc", strict=True)}
    assert release_chart.images(archive, digests) == {f"dynamiq.local/{name}@{digest}" for name, digest in digests.items()}
    with pytest.raises(ChartError, match="/images/operator/digest"):
        release_chart.images(archive, {**digests, "operator": "latest"})


def test_every_value_is_documented_where_it_stands_and_in_the_schema(helm: Helm) -> None:
    schema = json.loads((helm.chart / "values.schema.json").read_text())
    values = helm("show", "values", str(helm.chart)).stdout.splitlines()
    named = re.compile(r" *[a-zA-Z]+:")
    undocumented = [line for before, line in itertools.pairwise(values) if named.match(line) and not before.strip().startswith("#")]
    assert undocumented == []
    parts = [schema, *schema["$defs"].values()]
    assert not [name for part in parts for name, each in part["properties"].items() if not each.get("description")]
    assert not [part for part in parts if part["additionalProperties"] is not False]

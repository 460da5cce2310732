"""Making the chart: marked places, defaults from the manifests, documented values, and the requests of `helm test` in a pod."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from local.archives import extract
from local.chart import build as chart
from local.chart import templates, written
from local.chart.places import Marks
from local.images import REPOSITORY
from tests.support.api import Manifest
from tests.support.scripted import Reply, Script, ScriptedServer, failure

MANIFESTS = REPOSITORY / "manifests"
ROWS = "/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/team/deployments"
ME = "system:serviceaccount:team:dynamiq-test"


# Marked places.


def test_a_mark_becomes_the_templates_words_at_its_own_depth() -> None:
    marks = Marks()
    spec: Manifest = {
        "replicas": marks.value(".Values.a"),
        marks.block("{{- with .Values.b }}\nb: {{- . | nindent +2 }}\n{{- end }}"): None,
    }
    spec["items"] = ["one", marks.block("{{- toYaml .Values.c | nindent +0 }}")]
    assert marks.write([{"spec": spec}]).splitlines() == [
        "spec:",
        "  replicas: {{ .Values.a }}",
        "  {{- with .Values.b }}",
        "  b: {{- . | nindent 4 }}",
        "  {{- end }}",
        "  items:",
        "  - one",
        "  {{- toYaml .Values.c | nindent 2 }}",
    ]


def test_braces_of_a_manifest_are_none_of_the_template_engine() -> None:
    assert Marks().write([{"summary": "Fails: {{ $labels.reason }}"}]) == "summary: 'Fails: {{ \"{{\" }} $labels.reason }}'\n"


def test_long_texts_and_those_of_several_lines_are_what_they_were() -> None:
    texts = ["a b " * 60, "one\ntwo\n", "one\n  two, indented\nthree", "", "yes", "0123"]
    assert yaml.safe_load(Marks().write([texts])) == texts


# Templates.


def test_every_object_of_an_installation_is_in_a_template_but_the_releases_own_namespace() -> None:
    made = templates.render(MANIFESTS).templates
    beside = [MANIFESTS / name for name in ("helm", "argocd", "flux")]  # what other programs are told of ours
    every = (path for path in MANIFESTS.rglob("*.yaml") if path.name != "kustomization.yaml")
    paths = {path for path in every if not any(path.is_relative_to(folder) for folder in beside)}
    left_out = {
        path.relative_to(MANIFESTS).as_posix()
        for path in paths
        if path.relative_to(MANIFESTS).as_posix().removeprefix("overlays/") not in made
    }
    assert left_out == {"base/namespace.yaml", "overlays/api-ingress/ingress.yaml", "overlays/api-ingress/console.yaml"}
    by_hand = {path.name for path in (chart.BY_HAND / "templates").glob("*.yaml")}
    assert {"ingress.yaml", "console.yaml"} <= by_hand


def test_values_of_the_manifests_are_the_defaults(tmp_path: Path) -> None:
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    path = tmp_path / "manifests" / "gate" / "deployment.yaml"
    path.write_text(path.read_text().replace("replicas: 2 #", "replicas: 5 #").replace("memory: 1Gi", "memory: 3Gi"))
    values = yaml.safe_load(written.values_yaml(written.values_with(templates.render(tmp_path / "manifests").defaults)))
    assert (values["gate"]["replicas"], values["gate"]["resources"]["limits"]) == (5, {"memory": "3Gi"})
    assert values["operator"]["replicas"] == 2


def test_two_manifests_with_different_values_of_one_default_are_refused(tmp_path: Path) -> None:
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    path = tmp_path / "manifests" / "api" / "deployment.yaml"
    path.write_text(path.read_text().replace("imagePullPolicy: IfNotPresent", "imagePullPolicy: Always"))
    with pytest.raises(ValueError, match=r"do not agree on images\.pullPolicy: 'IfNotPresent' and 'Always'"):
        templates.render(tmp_path / "manifests")


# Values.


def test_a_value_without_a_default_anywhere_is_refused() -> None:
    defaults = templates.render(MANIFESTS).defaults
    del defaults["recorder.storage.size"]
    with pytest.raises(ValidationError, match="storage"):
        written.values_with(defaults)


def test_the_written_values_are_the_values() -> None:
    values = written.values_with(templates.render(MANIFESTS).defaults)
    assert yaml.safe_load(written.values_yaml(values)) == json.loads(values.model_dump_json(by_alias=True))


# Its folder and its package.


def read(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_build_writes_what_differs_and_removes_what_is_no_part_of_it_any_more(tmp_path: Path) -> None:
    folder = chart.build(tmp_path / "chart")
    assert read(folder) == chart.files()
    written_first = (folder / "Chart.yaml").stat().st_mtime_ns
    (folder / "values.yaml").write_text("")
    (folder / "templates" / "gate" / "gone.yaml").write_text("")
    assert read(chart.build(folder)) == chart.files()
    assert (folder / "Chart.yaml").stat().st_mtime_ns == written_first, "another process may be reading it"


def test_two_processes_may_build_it_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        built = list(pool.map(lambda _: read(chart.build(tmp_path / "chart")), range(8)))
    assert all(each == chart.files() for each in built)


def test_a_package_has_the_same_files_below_the_charts_name(tmp_path: Path) -> None:
    with tarfile.open(chart.pack(tmp_path, 1_700_000_000)) as archive:
        extract(archive, tmp_path, "data")
        assert {(each.mode, each.mtime, each.uid) for each in archive} == {(0o644, 1_700_000_000, 0)}
    assert read(tmp_path / "dynamiq") == chart.files()


def test_definitions_and_dashboards_stand_once_in_the_repository() -> None:
    files = chart.files()
    for folder, source in (("crds", REPOSITORY / "crds"), ("dashboards", MANIFESTS / "monitoring" / "dashboards")):
        texts = {path.name: path.read_text() for path in source.iterdir() if path.name != "kustomization.yaml"}
        assert {name.partition("/")[2]: text for name, text in files.items() if name.startswith(f"{folder}/")} == texts
    listed = subprocess.run(["git", "ls-files", "manifests", "crds"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    contents = [path.read_bytes() for name in listed.splitlines() if (path := REPOSITORY / name).exists()]
    assert len(contents) == len(set(contents)) > 100


# The requests of helm test.


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "namespace").write_text("team")
    (tmp_path / "token").write_text("token-of-a-test\n")
    return tmp_path


@pytest.fixture
def script() -> Script:
    return Script().on("GET", "/readyz").on("GET", "/console/").on("POST", ROWS, {"spec": {"createdBy": ME}})


@pytest.fixture
def server(script: Script) -> Iterator[ScriptedServer]:
    with ScriptedServer(script) as running:
        yield running


def tried(server: ScriptedServer, account: Path, *, within: float = 240, **more: str) -> tuple[int, list[str]]:
    """Returns the exit code and the output."""
    urls = {"API": f"{server.url}/readyz", "CONSOLE": f"{server.url}/console/", "GATE": "", "RECORDER": "", "JOURNAL": ""}
    known = {"SERVER": server.url, "ACCOUNT": str(account), "ACCOUNT_NAME": "dynamiq-test", "STAMPED": "true", "WITHIN": str(within)}
    program = (chart.BY_HAND / "files" / "installed.py").read_text()
    environment = {**os.environ, **urls, **known, **more}
    done = subprocess.run([sys.executable, "-I", "-c", program], env=environment, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout.splitlines()


def test_helm_test_passes_where_all_answers_and_a_row_gets_its_author(server: ScriptedServer, script: Script, account: Path) -> None:
    code, output = tried(server, account)
    assert (code, [line.partition(":")[0] for line in output]) == (0, ["ok"] * 3)
    (row,) = [sent for sent in script.sent if sent.method == "POST"]
    assert row.query == {"dryRun": "All"}
    assert row.headers["Authorization"] == "Bearer token-of-a-test"


def test_helm_test_waits_for_what_is_not_there_yet(server: ScriptedServer, script: Script, account: Path) -> None:
    script.on("GET", "/readyz", Reply(503), {}).on("POST", ROWS, {"spec": {}}, {"spec": {"createdBy": ME}})
    assert tried(server, account)[0] == 0


def test_helm_test_names_the_problem(server: ScriptedServer, script: Script, account: Path) -> None:
    script.on("GET", "/console/", failure(404, "NotFound", "there is no console")).on("POST", ROWS, {"spec": {"createdBy": "somebody"}})
    code, output = tried(server, account, within=0, GATE="http://127.0.0.1:1/readyz")
    assert code == 1
    assert output[0].startswith("ok: the api")
    assert "failed: the console" in output[1]
    assert "404" in output[1]
    assert "there is no console" in output[1]
    assert "refused" in output[2]
    assert f"says that somebody created it, and it was {ME}" in output[3]


def test_without_policies_that_stamp_no_author_is_required(server: ScriptedServer, script: Script, account: Path) -> None:
    script.on("POST", ROWS, {"spec": {}})
    assert tried(server, account, within=0)[0] == 1
    assert tried(server, account, within=0, STAMPED="false")[0] == 0

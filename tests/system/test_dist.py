"""Tests `make dist`: the same files every time, with the project's version and the versions of their inputs."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest
import yaml

from local import borrowed, console_build, dist, images
from local.chart import build as chart
from tests.support.cluster import kustomized, parsed

PATCHES = re.compile(r"^patches:\n(?:[- ].*\n)+", re.MULTILINE)


@pytest.fixture(scope="module")
def dist_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    dist.build(out)
    return out


@pytest.fixture(scope="module")
def wheel(dist_folder: Path) -> zipfile.ZipFile:
    (path,) = dist_folder.glob("dynamiq_operator-*.whl")
    return zipfile.ZipFile(path)


def metadata(wheel: zipfile.ZipFile, name: str) -> bytes:
    return wheel.read(f"dynamiq_operator-{images.version()}.dist-info/{name}")


def test_the_wheel_has_the_version_and_what_the_operator_needs_and_no_program(wheel: zipfile.ZipFile) -> None:
    headers = BytesParser().parsebytes(metadata(wheel, "METADATA"))
    assert (headers["Name"], headers["Version"]) == ("dynamiq-operator", images.version())
    assert any(needed.startswith("kopf") for needed in headers.get_all("Requires-Dist", []))
    assert not any(name.endswith("entry_points.txt") for name in wheel.namelist()), "the programs are those of the plugin"


def test_the_wheel_has_every_module_of_the_servers_their_schemas_the_console_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    source = images.REPOSITORY / "operator"
    modules = {str(path.relative_to(source)) for ending in ("py", "sql") for path in source.glob(f"dynamiq_*/**/*.{ending}")}
    plugin = {name for name in modules if name.startswith("dynamiq_operator/cli/")}
    data = {f"dynamiq_{name}/py.typed" for name in ("operator", "runtime", "recorder")} | {"dynamiq_operator/rest/http/examples.json"}
    built = console_build.ensure()
    static = {f"dynamiq_operator/rest/static/{path.relative_to(built)}": path.read_bytes() for path in built.rglob("*") if path.is_file()}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == (modules - plugin) | data | static.keys()
    assert {name: wheel.read(name) for name in static} == static
    assert {Path(name).suffix for name in static} >= {".html", ".js", ".css"}


def test_the_wheel_is_the_same_whenever_it_is_built(dist_folder: Path, tmp_path: Path) -> None:
    again = dist.build_wheel(tmp_path)
    assert again.read_bytes() == (dist_folder / again.name).read_bytes()


@pytest.mark.parametrize(("suffix", "folder"), dist.BUNDLES.items())
def test_a_bundle_is_what_kubectl_makes_of_the_manifests(dist_folder: Path, suffix: str, folder: str) -> None:
    rendered = subprocess.run(
        [borrowed.kubectl(), "kustomize", images.REPOSITORY / folder], capture_output=True, text=True, check=True
    ).stdout
    bundle = (dist_folder / f"dynamiq-operator-{images.version()}{suffix}.yaml").read_text()
    assert bundle == rendered
    workloads = [each for each in parsed(bundle) if each["kind"] in ("Deployment", "StatefulSet")]
    used = {container["image"] for each in workloads for container in each["spec"]["template"]["spec"]["containers"]}
    assert used == {(images.RECORDER if suffix in ("-recorder", "-journal") else images.OPERATOR).reference}


def test_objects_that_the_documents_patch_are_in_a_bundle(dist_folder: Path, tmp_path: Path) -> None:
    """A bundle has its namespaces written out; the folders that it is made of have not."""
    documents = [(images.REPOSITORY / "docs" / name).read_text() for name in ("install-details.md", "recorder.md")]
    patches = [each for text in documents for patch in PATCHES.findall(text) for each in yaml.safe_load(patch)["patches"]]
    assert len(patches) == 5
    for suffix in ("", "-gate"):
        fitting = [each for each in patches if (each["target"]["name"] == "dynamiq-gate") == bool(suffix)]
        overlay = tmp_path / f"overlay{suffix}"
        overlay.mkdir()
        shutil.copy(dist_folder / dist.bundle_name(images.version(), suffix), overlay / "bundle.yaml")
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["bundle.yaml"], "patches": fitting}))
        deployments = {each["metadata"]["name"]: each for each in kustomized(borrowed.kubectl(), overlay) if each["kind"] == "Deployment"}
        for each in fitting:
            (variable,) = yaml.safe_load(each["patch"])["spec"]["template"]["spec"]["containers"][0]["env"]
            assert variable in deployments[each["target"]["name"]]["spec"]["template"]["spec"]["containers"][0]["env"]


def test_patches_of_the_journals_page_set_variables_of_a_bundle(dist_folder: Path, tmp_path: Path) -> None:
    patches = PATCHES.findall((images.REPOSITORY / "docs" / "journal.md").read_text())
    for suffix, names, patch in zip(("", "-recorder"), ({"dynamiq-operator", "dynamiq-api"}, {"dynamiq-recorder"}), patches, strict=True):
        bundle = dist.bundle_name(images.version(), suffix)
        shutil.copy(dist_folder / bundle, tmp_path)
        (tmp_path / "kustomization.yaml").write_text(f"resources: [{bundle}]\n{patch}")
        ((target, (operation,)),) = [(each["target"], yaml.safe_load(each["patch"])) for each in yaml.safe_load(patch)["patches"]]
        objects = kustomized(borrowed.kubectl(), tmp_path)
        set_in = {
            each["metadata"]["name"]
            for each in objects
            if each["kind"] == target["kind"] and operation["value"] in each["spec"]["template"]["spec"]["containers"][0]["env"]
        }
        assert set_in == names


def test_the_plugin_has_a_wheel_of_its_own(dist_folder: Path) -> None:
    names = [f"dynamiq_{name}-{images.version()}-py3-none-any.whl" for name in ("kubectl", "operator")]
    assert sorted(path.name for path in dist_folder.glob("*.whl")) == names


def test_the_chart_is_that_of_the_checkout(dist_folder: Path) -> None:
    with tarfile.open(dist_folder / chart.package_name(images.version())) as packed:
        texts = {each.name.removeprefix("dynamiq/"): packed.extractfile(each).read().decode() for each in packed}  # type: ignore[union-attr]
    assert texts == chart.files()


def test_the_sums_are_those_of_all_that_was_made(dist_folder: Path) -> None:
    lines = (dist_folder / dist.SUMS).read_text().splitlines()
    digests = {f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in dist_folder.iterdir() if path.name != dist.SUMS}
    assert set(lines) == digests

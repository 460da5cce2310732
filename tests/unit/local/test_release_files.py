"""The files of a release: their sums, its index, its notes, and the installation from them."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from local import dist, images
from local.chart.build import package_name
from local.release import build, changelog, check, layout
from local.release.__main__ import main
from local.release.build import ReleaseError
from local.release.changelog import ChangelogError
from local.release.layout import Archive, Index, LayoutError

CHANGELOG = """\
# Changelog

## [Unreleased]

### Added
- Something new.

## [0.2.0] - 2026-12-01

### Fixed
- A fault.

## [0.1.0] - 2026-11-25

The first one.
"""
VERSION = "0.2.0"
IMAGE = f"dynamiq.local/runtime:{VERSION}"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Makes a small release with correct sums, and returns its folder."""
    folder = tmp_path / "release"
    (tmp_path / "root").mkdir()
    folder.mkdir()
    archive = layout.image("runtime", VERSION, "amd64")
    digest = images.write_image(folder / archive, IMAGE, tmp_path / "root", entrypoint=["/a"])
    index = Index(VERSION, "c0ffee", 1_700_000_000, {IMAGE: Archive(archive, digest, layout.beside(archive, layout.SBOM))})
    for name in layout.files(index):
        if name != archive:
            (folder / name).write_text(name)
    for suffix in dist.BUNDLES:
        (folder / dist.bundle_name(VERSION, suffix)).write_text(f"kind: Bundle\nof: '{suffix}'\n")
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "app.yaml").write_text("kind: App\n")
    with tarfile.open(folder / layout.examples(VERSION), "w") as packed:
        packed.add(tmp_path / "examples", "examples")
    (folder / layout.INDEX).write_text(index.written())
    return sum_up(folder)


def sum_up(folder: Path) -> Path:
    (folder / dist.SUMS).unlink(missing_ok=True)
    (folder / dist.SUMS).write_text(dist.sums(folder.iterdir()))
    return folder


def test_a_release_that_matches_its_sums_is_accepted(release: Path) -> None:
    found = check.verified(release)
    assert (found.index.version, found.index.commit, found.index.epoch) == (VERSION, "c0ffee", 1_700_000_000)
    assert found.archives() == {IMAGE: release / f"runtime-{VERSION}-linux-amd64.oci.tar"}
    assert found.index.images[IMAGE].sbom == f"runtime-{VERSION}-linux-amd64.cdx.json"


def test_its_sums_are_read_by_the_program_that_everybody_has(release: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--strict", dist.SUMS], cwd=release, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(list(release.iterdir())) - 1


def change(folder: Path) -> None:
    (folder / layout.INDEX).write_text("{}")


def add(folder: Path) -> None:
    (folder / "more.yaml").write_text("kind: Secret\n")


def remove(folder: Path) -> None:
    (folder / layout.examples(VERSION)).unlink()


def leave_out(folder: Path) -> None:
    """Removes the chart, with sums of the rest."""
    (folder / package_name(VERSION)).unlink()
    sum_up(folder)


def swap(folder: Path) -> None:
    """Replaces an image, with its sums."""
    archive = folder / layout.image("runtime", VERSION, "amd64")
    images.write_image(archive, IMAGE, folder.parent / "examples", entrypoint=["/b"])
    sum_up(folder)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (change, r"release\.json is not the file that SHA256SUMS names"),
        (add, r"more\.yaml is not in SHA256SUMS"),
        (remove, r"dynamiq-examples-0\.2\.0\.tar is missing"),
        (leave_out, r"is not a whole release: dynamiq-0\.2\.0\.tgz is missing"),
        (swap, r"has the image sha256:.*, and release\.json says .* is sha256:"),
    ],
)
def test_a_release_with_a_different_file_is_refused(release: Path, harm: Callable[[Path], None], message: str) -> None:
    harm(release)
    with pytest.raises(LayoutError, match=message):
        check.verified(release)


def test_a_missing_release_is_reported_with_the_command_that_builds_one(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"make release VERSION="):
        check.verified(tmp_path)


def test_it_is_laid_out_as_the_demo_names_its_files(release: Path, tmp_path: Path) -> None:
    root = tmp_path / "installation"
    check.verified(release).lay_out(root)
    for suffix, folder in dist.BUNDLES.items():
        (name,) = yaml.safe_load((root / folder / "kustomization.yaml").read_text())["resources"]
        assert yaml.safe_load((root / folder / name).read_text())["of"] == suffix
    assert (root / "examples" / "app.yaml").read_text() == "kind: App\n"


def test_the_plugin_comes_from_a_wheel_of_its_own(release: Path) -> None:
    """The operator's wheel has no program."""
    assert check.verified(release).wheel() == release / "dynamiq_kubectl-0.2.0-py3-none-any.whl"


def test_every_file_of_a_release() -> None:
    archives = {name: layout.image(name, VERSION, "amd64") for name in ("operator", "runtime", "recorder")}
    found = {f"dynamiq.local/{name}:{VERSION}": Archive(file, "", layout.beside(file, layout.SBOM)) for name, file in archives.items()}
    assert layout.files(Index(VERSION, "c0ffee", 0, found)) == [
        "CHANGES.md",
        "dynamiq-0.2.0.tgz",
        "dynamiq-examples-0.2.0.tar",
        "dynamiq-operator-0.2.0-before-1.36.yaml",
        "dynamiq-operator-0.2.0-gate.yaml",
        "dynamiq-operator-0.2.0-journal.yaml",
        "dynamiq-operator-0.2.0-recorder.yaml",
        "dynamiq-operator-0.2.0.yaml",
        "dynamiq_kubectl-0.2.0-py3-none-any.cdx.json",
        "dynamiq_kubectl-0.2.0-py3-none-any.requirements.txt",
        "dynamiq_kubectl-0.2.0-py3-none-any.whl",
        "dynamiq_operator-0.2.0-py3-none-any.cdx.json",
        "dynamiq_operator-0.2.0-py3-none-any.requirements.txt",
        "dynamiq_operator-0.2.0-py3-none-any.whl",
        "operator-0.2.0-linux-amd64.cdx.json",
        "operator-0.2.0-linux-amd64.oci.tar",
        "recorder-0.2.0-linux-amd64.cdx.json",
        "recorder-0.2.0-linux-amd64.oci.tar",
        "release.json",
        "runtime-0.2.0-linux-amd64.cdx.json",
        "runtime-0.2.0-linux-amd64.oci.tar",
    ]


def test_a_candidates_files_are_named_as_each_tool_writes_its_version() -> None:
    """The workflow accepts tags such as v0.2.0-rc1. Helm keeps that form, and Python's packages have their own."""
    assert layout.wheel(layout.PLUGIN, "0.2.0-rc1") == "dynamiq_kubectl-0.2.0rc1-py3-none-any.whl"
    assert package_name("0.2.0-rc1") == "dynamiq-0.2.0-rc1.tgz"


def test_companion_files_are_named_after_their_file() -> None:
    assert layout.beside("operator-0.1.0-linux-arm64.oci.tar", layout.SBOM) == "operator-0.1.0-linux-arm64.cdx.json"
    assert (
        layout.beside("dynamiq_operator-0.1.0-py3-none-any.whl", layout.REQUIREMENTS)
        == "dynamiq_operator-0.1.0-py3-none-any.requirements.txt"
    )


def test_sums_are_of_the_content(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    assert dist.sums(tmp_path.iterdir()) == "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in "ab")


def test_the_notes_are_the_section_of_the_version() -> None:
    assert changelog.section(CHANGELOG, "0.2.0") == "## [0.2.0] - 2026-12-01\n\n### Fixed\n- A fault.\n"
    assert changelog.section(CHANGELOG, "0.1.0").endswith("The first one.\n")
    with pytest.raises(ChangelogError, match=r"no section \[0\.3\.0\]: name its section \[Unreleased\] so"):
        changelog.section(CHANGELOG, "0.3.0")


def test_unreleased_changes_come_before_those_of_the_release() -> None:
    assert changelog.unreleased(CHANGELOG) == "### Added\n- Something new."
    notes = changelog.notes(CHANGELOG, "0.2.0")
    assert notes.index("Something new.") < notes.index("## [0.2.0]") < notes.index("A fault.")
    assert "The first one." not in notes
    finished = CHANGELOG.replace("\n### Added\n- Something new.\n", "")
    assert changelog.notes(finished, "0.2.0") == changelog.section(CHANGELOG, "0.2.0")


@pytest.mark.parametrize("version", ["", "0.0.99", "latest"])
def test_a_version_that_the_checkout_does_not_have_is_refused(version: str) -> None:
    with pytest.raises(ReleaseError, match=r"must be .*pyproject\.toml.*CONTRIBUTING\.md"):
        build.require_version(version)
    build.require_version(images.version())


def test_a_folder_with_something_else_is_not_emptied_for_a_release(release: Path, tmp_path: Path) -> None:
    build.require_own(release)
    build.require_own(tmp_path / "new")
    with pytest.raises(ReleaseError, match="has files that are not a release"):
        build.build(images.version(), release.parent)
    assert (release / dist.SUMS).exists()


def test_a_release_is_of_a_commit_and_of_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "REPOSITORY", tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("GIT_COMMITTER_DATE", "@1700000000 +0000")
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false")
    (tmp_path / "README.md").write_text("one\n")
    for command in (("init", "--quiet"), ("add", "README.md"), (*who, "commit", "--quiet", "--message", "One")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()
    assert build.source() == (commit, 1_700_000_000)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert build.source() == (commit, 1_800_000_000)
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator" / "module.py").write_text("")
    with pytest.raises(ReleaseError, match=r"commit these files first: operator/"):
        build.source()


def test_an_unknown_image_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "operator", "gate"]) == 1
    assert capsys.readouterr().err == "error: there is no image gate: name runtime, operator, recorder, runtime-sdk\n"


def test_each_wheel_of_a_release_has_a_lock_for_what_it_needs() -> None:
    assert set(build.LOCK_OF_WHEEL) == set(layout.WHEELS)
    for name in build.LOCK_OF_WHEEL.values():
        assert "--hash=sha256:" in (build.LOCKS / name).read_text()

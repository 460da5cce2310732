"""The bill of materials of an image or a wheel lists exactly the parts in the file."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from local import console_build, debian_lock, images
from local.release import parts, sbom
from local.release.parts import Part, PartsError

OS_RELEASE = 'ID=debian\nVERSION_ID="12"\n'
CONTROL = "Package: zlib1g\nVersion: 1:1.2.13.dfsg-1\nArchitecture: amd64\nDescription: compression library\n .\n more of it\n"
METADATA = "Metadata-Version: 2.4\nName: Some_Thing\nVersion: 2.0\nLicense-Expression: Apache-2.0 AND MIT\n\nName: not this\n"
LOCK = """\
# of uv
some-thing==2.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via other
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:cc
uvloop==0.22 ; python_full_version < '3.12' and sys_platform == 'linux' \\
    --hash=sha256:dd
"""
DIGEST = "sha256:" + "ab" * 32


def an_archive(folder: Path, files: dict[str, str]) -> Path:
    """Returns the OCI archive of an image with these files."""
    root = folder / "root"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    images.write_image(folder / "image.tar", "x.test/app:1", root, entrypoint=["/app"])
    return folder / "image.tar"


def written(subject: sbom.Subject, *listed: Part) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sbom.written(subject, listed, epoch=1_700_000_000, commit="c0ffee"))
    return document


def test_the_parts_of_an_image_are_read_from_its_layers(tmp_path: Path) -> None:
    files = {"usr/lib/os-release": OS_RELEASE, "var/lib/dpkg/status.d/zlib1g": CONTROL, "app/some_thing-2.0.dist-info/METADATA": METADATA}
    archive = an_archive(tmp_path, files)
    found = parts.of_image(archive)
    assert found.digest == images.digest_of(archive)
    assert found.parts == (
        Part("deb", "zlib1g", "1:1.2.13.dfsg-1", architecture="amd64", distribution="debian-12"),
        Part("pypi", "some-thing", "2.0", "Apache-2.0 AND MIT"),
    )


def test_removed_packages_of_an_image_are_not_listed(tmp_path: Path) -> None:
    status = (
        CONTROL.replace("Version", "Status: install ok installed\nVersion")
        + "\n"
        + CONTROL.replace("zlib1g", "gone").replace("Version", "Status: deinstall ok config-files\nVersion")
    )
    found = parts.of_image(an_archive(tmp_path, {"var/lib/dpkg/status": status}))
    assert [each.name for each in found.parts] == ["zlib1g"]


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    for name, content in (("other.tar", None), ("text.tar", b"no archive at all")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(PartsError, match=f"{name} is no OCI archive"):
            parts.of_image(tmp_path / name)


def test_only_packages_of_pods_are_listed_from_a_lock() -> None:
    assert parts.of_lock(LOCK) == [Part("pypi", "some-thing", "2.0"), Part("pypi", "uvloop", "0.22")]


def test_every_line_of_our_locks_is_understood() -> None:
    for image in images.ALWAYS:
        assert {"pyyaml", "aiohttp", "prometheus-client"} <= {each.name for each in parts.of_lock(image.lock.read_text())}


def test_only_packages_of_the_browser_are_listed_from_the_console() -> None:
    found = parts.of_console((console_build.SOURCE / "package-lock.json").read_text())
    dependencies = json.loads((console_build.SOURCE / "package.json").read_text())["dependencies"]
    assert {each.name: each.version for each in found} == dependencies
    assert {each.licence for each in found} == {"MIT"}


def test_a_package_without_a_lock_of_its_version_is_reported() -> None:
    (package,) = [each for each in debian_lock.parse(debian_lock.LOCK.read_text()).of("amd64") if each.name == "zlib1g"]
    inside = [Part("pypi", "some-thing", "2.1"), Part("deb", "zlib1g", package.version, architecture="amd64"), Part("deb", "bash", "5.2")]
    assert parts.unlocked(inside, parts.of_lock(LOCK), [package]) == ["some-thing 2.1", "bash 5.2"]
    assert [each.sha256 for each in parts.with_hashes(inside, [package])] == ["", package.sha256, ""]


def test_a_document_names_each_part_as_scanners_look_for_it() -> None:
    subject = sbom.image("dynamiq.local/operator:0.1.0", "amd64", DIGEST)
    document = written(
        subject,
        Part("deb", "zlib1g", "1:1.2.13.dfsg-1", architecture="amd64", distribution="debian-12", sha256="cd" * 32),
        Part("pypi", "pyyaml", "6.0.4", "MIT"),
        Part("npm", "@scope/thing", "1.0.0", "A licence of its own"),
    )
    root = document["metadata"]["component"]
    assert root["purl"] == f"pkg:oci/operator@sha256:{'ab' * 32}?arch=amd64&repository_url=dynamiq.local/operator&tag=0.1.0"
    assert root["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert root["properties"] == [{"name": sbom.REVISION, "value": "c0ffee"}]
    assert document["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    found = {each["purl"]: each for each in document["components"]}
    debian, npm, python = sorted(found)
    assert debian == "pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1?arch=amd64&distro=debian-12"
    assert (npm, python) == ("pkg:npm/%40scope/thing@1.0.0", "pkg:pypi/pyyaml@6.0.4")
    assert found[debian]["hashes"] == [{"alg": "SHA-256", "content": "cd" * 32}]
    assert found[python]["licenses"] == [{"license": {"id": "MIT"}}]
    assert found[npm]["licenses"] == [{"license": {"name": "A licence of its own"}}]
    assert {each["ref"]: sorted(each.get("dependsOn", [])) for each in document["dependencies"]}[root["bom-ref"]] == sorted(found)


def test_a_document_is_the_same_each_time_and_another_image_has_another() -> None:
    listed = [Part("pypi", "b", "1"), Part("pypi", "a", "1")]
    one = sbom.image("dynamiq.local/operator:0.1.0", "amd64", DIGEST)
    assert written(one, *listed) == written(one, *reversed(listed))
    other = sbom.image("dynamiq.local/operator:0.1.0", "amd64", "sha256:" + "ef" * 32)
    assert written(one, *listed)["serialNumber"] != written(other, *listed)["serialNumber"]

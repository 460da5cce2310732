"""Tests the images: valid, the same every time, small, and able to run their programs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dynamiq_runtime
from local import builds, console_build, debian, debian_lock, images, rootfs
from local.archives import extract
from local.release import parts
from local.steps import Commands, Task
from tests.support.runtime import ECHO
from tests.support.waiting import eventually

NEEDS_ROOT = pytest.mark.usefixtures("root")
LONG = pytest.mark.long(
    "images are built from nothing or unpacked; pods run them in tests/node, and the operator's in tests/system/test_demo.py"
)
OF_A_RELEASE = images.Recipe(debian.DEBIAN, 1_700_000_000)


@pytest.fixture(scope="module")
def archives() -> dict[str, Path]:
    return images.ensure()


@pytest.fixture
def runtime(archives: dict[str, Path]) -> Path:
    return archives[images.RUNTIME.reference]


@pytest.fixture(scope="module")
def released() -> Path:
    """Provides a release's image of the runtime."""
    return images.ensure([images.RUNTIME], OF_A_RELEASE)[images.RUNTIME.reference]


class Layout:
    """An OCI archive, with every blob checked against its digest."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as archive:
            self.files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
        assert json.loads(self.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        for name, content in self.files.items():
            if name.startswith("blobs/sha256/"):
                assert hashlib.sha256(content).hexdigest() == name.removeprefix("blobs/sha256/")
        listed = json.loads(self.files["index.json"])["manifests"]
        self.names = [entry["annotations"]["io.containerd.image.name"] for entry in listed]
        self.index = listed[0]
        (self.saved,) = json.loads(self.files["manifest.json"])
        self.manifest = json.loads(self.blob(self.index))
        self.image = json.loads(self.blob(self.manifest["config"]))
        self.layer = self.blob(self.manifest["layers"][0])

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        content = self.files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert len(content) == descriptor["size"]
        return content


def a_folder(root: Path) -> Path:
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "program").write_text("#!/bin/sh\n")
    (root / "bin" / "program").chmod(0o700)
    (root / "data").write_text("data")
    (root / "data").chmod(0o640)
    (root / "link").symlink_to("bin/program")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    return root


def test_an_image_keeps_files_and_drops_the_traces_of_its_machine(tmp_path: Path) -> None:
    digest = images.write_image(tmp_path / "i.tar", "x.test/app/web:v1", a_folder(tmp_path / "r"), entrypoint=["/bin/program"])
    layout = Layout(tmp_path / "i.tar")
    assert layout.index["digest"] == digest == images.digest_of(tmp_path / "i.tar")
    assert layout.names == ["x.test/app/web:v1", f"x.test/app/web@{digest}"]
    assert layout.saved["RepoTags"] == ["x.test/app/web:v1"], "docker load reads no other file"
    assert json.loads(layout.files[layout.saved["Config"]]) == layout.image
    assert [layout.files[name] for name in layout.saved["Layers"]] == [layout.layer]
    assert layout.image["config"]["Entrypoint"] == ["/bin/program"]
    assert layout.image["config"]["User"] == "65532"
    assert layout.image["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layout.layer).hexdigest()]
    with tarfile.open(fileobj=io.BytesIO(layout.layer)) as layer:
        members = {member.name: (member.mode, member.uid, member.mtime, member.linkname) for member in layer}
    assert members == {
        "bin": (0o755, 0, 0, ""),
        "bin/program": (0o755, 0, 0, ""),
        "data": (0o644, 0, 0, ""),
        "link": (0o777, 0, 0, "bin/program"),
        "tmp": (0o1777, 0, 0, ""),
    }


def test_the_same_files_give_the_same_image(tmp_path: Path) -> None:
    first, second = (
        images.write_image(tmp_path / f"{n}.tar", "x.test/a:1", a_folder(tmp_path / n), entrypoint=["/a"], env={"A": "b"})
        for n in ("one", "two")
    )
    assert first == second
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_name_that_containerd_would_take_for_docker_hubs_is_refused(tmp_path: Path) -> None:
    for name in ("web:v1", "team/web:v1", "x.test/web", "x.test:5000/web"):
        with pytest.raises(images.ImageError, match="is not host"):
            images.write_image(tmp_path / "i.tar", name, tmp_path, entrypoint=["/a"])


def test_an_entry_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    os.mkfifo(tmp_path / "r" / "pipe")
    with pytest.raises(images.ImageError, match="pipe is neither a file"):
        images.write_image(tmp_path / "i.tar", "x.test/a:1", tmp_path / "r", entrypoint=["/a"])
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@LONG
def test_our_images_are_small_and_run_without_root(archives: dict[str, Path]) -> None:
    assert sorted(archives) == [f"dynamiq.local/{name}:{dynamiq_runtime.__version__}" for name in ("operator", "recorder", "runtime")]
    for image, limit in ((images.RUNTIME, 100e6), (images.OPERATOR, 275e6), (images.RECORDER, 135e6)):
        layout = Layout(archives[image.reference])
        assert len(layout.layer) < limit
        assert layout.image["config"]["User"] == "65532"
        assert layout.image["config"]["Entrypoint"] == ["/usr/local/bin/python3", "-m", image.package]
        assert layout.image["config"]["Cmd"] == [image.command]
        with tarfile.open(fileobj=io.BytesIO(layout.layer)) as layer:
            assert not [member.name for member in layer if member.mode & 0o022 and not member.issym() and member.name != "tmp"]


@LONG
def test_a_second_build_from_nothing_is_the_same_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    monkeypatch.setenv("DYNAMIQ_CACHE", str(tmp_path))
    assert images.digest_of(images.ensure([images.RUNTIME])[images.RUNTIME.reference]) == images.digest_of(runtime)


@LONG
def test_an_image_of_a_release_is_the_same_from_nothing_and_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, released: Path
) -> None:
    monkeypatch.setenv("DYNAMIQ_CACHE", str(tmp_path))
    (again,) = images.ensure([images.RUNTIME], OF_A_RELEASE).values()
    assert images.digest_of(again) == images.digest_of(released)
    layout = Layout(again)
    assert layout.image["created"] == "2023-11-14T22:13:20Z"
    with tarfile.open(fileobj=io.BytesIO(layout.layer)) as layer:
        assert {member.mtime for member in layer} == {OF_A_RELEASE.epoch}


@LONG
def test_an_image_of_a_release_has_what_the_locks_name_and_nothing_else(released: Path) -> None:
    content = parts.of_image(released)
    packages = debian_lock.parse(debian_lock.LOCK.read_text()).of(debian.architecture())
    assert {(each.name, each.version) for each in content.parts if each.kind == "deb"} == {(each.name, each.version) for each in packages}
    assert {each.distribution for each in content.parts if each.kind == "deb"} == {"debian-12"}
    locked = parts.of_lock(images.RUNTIME.lock.read_text())
    assert {each.name for each in content.parts if each.kind == "pypi"} == {each.name for each in locked}
    assert parts.unlocked(content.parts, locked, packages) == []


@LONG
@NEEDS_ROOT
@pytest.mark.parametrize("built", ["runtime", "released"])
def test_an_image_trusts_public_authorities(request: pytest.FixtureRequest, built: str, tmp_path: Path) -> None:
    with unpacked(request.getfixturevalue(built), tmp_path / "root") as (inside, environment):
        script = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
        command = [*inside, "/usr/local/bin/python3", "-c", script]
        done = subprocess.run(command, env=environment | {"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


class WithoutPython(rootfs.Host):
    """A base without Python and packages: compiling those of this machine takes seconds."""

    suffix = "-empty"

    def make_root(self, root: Path, *_: object, whole: bool) -> None:
        rootfs.make_folders(root)


SMALL = images.Recipe(WithoutPython())


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes the sources of a runtime without packages, in a repository and a cache of the test."""
    lock, source = tmp_path / "locks", tmp_path / "operator" / "dynamiq_runtime"
    for folder in (lock, source):
        folder.mkdir(parents=True)
    (lock / "runtime.txt").write_text("")
    (source / "__init__.py").write_text("")
    shutil.copy(images.REPOSITORY / "pyproject.toml", tmp_path)
    monkeypatch.setenv("DYNAMIQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "REPOSITORY", tmp_path)
    return source


def test_a_build_is_kept_until_an_input_changes(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    built = images.ensure([images.RUNTIME], SMALL)
    assert "image runtime: done in" in capfd.readouterr().out
    assert images.ensure([images.RUNTIME], SMALL) == built
    assert capfd.readouterr().out == ""
    (source / "__init__.py").write_text("x = 1\n")
    assert images.ensure([images.RUNTIME], SMALL) != built


@LONG
def test_the_operators_image_serves_the_console_of_this_checkout(archives: dict[str, Path]) -> None:
    built, place = console_build.ensure(), "app/dynamiq_operator/rest/static/"
    with tarfile.open(fileobj=io.BytesIO(Layout(archives[images.OPERATOR.reference]).layer)) as layer:
        served_files = {
            member.name.removeprefix(place): layer.extractfile(member).read()  # type: ignore[union-attr]
            for member in layer
            if member.isfile() and member.name.startswith(place)
        }
    assert served_files == {path.relative_to(built).as_posix(): path.read_bytes() for path in built.rglob("*") if path.is_file()}
    assert b"/console/assets/" in served_files["index.html"]


def test_a_changed_console_makes_another_image(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console, image = source.parent / "console", replace(images.RUNTIME, console=True)
    console.mkdir()
    monkeypatch.setattr(console_build, "SOURCE", console)
    monkeypatch.setattr(console_build, "STATIC", source / "static")
    for text in ("one", "two"):
        (console / "main.tsx").write_text(text)
        assert [step.title for step in images.missing([image], SMALL)] == ["console", "image runtime"]
        console_build.folder().mkdir(parents=True)
        (console_build.folder() / console_build.SHELL).write_text(text)
        (archive,) = images.ensure([image], SMALL).values()
        with tarfile.open(fileobj=io.BytesIO(Layout(archive).layer)) as layer:
            page = layer.extractfile("app/dynamiq_runtime/static/index.html")
            assert page is not None
            assert page.read().decode() == text


@pytest.mark.usefixtures("source")
def test_an_image_that_another_process_forgets_meanwhile_is_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not pytest's capture, which loses lines that are printed while it is read.
    lines: list[str] = []
    monkeypatch.setattr(builds, "say", lines.append)
    (archive,) = images.ensure([images.RUNTIME], SMALL).values()
    with ThreadPoolExecutor(1) as pool:
        with builds.locked("images"):
            again = pool.submit(images.ensure, [images.RUNTIME], SMALL)
            eventually("it waits to mark the image as used", lambda: "another process holds the lock" in "".join(lines))
            archive.unlink()
        (rebuilt,) = again.result().values()
    assert rebuilt == archive
    assert images.digest_of(rebuilt).startswith("sha256:")


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("no-such-package-of-ours==1 --hash=sha256:" + "0" * 64 + "\n")
    (tmp_path / "root").mkdir()
    with pytest.raises(rootfs.RootError, match=r"pip could not install lock\.txt"):
        rootfs.make_root(tmp_path / "root", tmp_path / "lock.txt", (), Task("root", 1, Commands()))


@contextmanager
def unpacked(archive: Path, folder: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yields the command that runs a program in the image as a pod does (read-only root, user 65532), and its environment."""
    folder.mkdir()
    layout = Layout(archive)
    with tarfile.open(fileobj=io.BytesIO(layout.layer)) as layer:
        extract(layer, folder, "fully_trusted")
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot --userspec=65532:65532 "$0" "$@"'
    environment = dict(entry.split("=", 1) for entry in layout.image["config"]["Env"])
    yield ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, str(folder)], environment
    shutil.rmtree(folder)


@LONG
@NEEDS_ROOT
@pytest.mark.parametrize("image", ["runtime", "released"])
def test_the_runtimes_image_serves_on_a_read_only_root(image: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with unpacked(request.getfixturevalue(image), tmp_path / "root") as (inside, environment):
        (tmp_path / "root" / "flow").write_text(ECHO)
        (tmp_path / "log").touch()
        began = time.monotonic()
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                [*inside, "/usr/local/bin/python3", "-m", "dynamiq_runtime", "serve"],
                env=environment | {"DYNAMIQ_FLOW": "/flow", "PORT": "0", "DYNAMIQ_METRICS_PORT": "0", "PATH": os.environ["PATH"]},
                stdout=log,
                stderr=log,
            )
        try:
            eventually("it serves", lambda: "serving" in (tmp_path / "log").read_text() or process.poll() is not None)
            assert process.poll() is None, (tmp_path / "log").read_text()
            print(f"the image's server listened after {time.monotonic() - began:.2f} s")
            port = json.loads((tmp_path / "log").read_text().splitlines()[0])["port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
                assert answer.status == 200
            owner = Path(f"/proc/{process.pid}/status").read_text()
            assert "Uid:\t65532\t65532\t65532\t65532" in owner
        finally:
            process.terminate()
            assert process.wait(60) == 0


@LONG
@NEEDS_ROOT
def test_every_library_and_locked_package_is_in_the_image(archives: dict[str, Path], tmp_path: Path) -> None:
    for image, modules in (
        (images.RUNTIME, "aiohttp, yaml._yaml, RestrictedPython, prometheus_client, ssl, ctypes, uuid, zoneinfo"),
        (images.OPERATOR, "aiohttp, kopf, kubernetes.aio.client, pydantic, rfc8785, yaml, ssl, socket, dynamiq_operator"),
    ):
        with unpacked(archives[image.reference], tmp_path / image.name) as (inside, environment):
            script = f"import {modules}; ssl.create_default_context(); import socket; print(socket.gethostbyname('127.0.0.1'))"
            done = subprocess.run(
                [*inside, "/usr/local/bin/python3", "-c", script],
                env=environment | {"PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout) == (0, "127.0.0.1\n"), done.stderr

"""Builds the parts of a release: the wheels of operator and plugin, the Helm chart, and manifests.

An installation has one file of manifests for each range of Kubernetes versions; gate, recorder and journal have one each. The version is
that of pyproject.toml, the only place that names one. The same checkout gives the same bytes: a wheel is built from a copy without
leftovers of older builds, with fixed times and modes. It builds the console if the cache does not have it; only that may need a network.
It pushes nowhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from local import borrowed, console_build, images, rootfs
from local.chart.build import pack
from local.errors import LocalError
from local.images import REPOSITORY, version

OUT = REPOSITORY / "build" / "dist"
SUMS = "SHA256SUMS"
BUNDLES = {
    "": "manifests",
    "-before-1.36": "manifests/overlays/before-1.36",
    "-gate": "manifests/gate",
    "-recorder": "manifests/recorder",
    "-journal": "manifests/journal",
}
"""The ending of each bundle's name, and the kustomization that it is made of."""
PACKAGED = (*(REPOSITORY / name for name in ("pyproject.toml", "README.md")), *(image.source for image in images.ALWAYS))
PLUGIN = REPOSITORY / "operator" / "kubectl"
"""The project of the plugin's wheel, which gets its modules from the operator's sources."""
ZIP_EPOCH = "315532800"
"""1980-01-01 in Unix seconds: the first moment that a zip file can hold."""
BUILD_WHEEL = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


class DistError(LocalError):
    """A part of the release that could not be built; the message names it, and shows the output of the program."""


def build(out: Path) -> list[Path]:
    """Builds wheels, chart and bundles into `out`, with their SHA-256 sums in one more file. Raises DistError, BuildError."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [build_wheel(out), build_plugin(out), pack(out, int(ZIP_EPOCH)), *(bundle(out, suffix) for suffix in BUNDLES)]
    (out / SUMS).write_text(sums(paths))
    return [*paths, out / SUMS]


def sums(paths: Iterable[Path]) -> str:
    """Returns the lines that `sha256sum --check` reads, sorted by name."""
    return "".join(f"{sha256_of(path)}  {path.name}\n" for path in sorted(paths))


def sha256_of(path: Path) -> str:
    """Returns the digest of a file's content, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def build_wheel(out: Path) -> Path:
    """Builds the wheel with the packages of operator, reference runtime and recorder, and the console, without the plugin.

    Raises DistError, BuildError.
    """
    with _sources(PACKAGED) as source:
        console_build.copy(console_build.ensure(), source / console_build.STATIC.relative_to(REPOSITORY))
        return _wheel(out, source, "the wheel")


def build_plugin(out: Path) -> Path:
    """Builds the wheel of the kubectl plugin, with the operator's modules that it imports. Raises DistError."""
    with _sources([PLUGIN, images.OPERATOR.source]) as source:
        return _wheel(out, source / PLUGIN.relative_to(REPOSITORY), "the plugin's wheel")


@contextlib.contextmanager
def _sources(paths: Iterable[Path]) -> Iterator[Path]:
    """Yields a folder with a copy of these parts of the repository, at the same places in it; deletes it afterwards."""
    with tempfile.TemporaryDirectory(prefix="dynamiq-dist-") as folder:
        source = Path(folder)
        for path in paths:
            _copy(path, source / path.relative_to(REPOSITORY))
        yield source


def _wheel(out: Path, project: Path, what: str) -> Path:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": ZIP_EPOCH, "PYTHONDONTWRITEBYTECODE": "1"}
    output = _run(what, [sys.executable, "-c", BUILD_WHEEL, str(out.resolve())], project, environment)
    return out / output.splitlines()[-1]


def bundle(out: Path, suffix: str) -> Path:
    """Writes the manifests of a whole installation to one file, as `kubectl kustomize` prints them. Raises DistError."""
    path = out / bundle_name(version(), suffix)
    path.write_text(_run(path.name, [str(borrowed.kubectl()), "kustomize", BUNDLES[suffix]], REPOSITORY, dict(os.environ)))
    return path


def bundle_name(of_version: str, suffix: str) -> str:
    """Returns the name of a bundle's file."""
    return f"dynamiq-operator-{of_version}{suffix}.yaml"


def _copy(source: Path, target: Path) -> None:
    """Copies a file, or a package's sources, with modes that do not depend on the umask at the checkout."""
    for path in rootfs.sources(source) if source.is_dir() else [source]:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
        copy.chmod(0o644)
    for folder in filter(Path.is_dir, target.rglob("*")):
        folder.chmod(0o755)


def _run(what: str, command: list[str], cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment, umask=0o022, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DistError(f"{what} could not be built, {command[0]} ended with exit code {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout


def main() -> int:
    """Rebuilds everything into build/dist/, prints the files and returns the exit code."""
    shutil.rmtree(OUT, ignore_errors=True)
    try:
        paths = build(OUT)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"version {version()}, in {OUT.relative_to(REPOSITORY)}/:")
    for path in paths:
        print(f"  {path.name}  {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

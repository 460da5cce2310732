"""Installs a release from its files alone on a fresh cluster, and runs the demo there.

What is installed comes from the release's folder: its files are laid out as the demo names them, apart from this checkout, which gives the
Kubernetes and what looks on. The plugin of kubectl is installed from its wheel by the lock that comes along, which downloads packages. The
sums are compared first, and each image with the digest that the release says. What is installed is the manifests; the chart is rendered by the real
helm with the images by their digests, and has to name no other ones. A check that ends well leaves nothing running.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

import yaml
from uv import find_uv_bin

from local import clusters, dist, gateway, images, prepare
from local.archives import extract
from local.clusters import Cluster
from local.demo import Demo
from local.errors import LocalError
from local.progress import say
from local.release import chart, layout
from local.release.layout import Index, LayoutError
from local.transcript import Transcript, heading

NAME = "release-check"


@dataclass(frozen=True)
class Release:
    """A release in `folder` whose files are what it says."""

    folder: Path
    index: Index

    def archives(self) -> dict[str, Path]:
        """The images by their names."""
        return {name: self.folder / each.file for name, each in self.index.images.items()}

    def lay_out(self, root: Path) -> None:
        """Fills the new folder `root` as a checkout is: `manifests`, with the gate and the recorder in it, and `examples`."""
        for suffix, folder in dist.BUNDLES.items():
            bundle = dist.bundle_name(self.index.version, suffix)
            place = root / folder
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.folder / bundle, place)
            (place / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [bundle]}))
        with tarfile.open(self.folder / layout.examples(self.index.version)) as archive:
            extract(archive, root, "data")

    def wheel(self) -> Path:
        """The wheel with the plugin of kubectl."""
        return self.folder / layout.wheel(layout.PLUGIN, self.index.version)

    def require_chart(self) -> None:
        """Refuses a chart in which helm finds something to mend, or whose pods would run another image than the release's. Raises LayoutError."""
        archive = self.folder / layout.chart(self.index.version)
        digests = {name.rpartition(":")[0]: each.digest for name, each in self.index.images.items()}
        used = chart.images(archive, {name.rpartition("/")[2]: digest for name, digest in digests.items()})
        if others := used - {f"{name}@{digest}" for name, digest in digests.items()}:
            raise LayoutError(f"{archive.name} names images that the release has not: {', '.join(sorted(others))}")


def verified(folder: Path) -> Release:
    """The release in `folder`. Raises LayoutError where a file is missing, or it or an image is another one than it says."""
    layout.require_sums(folder)
    release = Release(folder, layout.read(folder))
    layout.require_complete(folder, release.index)
    for name, archive in release.index.images.items():
        if (found := images.digest_of(folder / archive.file)) != archive.digest:
            raise LayoutError(f"{archive.file} has the image {found}, and {layout.INDEX} says {name} is {archive.digest}")
    return release


def check(folder: Path, work: Path, profile: str | None = None) -> None:
    """Installs the release in `folder` and runs the demo; `work` is made anew for what it takes. Raises LayoutError, LocalError, ChartError."""
    release = verified(folder)
    heading(
        f"Release {release.index.version} of {release.index.commit[:12]}: {len(release.index.images)} images, every file as its sum says"
    )
    release.require_chart()
    say(f"{layout.chart(release.index.version)}: helm lints and renders it, with these images by their digests")
    shutil.rmtree(work, ignore_errors=True)
    release.lay_out(work / "installation")
    plugin = _install_plugin(release.wheel(), work / "plugin")
    heading("A fresh Kubernetes")
    clusters.stop(NAME)
    cluster = clusters.start(NAME, profile, prepared=prepare.for_release)
    try:
        _require_pods(cluster)
        in_front = gateway.start(cluster) if cluster.profile == "node" else None
        Demo(cluster, Transcript(cluster, work / "installation", plugin), in_front, release.archives).run()
    except LocalError:
        say(f"cluster {NAME} goes on running, to be looked at; stop it: {sys.executable} -m local down --name {NAME}")
        raise
    clusters.stop(NAME)
    heading(f"Release {release.index.version} installs and works")


def _require_pods(cluster: Cluster) -> None:
    if not cluster.real_pods:
        raise LocalError("the pods of this machine are simulated, and a release is images: be root on Linux, or start Docker")


def _install_plugin(wheel: Path, environment: Path) -> Path:
    """An environment of its own with the wheel and what its lock names; returns the folder of its programs. Raises LocalError."""
    say(f"installing {wheel.name} and what its lock names")
    venv.create(environment, with_pip=False)
    install = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(environment / "bin" / "python"), "--no-deps"]
    _run([*install, "--require-hashes", "--requirement", str(wheel.with_name(layout.beside(wheel.name, layout.REQUIREMENTS)))])
    _run([*install, str(wheel)])
    return environment / "bin"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"the plugin of kubectl could not be installed:\n{done.stderr.strip()}")

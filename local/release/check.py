"""Installs a release from its files alone on a fresh cluster, and runs the demo there.

The release's files are laid out as the demo names them, apart from this checkout, which provides the Kubernetes and the checks. The plugin
of kubectl is installed from its wheel by the lock beside it, which downloads packages. Sums are compared first, and each image with its
digest in the release. The manifests are installed; the real helm renders the chart with the images by their digests, and it may name no
others. A successful check leaves nothing running.
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
from local.chart.build import package_name
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
    """A release in `folder` whose files have been verified."""

    folder: Path
    index: Index

    def archives(self) -> dict[str, Path]:
        """Returns the images by their names."""
        return {name: self.folder / each.file for name, each in self.index.images.items()}

    def lay_out(self, root: Path) -> None:
        """Fills the new folder `root` like a checkout: `manifests`, with gate, recorder and journal in it, and `examples`."""
        for suffix, folder in dist.BUNDLES.items():
            bundle = dist.bundle_name(self.index.version, suffix)
            place = root / folder
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.folder / bundle, place)
            (place / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [bundle]}))
        with tarfile.open(self.folder / layout.examples(self.index.version)) as archive:
            extract(archive, root, "data")

    def wheel(self) -> Path:
        """Returns the wheel with the plugin of kubectl."""
        return self.folder / layout.wheel(layout.PLUGIN, self.index.version)

    def require_chart(self) -> None:
        """Refuses a chart that helm's lint refuses, or whose pods would run images of other digests. Raises LayoutError."""
        archive = self.folder / package_name(self.index.version)
        digests = {name.rpartition(":")[0]: each.digest for name, each in self.index.images.items()}
        used = chart.images(archive, {name.rpartition("/")[2]: digest for name, digest in digests.items()})
        if others := used - {f"{name}@{digest}" for name, digest in digests.items()}:
            raise LayoutError(f"{archive.name} names images that are not in the release: {', '.join(sorted(others))}")


def verified(folder: Path) -> Release:
    """Returns the release in `folder`. Raises LayoutError if a file is missing, or a file or an image differs from the release's sums."""
    layout.require_sums(folder)
    release = Release(folder, layout.read(folder))
    layout.require_complete(folder, release.index)
    for name, archive in release.index.images.items():
        if (digest := images.digest_of(folder / archive.file)) != archive.digest:
            raise LayoutError(f"{archive.file} has the image {digest}, and {layout.INDEX} says {name} is {archive.digest}")
    return release


def check(folder: Path, work: Path, profile: str | None = None) -> None:
    """Installs the release in `folder` and runs the demo; `work` is emptied for its files. Raises LayoutError, LocalError, ChartError."""
    release = verified(folder)
    heading(
        f"Release {release.index.version} of {release.index.commit[:12]}: {len(release.index.images)} images, and every file has its sum"
    )
    release.require_chart()
    say(f"{package_name(release.index.version)}: helm lints and renders it, with these images by their digests")
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
        raise LocalError("pods of this machine are simulated and run no images: be root on Linux, or start Docker")


def _install_plugin(wheel: Path, environment: Path) -> Path:
    """Makes an environment with the wheel and its locked packages; returns the folder of its programs. Raises LocalError."""
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

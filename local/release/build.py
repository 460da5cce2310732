"""Makes the files of a release in one folder: wheels, images, manifests, the chart, examples, bills of materials, the changes, and the sums
of all.

The same commit gives the same bytes: images are made of Debian's packages by hash, with the commit's time (or `SOURCE_DATE_EPOCH`). It
refuses a version that is not the project's, uncommitted files, and an image with a package that no lock names. It pushes nowhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from local import console_build, debian, debian_lock, dist, images
from local.archives import add
from local.errors import LocalError
from local.images import REPOSITORY, Image, Recipe
from local.progress import say
from local.release import changelog, layout, parts, sbom
from local.release.layout import Archive, Index

OUT = REPOSITORY / "build" / "release"
IMAGES = REPOSITORY / "build" / "images"
LOCKS = REPOSITORY / "locks"
LOCK_OF_WHEEL = {layout.SERVERS: "operator.txt", layout.PLUGIN: "kubectl.txt"}
"""The lock by which a wheel's dependencies can be installed, by the beginning of the wheel's file name."""
EXAMPLES = REPOSITORY / "examples"


class ReleaseError(LocalError):
    """A checkout from which a release can't be built; the message explains why."""


def build(version: str, out: Path = OUT) -> list[Path]:
    """Makes the release again in `out`, and returns its files. Raises ReleaseError, and the errors of its parts."""
    require_version(version)
    require_own(out)
    log = (REPOSITORY / "CHANGELOG.md").read_text()
    changes = changelog.notes(log, version)
    if changelog.unreleased(log):
        say("CHANGELOG.md has unreleased entries: this release has them, and its notes list them")
    commit, epoch = source()
    shutil.rmtree(out, ignore_errors=True)
    dist.build(out)
    index = Index(version, commit, epoch, {image.reference: _image(image, out, commit, epoch) for image in images.ALWAYS})
    for distribution in layout.WHEELS:
        _beside_wheel(out / layout.wheel(distribution, version), distribution, index)
    _pack(EXAMPLES, out / layout.examples(version), epoch)
    (out / layout.NOTES).write_text(changes)
    (out / layout.INDEX).write_text(index.written())
    paths = sorted(path for path in out.iterdir() if path.name != dist.SUMS)
    if differing := {path.name for path in paths} ^ set(layout.files(index)):
        raise ReleaseError(f"the files of a release differ from its list: {', '.join(sorted(differing))}")
    (out / dist.SUMS).write_text(dist.sums(paths))
    return [*paths, out / dist.SUMS]


def require_version(version: str) -> None:
    """Refuses a version that the checkout does not have: its manifests, images and packages name another. Raises ReleaseError."""
    if version != images.version():
        raise ReleaseError(
            f"VERSION must be {images.version()}, as in pyproject.toml, got {version!r}. CONTRIBUTING.md has the steps of a release"
        )


def require_own(out: Path) -> None:
    """Refuses a folder with anything but a release: all its content is deleted later. Raises ReleaseError."""
    if out != OUT and out.exists() and any(out.iterdir()) and not (out / dist.SUMS).exists():
        raise ReleaseError(f"{out} has files that are not a release, and they would be deleted: name an empty or a new folder")


def source() -> tuple[str, int]:
    """Returns the commit, and its time in Unix seconds or `SOURCE_DATE_EPOCH`. Raises ReleaseError if files are uncommitted."""
    if changed := _git("status", "--porcelain", "--", *_released()).splitlines():
        named = ", ".join(line[3:] for line in changed[:5])
        raise ReleaseError(f"a release is made from a commit: commit these files first: {named}")
    return _git("rev-parse", "HEAD").strip(), commit_time()


def commit_time() -> int:
    """Returns `SOURCE_DATE_EPOCH`, else the commit's time, in Unix seconds. Raises ReleaseError without both."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))


def _released() -> Iterator[str]:
    """Yields the paths that a release is made of."""
    yield from ("CHANGELOG.md", "README.md", "pyproject.toml", "crds", "examples", "local", "locks", "manifests", "operator")


def archive(image: Image, out: Path, epoch: int) -> Path:
    """Copies the archive of an image into `out`, with files of this time in Unix seconds. Raises ImageError, BuildError."""
    # Debian's Python has no tools that make a wheel: with such packages the base is this machine's.
    recipe = images.FOR_THIS_MACHINE if image.built else Recipe(debian.DEBIAN, epoch)
    (built,) = images.ensure([image], recipe).values()
    out.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(built, out / layout.image(image.name, images.version(), images.architecture())))


def _image(image: Image, out: Path, commit: str, epoch: int) -> Archive:
    """Makes an image with its bill of materials."""
    path = archive(image, out, epoch)
    content = parts.of_image(path)
    packages = debian_lock.parse(debian_lock.LOCK.read_text()).packages
    if unlocked := parts.unlocked(content.parts, parts.of_lock(image.lock.read_text()), packages):
        raise ReleaseError(f"image {image.name} has packages that no lock names: {', '.join(unlocked)}")
    beside = layout.beside(path.name, layout.SBOM)
    listed = [*parts.with_hashes(content.parts, packages), *(_console() if image.console else [])]
    subject = sbom.image(image.reference, content.architecture, content.digest)
    (out / beside).write_text(sbom.written(subject, listed, epoch=epoch, commit=commit))
    return Archive(path.name, content.digest, beside)


def _beside_wheel(wheel: Path, distribution: str, index: Index) -> None:
    """Writes the wheel's bill of materials, and its lock beside it.

    The bill lists what the wheel contains of other projects, and what its lock installs with it.
    """
    lock = (LOCKS / LOCK_OF_WHEEL[distribution]).read_text()
    listed = [*parts.of_lock(lock), *(_console() if distribution == layout.SERVERS else [])]
    sha256 = dist.sha256_of(wheel)
    subject = sbom.wheel(distribution.replace("_", "-"), index.version, sha256)
    wheel.with_name(layout.beside(wheel.name, layout.SBOM)).write_text(
        sbom.written(subject, listed, epoch=index.epoch, commit=index.commit)
    )
    wheel.with_name(layout.beside(wheel.name, layout.REQUIREMENTS)).write_text(lock)


def _console() -> list[parts.Part]:
    return parts.of_console((console_build.SOURCE / "package-lock.json").read_text())


def _pack(folder: Path, out: Path, epoch: int) -> None:
    """Packs the files of a folder, below its name, without owners and with one time."""
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            add(archive, path.relative_to(folder.parent).as_posix(), path.read_bytes(), epoch)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ReleaseError("there is no git, which names the commit of a release and its time") from error
    if done.returncode:
        raise ReleaseError(f"`git {' '.join(arguments[:2])}` failed, which names a release's commit and its time:\n{done.stderr.strip()}")
    return done.stdout

"""The files of a release: their names, and what `release.json` says of them. All are in one folder, as a forge shows them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.version import Version

from local.dist import BUNDLES, bundle_name

SUMS = "SHA256SUMS"
INDEX = "release.json"
NOTES = "CHANGES.md"
SBOM = ".cdx.json"
REQUIREMENTS = ".requirements.txt"
SERVERS, PLUGIN = "dynamiq_operator", "dynamiq_kubectl"
WHEELS = (SERVERS, PLUGIN)
"""The distributions, as files of wheels begin."""


class LayoutError(Exception):
    """A file of the release is missing, is too much, or is another one than the release says."""


@dataclass(frozen=True)
class Archive:
    """One image: its file, the digest of its manifest, and its bill of materials."""

    file: str
    digest: str
    sbom: str


@dataclass(frozen=True)
class Index:
    """What `release.json` says: the version, the commit and its time in Unix seconds, and the images by the names that the manifests use."""

    version: str
    commit: str
    epoch: int
    images: Mapping[str, Archive]

    def written(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def read(folder: Path) -> Index:
    """What the release in `folder` says of itself. Raises LayoutError."""
    try:
        found = json.loads((folder / INDEX).read_text())
        images = {name: Archive(**archive) for name, archive in found["images"].items()}
        return Index(found["version"], found["commit"], found["epoch"], images)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LayoutError(f"{folder} is no release: {INDEX} can't be read ({error}); build one, `make release VERSION=…`") from error


def files(index: Index) -> list[str]:
    """Every file of a release but its sums, sorted."""
    version = index.version
    images = [name for archive in index.images.values() for name in (archive.file, archive.sbom)]
    wheels = [wheel(distribution, version) for distribution in WHEELS]
    with_wheels = [beside(name, ending) for name in wheels for ending in (SBOM, REQUIREMENTS)]
    bundles = [bundle_name(version, suffix) for suffix in BUNDLES]
    return sorted([*images, *wheels, *with_wheels, *bundles, chart(version), examples(version), NOTES, INDEX])


def wheel(distribution: str, version: str) -> str:
    """A wheel, which has the version in the form of Python's packages: `1.2.0rc1` for `1.2.0-rc1`."""
    return f"{distribution}-{Version(version)}-py3-none-any.whl"


def chart(version: str) -> str:
    """The Helm chart, as helm names its package."""
    return f"dynamiq-{version}.tgz"


def examples(version: str) -> str:
    """The archive with the folder `examples`."""
    return f"dynamiq-examples-{version}.tar"


def image(name: str, version: str, architecture: str) -> str:
    """The OCI archive of an image."""
    return f"{name}-{version}-linux-{architecture}.oci.tar"


def beside(file: str, ending: str) -> str:
    """The name of what belongs to a file: its bill of materials, or the lock of a wheel."""
    for known in (".oci.tar", ".whl"):
        file = file.removesuffix(known)
    return file + ending


def sums(paths: Iterable[Path]) -> str:
    """The lines that `sha256sum --check` reads."""
    return "".join(f"{_sha256(path)}  {path.name}\n" for path in sorted(paths))


def require_sums(folder: Path) -> None:
    """Refuses a release with a file that its sums do not name, without one that they name, or with another one. Raises LayoutError."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except OSError as error:
        raise LayoutError(f"{folder} has no {SUMS}: build a release, `make release VERSION=…`") from error
    named = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    present = {path.name for path in folder.iterdir()} - {SUMS}
    for what, names in (("is missing", named.keys() - present), (f"is not in {SUMS}", present - named.keys())):
        if names:
            raise LayoutError(f"{', '.join(sorted(names))} {what}")
    for name, sha256 in named.items():
        if _sha256(folder / name) != sha256:
            raise LayoutError(f"{name} is not the file that {SUMS} names")


def require_complete(folder: Path, index: Index) -> None:
    """Refuses a release without a file that every release has. Raises LayoutError."""
    if absent := [name for name in files(index) if not (folder / name).is_file()]:
        raise LayoutError(f"{folder} is not a whole release: {', '.join(absent)} is missing")


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()

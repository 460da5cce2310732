"""Names the files of a release, and reads and writes `release.json`. All files are in one folder, as a forge shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.version import Version

from local.chart.build import package_name
from local.dist import BUNDLES, SUMS, bundle_name, sha256_of
from local.errors import LocalError

INDEX = "release.json"
NOTES = "CHANGES.md"
SBOM = ".cdx.json"
REQUIREMENTS = ".requirements.txt"
SERVERS, PLUGIN = "dynamiq_operator", "dynamiq_kubectl"
WHEELS = (SERVERS, PLUGIN)
"""The distributions, as the file names of wheels begin."""


class LayoutError(LocalError):
    """A file of the release that is missing, superfluous, or different from the release's sums."""


@dataclass(frozen=True)
class Archive:
    """One image: its file, the digest of its manifest, and its bill of materials."""

    file: str
    digest: str
    sbom: str


@dataclass(frozen=True)
class Index:
    """The content of `release.json`: the version, the commit and its time in Unix seconds, and the images by their names in the manifests."""

    version: str
    commit: str
    epoch: int
    images: Mapping[str, Archive]

    def written(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def read(folder: Path) -> Index:
    """Reads `release.json` of the release in `folder`. Raises LayoutError."""
    try:
        content = json.loads((folder / INDEX).read_text())
        images = {name: Archive(**archive) for name, archive in content["images"].items()}
        return Index(content["version"], content["commit"], content["epoch"], images)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LayoutError(f"{folder} is no release: {INDEX} can't be read ({error}); build one, `make release VERSION=…`") from error


def files(index: Index) -> list[str]:
    """Lists every file of a release but its sums, sorted."""
    version = index.version
    images = [name for archive in index.images.values() for name in (archive.file, archive.sbom)]
    wheels = [wheel(distribution, version) for distribution in WHEELS]
    with_wheels = [beside(name, ending) for name in wheels for ending in (SBOM, REQUIREMENTS)]
    bundles = [bundle_name(version, suffix) for suffix in BUNDLES]
    return sorted([*images, *wheels, *with_wheels, *bundles, package_name(version), examples(version), NOTES, INDEX])


def wheel(distribution: str, version: str) -> str:
    """Returns the name of a wheel, which has the version in Python's form: `1.2.0rc1` for `1.2.0-rc1`."""
    return f"{distribution}-{Version(version)}-py3-none-any.whl"


def examples(version: str) -> str:
    """Returns the name of the archive with the folder `examples`."""
    return f"dynamiq-examples-{version}.tar"


def image(name: str, version: str, architecture: str) -> str:
    """Returns the name of an image's OCI archive."""
    return f"{name}-{version}-linux-{architecture}.oci.tar"


def beside(file: str, ending: str) -> str:
    """Returns the name of a file's companion: its bill of materials, or the lock of a wheel."""
    for known in (".oci.tar", ".whl"):
        file = file.removesuffix(known)
    return file + ending


def require_sums(folder: Path) -> None:
    """Refuses a release if a file is missing from its sums or from the folder, or differs. Raises LayoutError."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except OSError as error:
        raise LayoutError(f"{folder} has no {SUMS}: build a release, `make release VERSION=…`") from error
    named = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    present = {path.name for path in folder.iterdir()} - {SUMS}
    for problem, names in (("is missing", named.keys() - present), (f"is not in {SUMS}", present - named.keys())):
        if names:
            raise LayoutError(f"{', '.join(sorted(names))} {problem}")
    for name, sha256 in named.items():
        if sha256_of(folder / name) != sha256:
            raise LayoutError(f"{name} is not the file that {SUMS} names")


def require_complete(folder: Path, index: Index) -> None:
    """Refuses a release without a file that every release has. Raises LayoutError."""
    if absent := [name for name in files(index) if not (folder / name).is_file()]:
        raise LayoutError(f"{folder} is not a whole release: {', '.join(absent)} is missing")

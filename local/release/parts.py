"""Lists the packages in an image or a wheel: from the finished archive, from a lock, and from npm's.

For an image it trusts its layers: the records of Debian's packages and the metadata of Python's. It runs nothing of it.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.parser import BytesParser
from pathlib import Path
from typing import Literal

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from local.debian_lock import PYTHON, Package
from local.errors import LocalError

Kind = Literal["deb", "npm", "pypi"]
STATUS = "var/lib/dpkg/status"
"""One file of all packages, or with `.d` a folder with a file of each, as in images without a package manager."""
INSTALLED = "install ok installed"
METADATA = ".dist-info/METADATA"
OS_RELEASE = "usr/lib/os-release"
IN_A_POD = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "implementation_name": "cpython"} | {
    "platform_python_implementation": "CPython",
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.0",
    "extra": "",
}
"""Markers of a lock that decide which packages an image gets."""


class PartsError(LocalError):
    """An archive or a lock that can't be read, or has forbidden content; the message names it."""


@dataclass(frozen=True, order=True)
class Part:
    """One package. `licence`: from its metadata. Only Debian's packages have `architecture` and `distribution` (`debian-12`)."""

    kind: Kind
    name: str
    version: str
    licence: str = ""
    architecture: str = ""
    distribution: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Image:
    """The content of an OCI archive: the digest of its manifest, its architecture, and its packages, sorted."""

    digest: str
    architecture: str
    parts: tuple[Part, ...]


def of_image(archive: Path) -> Image:
    """Reads an OCI archive. Raises PartsError."""
    try:
        with tarfile.open(archive) as layout:
            descriptor = json.loads(_content(layout, "index.json"))["manifests"][0]
            manifest = json.loads(_content(layout, _blob(descriptor["digest"])))
            config = json.loads(_content(layout, _blob(manifest["config"]["digest"])))
            files = {name: text for each in manifest["layers"] for name, text in _records(layout, _blob(each["digest"]))}
    except (tarfile.TarError, KeyError, IndexError, ValueError) as error:
        raise PartsError(f"{archive.name} is no OCI archive: {error}") from error
    return Image(descriptor["digest"], config["architecture"], tuple(sorted(_parts(files))))


def of_lock(text: str, markers: Mapping[str, str] = IN_A_POD) -> list[Part]:
    """Returns the packages that a lock of pip's names for one kind of machine, sorted."""
    lines = (line.removesuffix("\\").strip() for line in text.splitlines() if line[:1].isalnum())
    parts = []
    for requirement in map(Requirement, lines):
        (pin,) = requirement.specifier
        if _applies(requirement.marker, markers):
            parts.append(Part("pypi", canonicalize_name(requirement.name), pin.version))
    return sorted(parts)


def of_console(text: str) -> list[Part]:
    """Returns those packages of a `package-lock.json` that a browser gets, without those that build and test. Sorted."""
    packages = json.loads(text)["packages"]
    bundled = {path: each for path, each in packages.items() if path and not (each.get("dev") or each.get("optional"))}
    return sorted(
        Part("npm", path.rpartition("node_modules/")[2], each["version"], each.get("license", "")) for path, each in bundled.items()
    )


def with_hashes(parts: Iterable[Part], packages: Iterable[Package]) -> list[Part]:
    """Returns the parts; those of Debian have the SHA-256 that the lock has for their file."""
    known = {(each.name, each.version): each.sha256 for each in packages}
    return [replace(each, sha256=known.get((each.name, each.version), "")) if each.kind == "deb" else each for each in parts]


def unlocked(parts: Iterable[Part], locked: Iterable[Part], packages: Iterable[Package]) -> list[str]:
    """Lists the packages of an image that no lock names in this version: they are unreviewed."""
    known = {(each.kind, each.name, each.version) for each in locked} | {("deb", each.name, each.version) for each in packages}
    return [f"{each.name} {each.version}" for each in parts if each.kind != "npm" and (each.kind, each.name, each.version) not in known]


def _applies(marker: Marker | None, markers: Mapping[str, str]) -> bool:
    return marker is None or marker.evaluate(dict(markers))


def _parts(files: Mapping[str, bytes]) -> Iterator[Part]:
    distribution = _distribution(files.get(OS_RELEASE, b"").decode())
    for name, content in files.items():
        if name.endswith(METADATA):
            headers = BytesParser().parsebytes(content, headersonly=True)
            licence = headers["License-Expression"] or headers["License"] or ""
            yield Part("pypi", canonicalize_name(headers["Name"]), headers["Version"], licence if "\n" not in licence else "")
        elif name != OS_RELEASE:
            for record in map(BytesParser().parsebytes, content.strip().split(b"\n\n")):
                if record.get("Status", INSTALLED) == INSTALLED:
                    yield Part("deb", record["Package"], record["Version"], architecture=record["Architecture"], distribution=distribution)


def _distribution(os_release: str) -> str:
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return "-".join(values.get(key, "").strip('"') for key in ("ID", "VERSION_ID")) if values else ""


def _records(layout: tarfile.TarFile, blob: str) -> Iterator[tuple[str, bytes]]:
    """Yields the files of a layer that list installed packages."""
    with tarfile.open(fileobj=layout.extractfile(blob)) as layer:
        for member in layer:
            name = posixpath.normpath(member.name)
            if member.isfile() and (name in (STATUS, OS_RELEASE) or name.startswith(f"{STATUS}.d/") or name.endswith(METADATA)):
                yield name, _content(layer, member)


def _content(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    if content is None:
        raise PartsError(f"{member} is not a file")
    return content.read()


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")

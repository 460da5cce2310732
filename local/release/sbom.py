"""Writes the bill of materials of one file of a release, in CycloneDX's JSON.

It adds no time and no random number: the same file gives the same bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL

from local.errors import LocalError
from local.release.parts import Part

SCHEMA = SchemaVersion.V1_6
REVISION = "dynamiq:commit"
"""The property with the commit from which the file was made."""
NUMBERS = uuid.UUID("b0b4a3a1-5d0f-4a5c-9a2f-6f6a1a0f4b3e")
"""The namespace of the serial numbers, which are derived from a document's subject."""


class SbomError(LocalError):
    """A document that CycloneDX's schema refuses."""


@dataclass(frozen=True)
class Subject:
    """The subject of a document: an image or a wheel. `sha256`: of the image's manifest, or of the wheel."""

    type: ComponentType
    name: str
    version: str
    sha256: str
    purl: PackageURL


def image(reference: str, architecture: str, digest: str) -> Subject:
    """Returns an image as a subject, by its name, `host/path:tag`, and the digest of its manifest, `sha256:…`."""
    repository, _, tag = reference.rpartition(":")
    name = repository.rpartition("/")[2]
    qualifiers = {"arch": architecture, "repository_url": repository, "tag": tag}
    purl = PackageURL("oci", None, name, digest, qualifiers)
    return Subject(ComponentType.CONTAINER, repository, tag, digest.removeprefix("sha256:"), purl)


def wheel(name: str, version: str, sha256: str) -> Subject:
    """Returns a wheel as a subject, by the name of its distribution."""
    return Subject(ComponentType.APPLICATION, name, version, sha256, PackageURL("pypi", None, name, version))


def written(subject: Subject, parts: Iterable[Part], *, epoch: int, commit: str) -> str:
    """Returns the document, with the time `epoch` in Unix seconds. Raises SbomError."""
    root = Component(
        type=subject.type,
        name=subject.name,
        version=subject.version,
        purl=subject.purl,
        bom_ref=str(subject.purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=subject.sha256)],
        properties=[Property(name=REVISION, value=commit)],
    )
    components = [_component(part) for part in parts]
    bom = Bom(
        serial_number=uuid.uuid5(NUMBERS, f"{subject.purl}\0{subject.sha256}"),
        metadata=BomMetaData(component=root, timestamp=datetime.fromtimestamp(epoch, UTC)),
        components=components,
    )
    bom.register_dependency(root, components)
    # Imported here: its package makes parsers for a second, also in each process that collects tests.
    from cyclonedx.validation.json import JsonStrictValidator

    text = JsonV1Dot6(bom).output_as_string(indent=1)
    if error := JsonStrictValidator(SCHEMA).validate_str(text):
        raise SbomError(f"the bill of materials of {subject.name} is not valid: {error}")
    return text + "\n"


def _component(part: Part) -> Component:
    purl = _purl(part)
    return Component(
        type=ComponentType.LIBRARY,
        name=part.name,
        version=part.version,
        purl=purl,
        bom_ref=str(purl),
        licenses=[LicenseFactory().make_from_string(part.licence)] if part.licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)] if part.sha256 else [],
    )


def _purl(part: Part) -> PackageURL:
    if part.kind == "deb":
        return PackageURL("deb", "debian", part.name, part.version, {"arch": part.architecture, "distro": part.distribution})
    namespace, _, name = part.name.rpartition("/")  # npm's packages may have a scope
    return PackageURL(part.kind, namespace or None, name, part.version)

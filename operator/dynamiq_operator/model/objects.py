"""Parses API objects into typed values: metadata, and the spec and status as models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast

from pydantic import ValidationError

from dynamiq_operator.model import names
from dynamiq_operator.model.app import AppSpec
from dynamiq_operator.model.app_status import AppStatus
from dynamiq_operator.model.base import Part
from dynamiq_operator.model.manifests import Manifest as Manifest
from dynamiq_operator.model.manifests import format_time as format_time
from dynamiq_operator.model.manifests import parse_time as parse_time
from dynamiq_operator.model.row import Outcome, Phase, Pinned, RowSpec, RowStatus
from dynamiq_operator.model.runtime import RuntimeSpec

Spec = TypeVar("Spec", bound=Part)


@dataclass(frozen=True)
class Meta:
    """The fields of `metadata` that decisions need."""

    name: str
    namespace: str
    uid: str
    generation: int
    resource_version: str
    created: datetime
    deleting: bool
    annotations: Mapping[str, str]
    owners: frozenset[str] = frozenset()
    """Uids of the objects that own it."""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Meta:
        meta = raw["metadata"]
        return cls(
            name=meta["name"],
            namespace=meta.get("namespace", ""),
            uid=meta.get("uid", ""),
            generation=meta.get("generation", 0),
            resource_version=meta.get("resourceVersion", ""),
            created=parse_time(meta.get("creationTimestamp") or "1970-01-01T00:00:00Z"),
            deleting="deletionTimestamp" in meta,
            annotations=meta.get("annotations") or {},
            owners=frozenset(reference["uid"] for reference in meta.get("ownerReferences") or ()),
        )


@dataclass(frozen=True)
class Unreadable:
    """An object that this version of the operator cannot parse: its content is unknown, not absent.

    `why`: the first unreadable field, and its problem. `conditions`: those of its status, unchanged.
    """

    kind: str
    meta: Meta
    why: str
    conditions: tuple[Manifest, ...] = ()

    @classmethod
    def of(cls, kind: str, raw: Mapping[str, Any], error: Exception) -> Unreadable:
        conditions = (raw.get("status") or {}).get("conditions") or ()
        return cls(kind, Meta.of(raw), _why(error), tuple(conditions))

    @property
    def message(self) -> str:
        return f"{self.kind} {self.meta.name} cannot be read, perhaps since it was written for a newer version of the operator: {self.why}"


def _why(error: Exception) -> str:
    """Returns the first field that a model refuses, in words for a user. `error`: a ValidationError, or a KeyError for a missing part."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False)[0]
        value = "" if isinstance(first["input"], (dict, list)) else f" ({repr(first['input'])[:64]})"
        return f"{'.'.join(map(str, first['loc']))}{value}: {first['msg']}"
    return f"it has no field {error}" if isinstance(error, KeyError) else str(error)


@dataclass(frozen=True)
class Specified(Generic[Spec]):
    """An object whose status no decision reads."""

    meta: Meta
    spec: Spec
    _spec: ClassVar[type[Part]]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        return cls(Meta.of(raw), cast("Spec", cls._spec.model_validate(raw["spec"])))


@dataclass(frozen=True)
class App:
    meta: Meta
    spec: AppSpec
    status: AppStatus

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> App:
        return cls(Meta.of(raw), AppSpec.model_validate(raw["spec"]), AppStatus.model_validate(raw.get("status") or {}))


@dataclass(frozen=True)
class Row:
    """A row. `raw_spec`: the spec as stored, since digests cover fields that this version of the operator may not know."""

    meta: Meta
    spec: RowSpec
    status: RowStatus
    raw_spec: Mapping[str, Any]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Row:
        return cls(Meta.of(raw), RowSpec.model_validate(raw["spec"]), RowStatus.model_validate(raw.get("status") or {}), raw["spec"])

    @property
    def title(self) -> str:
        """The row's name in messages: `v2 (#5, support-x7k2p)`."""
        version = self.pinned.workflow_version if self.pinned else self.spec.workflow_version or "a deploy"
        number = f"#{self.sequence}, " if self.sequence else ""
        return f"{version} ({number}{self.name})"

    @property
    def name(self) -> str:
        return self.meta.name

    @property
    def sequence(self) -> int:
        """The row's sequence; 0 if it has none yet."""
        return self.spec.sequence or 0

    @property
    def pinned(self) -> Pinned | None:
        return self.spec.pinned

    @property
    def outcome(self) -> Outcome | None:
        return self.spec.outcome

    @property
    def phase(self) -> Phase | None:
        return self.status.phase


@dataclass(frozen=True)
class Version:
    """A WorkflowVersion without its flow. `flow_hash`: the hash of the flow's bytes."""

    name: str
    workflow: str
    version: str
    description: str | None
    flow_hash: str

    @property
    def number(self) -> int:
        return int(self.version.removeprefix("v"))


class Runtime(Specified[RuntimeSpec]):
    _spec = RuntimeSpec

    @property
    def age(self) -> tuple[object, ...]:
        """The sort key of Runtimes, the newest last."""
        return self.meta.created, names.natural(self.spec.version)


class Readable(Protocol):
    """An object of a class that parses JSON data."""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Parses the object. Raises pydantic.ValidationError, KeyError, TypeError and ValueError."""


T = TypeVar("T", bound=Readable)


def read(kind: type[T], raw: Mapping[str, Any]) -> T | Unreadable:
    """Parses an object; returns an Unreadable if this version of the operator cannot."""
    try:
        return kind.of(raw)
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        return Unreadable.of("Deployment" if kind is Row else kind.__name__, raw, error)

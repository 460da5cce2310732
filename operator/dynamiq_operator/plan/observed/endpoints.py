"""Watched EndpointSlices as values: which pods callers of an App's Service reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.endpoints import is_ready
from dynamiq_operator.desired.gate_slice import leads_to_gate
from dynamiq_operator.model import names
from dynamiq_operator.model.gates import GateState as GateState
from dynamiq_operator.model.objects import Manifest, parse_time


@dataclass(frozen=True)
class Gate:
    """The gate of sleeping Apps. `pods`: uids of its ready pods."""

    state: GateState = GateState.ABSENT
    pods: frozenset[str] = frozenset()

    @property
    def is_known(self) -> bool:
        """True if its pods can be read."""
        return self.state is not GateState.UNKNOWN

    @classmethod
    def of(cls, slices: Iterable[Slice] | None) -> Gate:
        """Returns the gate according to the slices of its own Service; None: unreadable. Without such slices it is not installed."""
        if slices is None:
            return cls(GateState.UNKNOWN)
        present = [each for each in slices if not each.deleting]
        pods = frozenset(endpoint.pod_uid for each in present for endpoint in each.endpoints if endpoint.ready and endpoint.pod_uid)
        return cls(GateState.READY if pods else GateState.DOWN if present else GateState.ABSENT, pods)


@dataclass(frozen=True)
class Endpoint:
    """One endpoint of a slice. `pod`: name of the pod at this address; empty if unknown. `note`: written by a pod of the gate."""

    addresses: tuple[str, ...]
    pod: str
    pod_uid: str
    ready: bool
    note: str = ""


@dataclass(frozen=True)
class Slice:
    """An EndpointSlice. `is_gates`: True if it leads to the gate. `port`: None if it has none, or several.

    `changed`: when it was last written, by the API server's clock, in whole seconds.
    """

    name: str
    uid: str
    version: str
    created: datetime
    changed: datetime
    service: str
    is_gates: bool
    deleting: bool
    endpoints: tuple[Endpoint, ...]
    port: int | None
    raw: Manifest

    @classmethod
    def of(cls, raw: Manifest) -> Slice:
        meta, ports = raw["metadata"], list(raw.get("ports") or ())
        labels = meta.get("labels") or {}
        created = parse_time(meta.get("creationTimestamp") or "1970-01-01T00:00:00Z")
        written = [parse_time(entry["time"]) for entry in meta.get("managedFields") or () if entry.get("time")]
        return cls(
            name=meta["name"],
            uid=meta.get("uid", ""),
            version=meta.get("resourceVersion", ""),
            created=created,
            changed=max([created, *written]),
            service=labels.get(names.SERVICE_OF_SLICE_LABEL, ""),
            is_gates=leads_to_gate(raw),
            deleting=is_ending(raw),
            endpoints=tuple(_endpoint(each) for each in raw.get("endpoints") or ()),
            port=ports[0].get("port") if len(ports) == 1 else None,
            raw=raw,
        )


@dataclass(frozen=True)
class ObservedEndpoints:
    """The ways by which callers of one App reach pods."""

    slices: tuple[Slice, ...] = ()
    """The watched EndpointSlices of its Service, including those of the gate."""
    gate: Gate = field(default_factory=Gate)
    """The gate, from the slices of its own Service."""
    gate_ports: frozenset[int] = frozenset()
    """Ports of the gate that slices of other Apps use."""


def _endpoint(raw: Mapping[str, Any]) -> Endpoint:
    target = raw.get("targetRef") or {}
    is_pod = target.get("kind") == "Pod"
    return Endpoint(
        addresses=tuple(raw.get("addresses") or ()),
        pod=target.get("name", "") if is_pod else "",
        pod_uid=target.get("uid", "") if is_pod else "",
        ready=is_ready(raw),
        note=raw.get("hostname") or "",
    )

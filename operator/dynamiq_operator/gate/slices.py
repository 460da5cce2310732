"""What the gate reads in EndpointSlices: a sleeping App, the pods of a Service, and the gate's own replicas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.endpoints import is_ready
from dynamiq_operator.desired.exposure import HTTP
from dynamiq_operator.model import names
from dynamiq_operator.model.gates import PORTS, GateNote
from dynamiq_operator.model.objects import Manifest

Key = tuple[str, str]
"""A namespace and a name in it: of a slice, or of a Service."""

Place = tuple[str, int]
"""Where a pod answers: an address and a port."""

KUBERNETES = "endpointslice-controller.k8s.io"
"""Who writes the slices of a Service that has a selector."""


class Unusable(Exception):  # noqa: N818 - it is no failure of the gate's
    """A slice of ours that says too little, or what cannot be; the message says which."""


@dataclass(frozen=True)
class Pod:
    """An endpoint of a Service that is not on its way out. `ready`: as Kubernetes says, which learns of it seconds after the pod."""

    address: str
    port: int
    ready: bool

    @property
    def place(self) -> Place:
        return self.address, self.port


@dataclass(frozen=True)
class Sleeper:
    """A sleeping App, as its gate slice says. `port`: of the gate."""

    slice: Key
    uid: str
    created: str
    port: int
    app: str
    service: Key
    address_type: str
    note: GateNote

    @property
    def namespace(self) -> str:
        return self.slice[0]

    @property
    def age(self) -> tuple[str, str]:
        """Sorts the older slice first, and two of one second always the same way."""
        return self.created, self.uid


def key_of(raw: Mapping[str, Any]) -> Key:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def service_of(raw: Mapping[str, Any]) -> Key:
    """The Service that a slice belongs to; its name is empty where it belongs to none."""
    return raw["metadata"].get("namespace", ""), labels_of(raw).get(names.SERVICE_OF_SLICE_LABEL, "")


def labels_of(raw: Mapping[str, Any]) -> Mapping[str, str]:
    return raw["metadata"].get("labels") or {}


def sleeper(raw: Manifest) -> Sleeper:
    """The App of a gate slice. Raises Unusable."""
    meta, ports = raw["metadata"], raw.get("ports") or []
    note = (meta.get("annotations") or {}).get(names.GATE_ANNOTATION)
    app, service = labels_of(raw).get(names.APP_LABEL, ""), service_of(raw)
    if note is None or not app or not service[1]:
        raise Unusable("it names no App, no Service, or says nothing about the App")
    if len(ports) != 1 or not isinstance(ports[0].get("port"), int):
        raise Unusable("it has not exactly one port")
    if ports[0]["port"] not in PORTS:
        raise Unusable(f"the gate has no port {ports[0]['port']}: from {PORTS[0]} to {PORTS[-1]}")
    try:
        read = GateNote.model_validate_json(note)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Unusable(
            f"its annotation {names.GATE_ANNOTATION} cannot be read: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    return Sleeper(
        key_of(raw), meta["uid"], meta.get("creationTimestamp", ""), ports[0]["port"], app, service, raw.get("addressType", ""), read
    )


def pods(raw: Manifest) -> Iterator[Pod]:
    """The pods of a slice that Kubernetes keeps for a Service. What ends gets no new call, whatever it says of itself."""
    port = _port(raw)
    if labels_of(raw).get(names.SLICE_MANAGER_LABEL) != KUBERNETES or port is None or is_ending(raw):
        return
    for endpoint in raw.get("endpoints") or []:
        conditions, target = endpoint.get("conditions") or {}, endpoint.get("targetRef") or {}
        if conditions.get("terminating") or target.get("kind") != "Pod" or not endpoint.get("addresses"):
            continue
        address = endpoint["addresses"][0]
        if _is_address(address):
            yield Pod(address, port, is_ready(endpoint))


def ready_uids(raw: Manifest) -> Iterator[str]:
    """Uids of the pods of a slice that are ready: of the gate's own Service, its replicas."""
    for endpoint in raw.get("endpoints") or ():
        if is_ready(endpoint):
            yield pod_uid(endpoint)


def pod_uid(endpoint: Mapping[str, Any]) -> str:
    return str((endpoint.get("targetRef") or {}).get("uid", ""))


def _port(raw: Manifest) -> int | None:
    ports = raw.get("ports") or ()
    named = [each["port"] for each in ports if each.get("name") == HTTP and isinstance(each.get("port"), int)]
    return named[0] if named else None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True

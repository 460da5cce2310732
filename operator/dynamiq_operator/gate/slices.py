"""Parses EndpointSlices into what the gate uses: a sleeping App, the pods of a Service, and the gate's own replicas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.endpoints import is_ready
from dynamiq_operator.desired.exposure import HTTP
from dynamiq_operator.kube.resources import Key, key_of
from dynamiq_operator.model import names
from dynamiq_operator.model.gates import PORTS, GateNote
from dynamiq_operator.model.objects import Manifest

Place = tuple[str, int]
"""Address and port at which a pod answers."""

KUBERNETES = "endpointslice-controller.k8s.io"
"""The manager of the slices of a Service with a selector."""


class Unusable(Exception):  # noqa: N818 - it is no failure of the gate's
    """A slice of ours with missing or invalid content; the message has the details."""


@dataclass(frozen=True)
class Pod:
    """An endpoint of a Service that is not terminating. `ready`: according to Kubernetes, which learns of it seconds after the pod."""

    address: str
    port: int
    ready: bool

    @property
    def place(self) -> Place:
        return self.address, self.port


@dataclass(frozen=True)
class Sleeper:
    """A sleeping App, as its gate slice describes it. `port`: the gate's."""

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
        """A sort key: the older slice first. Two of the same second always have the same order."""
        return self.created, self.uid


def service_of(raw: Mapping[str, Any]) -> Key:
    """Returns the Service of a slice; its name is empty if the slice belongs to none."""
    return raw["metadata"].get("namespace", ""), labels_of(raw).get(names.SERVICE_OF_SLICE_LABEL, "")


def labels_of(raw: Mapping[str, Any]) -> Mapping[str, str]:
    return raw["metadata"].get("labels") or {}


def sleeper(raw: Manifest) -> Sleeper:
    """Parses the App of a gate slice. Raises Unusable."""
    meta, ports = raw["metadata"], raw.get("ports") or []
    note = (meta.get("annotations") or {}).get(names.GATE_ANNOTATION)
    app, service = labels_of(raw).get(names.APP_LABEL, ""), service_of(raw)
    if note is None or not app or not service[1]:
        raise Unusable("it names no App or no Service, or has no facts about the App")
    if len(ports) != 1 or not isinstance(ports[0].get("port"), int):
        raise Unusable("it does not have exactly one port")
    if ports[0]["port"] not in PORTS:
        raise Unusable(f"the gate has no port {ports[0]['port']}: from {PORTS[0]} to {PORTS[-1]}")
    try:
        parsed_note = GateNote.model_validate_json(note)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Unusable(
            f"its annotation {names.GATE_ANNOTATION} cannot be read: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    return Sleeper(
        key_of(raw), meta["uid"], meta.get("creationTimestamp", ""), ports[0]["port"], app, service, raw.get("addressType", ""), parsed_note
    )


def pods(raw: Manifest) -> Iterator[Pod]:
    """Yields the pods of a slice that Kubernetes keeps for a Service. Terminating pods get no new call, even if they are ready."""
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
    """Yields the uids of the ready pods of a slice. In the gate's own Service those are its replicas."""
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

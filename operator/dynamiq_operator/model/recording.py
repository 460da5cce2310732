"""Defines what is recorded of an App's runs, and parses the recorder's URL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from dynamiq_operator.model.base import RULES, Part, rule
from dynamiq_operator.model.redaction import POSIX_CLASS, problem_of

_OWN_PORTS = {"http": 80, "https": 443}

FieldName = Annotated[str, Field(min_length=1, max_length=100)]
Pattern = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        json_schema_extra={
            RULES: [
                rule("''.matches(self) in [true, false]", "this is not a regular expression of RE2"),
                rule(f'!self.matches(r"{POSIX_CLASS}")', "write \\d for [[:digit:]]: the pods read POSIX classes differently"),
            ]
        },
    ),
]


class Redaction(Part):
    """The parts of content that are removed before it leaves the pod."""

    fields: Annotated[
        tuple[FieldName, ...] | None,
        Field(max_length=100, description="Names of fields whose values are removed, at any depth and in texts that are JSON."),
    ] = None
    patterns: Annotated[
        tuple[Pattern, ...] | None,
        Field(
            max_length=20,
            description="Regular expressions for both RE2 and Python. Matches in texts are removed. If pods cannot use one, no content is recorded.",
        ),
    ] = None

    @property
    def refused(self) -> tuple[str, ...]:
        """Problems of the patterns that pods cannot use: each with its field and the reason, in words."""
        problems = ((place, pattern, problem_of(pattern)) for place, pattern in enumerate(self.patterns or ()))
        return tuple(f"runs.redact.patterns[{place}] ({pattern}) {why}" for place, pattern, why in problems if why is not None)


class AfterRejection(StrEnum):
    """The treatment of the open runs of a rejected version."""

    HOLD = "Hold"
    CANCEL = "Cancel"


CALLBACK_HOSTS_MOST = 50
_HOST = {
    RULES: [
        rule(
            r'self.matches(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$")',
            "a host is a DNS name in lower case, without a port and without *, such as hooks.example.com",
        ),
        rule("!isIP(self)", "this is an address: use the DNS name of the host, such as hooks.example.com"),
    ]
}
CallbackHost = Annotated[str, Field(min_length=1, max_length=253, json_schema_extra=_HOST)]

FINISHING_PODS = 2
"""Pods of an earlier version at most, unless the App says otherwise."""


class DurablePolicy(Part):
    """The limits of the App's background runs, if a journal is installed. The journal and the operator read them: no pod depends on them."""

    keep_seconds: Annotated[
        int | None,
        Field(ge=60, le=2_592_000, description="Seconds for which an ended background run is kept. Left out: 86400."),
    ] = None
    max_open: Annotated[
        int | None,
        Field(ge=1, le=100_000, description="Background runs that may be open at a time; more are refused. Left out: 10000."),
    ] = None
    interruptions: Annotated[
        int | None,
        Field(ge=1, le=100, description="Times that a run may lose its pod without progress before it fails. Left out: 5."),
    ] = None
    wait_seconds: Annotated[
        int | None,
        Field(ge=60, le=31_536_000, description="Seconds for which a run waits for an answer before it fails. Left out: 2592000."),
    ] = None
    pods: Annotated[
        int | None,
        Field(ge=1, le=20, description="Pods at most of each earlier version whose background runs go on. Left out: 2."),
    ] = None
    after_rejection: Annotated[
        AfterRejection | None,
        Field(description="What becomes of open runs of a rejected version: Hold, until a person decides, or Cancel. Left out: Hold."),
    ] = None
    callback_hosts: Annotated[
        tuple[CallbackHost, ...] | None,
        Field(
            max_length=CALLBACK_HOSTS_MOST,
            description="Hosts that callbacks may go to: these alone, which may have private addresses. Left out: every public host.",
        ),
    ] = None


class RunsPolicy(Part):
    """The policy for the App's runs: what is recorded, and the limits of background ones.

    A run's existence, outcome and usage are always recorded, if a recorder is installed.
    """

    content: Annotated[
        bool | None,
        Field(description="True: inputs, outputs and error texts are recorded, too. Left out: they never leave the pod."),
    ] = None
    redact: Annotated[Redaction | None, Field(description="What is removed from content. Left out: nothing.")] = None
    durable: Annotated[DurablePolicy | None, Field(description="Limits of background runs. Left out: the defaults.")] = None
    shapes: Annotated[
        bool | None,
        Field(description="False: names and types of the fields of inputs are not counted. Left out: they are, without any value."),
    ] = None

    @property
    def finishing_pods(self) -> int:
        """Pods at most of each earlier version whose background runs go on."""
        return (self.durable.pods if self.durable is not None else None) or FINISHING_PODS

    @property
    def cancels_rejected(self) -> bool:
        """True if open runs of a rejected version are canceled, and not held."""
        return self.durable is not None and self.durable.after_rejection is AfterRejection.CANCEL

    @property
    def is_default(self) -> bool:
        """True if pods record as with an absent policy."""
        return not self.content and self.redact is None

    def of_pods(self) -> dict[str, Any]:
        """Returns the part that pods depend on. A change of the rest restarts no pod and needs no row."""
        return {name: value for name, value in self.as_json().items() if name not in ("durable", "shapes")}


@dataclass(frozen=True)
class ClusterService:
    """A Service of this cluster, parsed from a URL."""

    name: str
    namespace: str
    port: int


def service_of(url: str) -> ClusterService | None:
    """Returns the Service of a URL with the host `<name>.<namespace>` or `<name>.<namespace>.svc`; None for any other host."""
    parts = urlsplit(url)
    match (parts.hostname or "").split("."):
        case [name, namespace] | [name, namespace, "svc", *_]:
            return ClusterService(name, namespace, parts.port or _OWN_PORTS[parts.scheme])
        case _:
            return None

"""Defines what is recorded of an App's runs, and parses the recorder's URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
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


class RunsPolicy(Part):
    """The policy for recording the App's runs, if a recorder is installed. A run's existence, outcome and usage are always recorded."""

    content: Annotated[
        bool | None,
        Field(description="True: inputs, outputs and error texts are recorded, too. Left out: they never leave the pod."),
    ] = None
    redact: Annotated[Redaction | None, Field(description="What is removed from content. Left out: nothing.")] = None

    @property
    def is_default(self) -> bool:
        """True if it equals an absent policy."""
        return not self.content and self.redact is None


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

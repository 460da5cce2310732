"""What of an App's runs is recorded, and where the recorder is found."""

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
                rule("''.matches(self) in [true, false]", "this is no regular expression that RE2 takes"),
                rule(f'!self.matches(r"{POSIX_CLASS}")', "POSIX classes are read otherwise by the pods: write \\d for [[:digit:]]"),
            ]
        },
    ),
]


class Redaction(Part):
    """What is taken out of content before it leaves the pod."""

    fields: Annotated[
        tuple[FieldName, ...] | None,
        Field(max_length=100, description="Names of fields, at any depth and in texts that are JSON, whose values are taken out."),
    ] = None
    patterns: Annotated[
        tuple[Pattern, ...] | None,
        Field(
            max_length=20,
            description="Regular expressions that RE2 and Python both read: what matches in a text is taken out. Where pods cannot use one, no content is recorded.",
        ),
    ] = None

    @property
    def refused(self) -> tuple[str, ...]:
        """For each pattern that pods cannot use: which and why, in words."""
        found = ((place, pattern, problem_of(pattern)) for place, pattern in enumerate(self.patterns or ()))
        return tuple(f"runs.redact.patterns[{place}] ({pattern}) {why}" for place, pattern, why in found if why is not None)


class RunsPolicy(Part):
    """What of the App's runs is recorded, where a recorder is installed. That a run was, how it ended and what it took always is."""

    content: Annotated[
        bool | None,
        Field(description="True: inputs, outputs and the texts of errors are recorded, too. Left out: they never leave the pod."),
    ] = None
    redact: Annotated[Redaction | None, Field(description="What is taken out of content. Left out: nothing.")] = None

    @property
    def is_default(self) -> bool:
        """Whether it says what leaving it out says."""
        return not self.content and self.redact is None


@dataclass(frozen=True)
class ClusterService:
    """A Service of this cluster, as a URL names it."""

    name: str
    namespace: str
    port: int


def service_of(url: str) -> ClusterService | None:
    """The Service that a URL names by its name in the cluster, `<name>.<namespace>` or `<name>.<namespace>.svc`; None for any other host."""
    parts = urlsplit(url)
    match (parts.hostname or "").split("."):
        case [name, namespace] | [name, namespace, "svc", *_]:
            return ClusterService(name, namespace, parts.port or _OWN_PORTS[parts.scheme])
        case _:
            return None

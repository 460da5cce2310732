"""Rejection: a version that nobody may deploy, by the hash of its flow. The same flow under another name is rejected, too."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Digest, DnsLabel, Part, VersionName, never_empty, rule, validated


class Withdrawn(Part):
    """The withdrawal of a rejection: the version may be deployed again."""

    by: Annotated[
        str | None, Field(max_length=1024, description="Who withdrew it. The API server stamps it and ignores what was sent.")
    ] = None
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            description="Why it may be deployed again.",
            json_schema_extra=never_empty("withdrawn.reason must not be empty: write why it may be deployed again"),
        ),
    ]


NEVER = ("workflowHash", "workflow", "version", "reason", "by")


@validated(
    *(
        rule(
            f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})",
            f"{name} of a Rejection never changes: withdraw it, and create another one",
            reason="FieldValueForbidden",
            fieldPath=f".{name}",
        )
        for name in NEVER
    ),
    rule(
        "!has(oldSelf.withdrawn) || (has(self.withdrawn) && self.withdrawn == oldSelf.withdrawn)",
        "a Rejection is withdrawn once: create another one to reject the version again",
        reason="FieldValueForbidden",
        fieldPath=".withdrawn",
    ),
)
class RejectionSpec(Part):
    """A version that is known to be bad, for its namespace and for promotions from there."""

    workflow_hash: Annotated[Digest, Field(description="SHA-256 of the bytes of its flow, as its rows pin it.")]
    workflow: Annotated[DnsLabel | None, Field(description="Workflow that it was rejected as; for people.")] = None
    version: Annotated[VersionName | None, Field(description="Version that it was rejected as; for people.")] = None
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            description="Why nobody may deploy it.",
            json_schema_extra=never_empty("reason must not be empty: write why nobody may deploy it"),
        ),
    ]
    by: Annotated[
        str | None, Field(max_length=1024, description="Who rejected it. The API server stamps it and ignores what was sent.")
    ] = None
    withdrawn: Annotated[Withdrawn | None, Field(description="Set once: after that the version may be deployed again.")] = None

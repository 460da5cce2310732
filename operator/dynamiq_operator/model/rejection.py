"""Rejection: a version that nobody may deploy, by the hash of its flow. The same flow under another name is rejected, too."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Digest, DnsLabel, Part, VersionName, never_changes, reason_field, set_once, validated


class Withdrawn(Part):
    """The withdrawal of a rejection: the version may be deployed again."""

    by: Annotated[
        str | None, Field(max_length=1024, description="Who withdrew it. The API server stamps it and ignores what was sent.")
    ] = None
    reason: str = reason_field("withdrawn.reason", "why it may be deployed again")


NEVER = ("workflowHash", "workflow", "version", "reason", "by")


@validated(
    *(never_changes(f"{name} of a Rejection never changes: withdraw it, and create another one", name) for name in NEVER),
    set_once("a Rejection is withdrawn once: create another one to reject the version again", "withdrawn"),
)
class RejectionSpec(Part):
    """A version that is known to be bad, for its namespace and for promotions from there."""

    workflow_hash: Annotated[Digest, Field(description="SHA-256 of the bytes of its flow, as its rows pin it.")]
    workflow: Annotated[DnsLabel | None, Field(description="Workflow that it was rejected as; for people.")] = None
    version: Annotated[VersionName | None, Field(description="Version that it was rejected as; for people.")] = None
    reason: str = reason_field("reason", "why nobody may deploy it")
    by: Annotated[
        str | None, Field(max_length=1024, description="Who rejected it. The API server stamps it and ignores what was sent.")
    ] = None
    withdrawn: Annotated[Withdrawn | None, Field(description="Set once: after that the version may be deployed again.")] = None

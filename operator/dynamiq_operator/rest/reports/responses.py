"""Responses of reports."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.model.endings import Ending
from dynamiq_operator.rest.http.models import ResponseModel, Time


class ReportedDeploy(ResponseModel):
    """One deploy, with the same values as in CSV."""

    namespace: str
    app: Annotated[str, Field(description="The App's name in its namespace.")]
    sequence: int | None
    name: Annotated[str, Field(description="The record's name: kubectl get ddep.")]
    began: Time
    version: str | None
    description: str | None
    result: Annotated[str, Field(description="Succeeded, Failed or Overtaken; of one that has not ended Pending or Progressing.")]
    ending: Annotated[
        Ending | None, Field(description="How it ended, if the result does not show it: Rejected, Withdrawn, Overtaken or Reverted.")
    ]
    reason: Annotated[str | None, Field(description="Why it did not go live.")]
    ended: Time | None
    live_from: Time | None
    live_until: Annotated[Time | None, Field(description="When another row replaced it; none if it is still live.")]
    created_by: Annotated[str | None, Field(description="The username of its author.")]
    author_verified: Annotated[bool | None, Field(description="The API server stamped the author.")]
    approved_by: Annotated[str | None, Field(description="Who approved or resumed it, with commas between them.")]
    waited_for: Annotated[list[str], Field(description="What blocked it when it was pinned.")]
    bypass_reason: Annotated[str | None, Field(description="Why guards were bypassed.")]
    provenance: Annotated[str | None, Field(description="Where it came from, in words.")]
    source: str | None
    message: str | None
    runtime: Annotated[str | None, Field(description="Version of the runtime.")]
    image: Annotated[str | None, Field(description="Image that its pods ran.")]
    config: Annotated[dict[str, Any] | None, Field(description="Its config, in the fields of the record.")]
    flow_hash: Annotated[str | None, Field(description="SHA-256 of its flow.")]
    digest: str | None
    fits: Annotated[bool, Field(description="It verifies.")]
    misfit: Annotated[str | None, Field(description="Why it does not.")]


class ReportedMisfit(ResponseModel):
    row: str
    says: str


class ReportedHistory(ResponseModel):
    """One App's history, verified over all of its rows."""

    namespace: str
    app: str
    rows: Annotated[int, Field(description="Rows that were verified.")]
    fits: bool
    says: str
    oldest: Annotated[str | None, Field(description="Digest of the oldest row that was rolled out.")]
    newest: Annotated[str | None, Field(description="Digest of the newest one. Keep it elsewhere for a later verification.")]
    misfits: list[ReportedMisfit]


class DeployReport(ResponseModel):
    """All deploys of a period."""

    since: Time
    until: Annotated[Time | None, Field(description="None: until the report was made.")]
    made: Annotated[Time, Field(description="When the rows were read.")]
    fits: Annotated[bool, Field(description="True: every history fits, including those without a deploy in that time.")]
    says: str
    deploys: Annotated[list[ReportedDeploy], Field(description="In the order in which they began.")]
    histories: list[ReportedHistory]

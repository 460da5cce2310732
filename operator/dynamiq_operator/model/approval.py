"""Approval: a decision on one row. It names the row's digest, so it counts for nothing else."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Digest, ObjectName, Part, never_changes, validated
from dynamiq_operator.model.manifests import Purpose as Purpose


@validated(never_changes("an Approval never changes: create another one, of purpose Reject to stop the row"))
class ApprovalSpec(Part):
    """A decision on a waiting row."""

    row: Annotated[ObjectName, Field(description="Name of the row, in the same namespace.")]
    digest: Annotated[Digest, Field(description="The row's pinned.digest: the Approval counts only for what the row pins.")]
    purpose: Annotated[Purpose, Field(description="Approve, Resume, Reject or Withdraw.")]
    message: Annotated[str | None, Field(max_length=1024, description="Why.")] = None
    by: Annotated[str | None, Field(max_length=1024, description="Its author. The API server stamps it and ignores what was sent.")] = None
    restored: Annotated[
        bool | None, Field(description="True: it was restored from a backup, and does not count. Stamped by the API server.")
    ] = None

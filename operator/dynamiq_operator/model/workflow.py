"""Workflow, a mutable draft, and WorkflowVersion, an immutable release of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import FLOW_RULE, RULES, DnsLabel, Flow, Part, VersionName, never_changes, rule, validated


@validated(FLOW_RULE)
class WorkflowSpec(Part):
    """A draft DAG, edited freely; nothing that runs depends on it."""

    description: Annotated[str | None, Field(max_length=512, description="What the workflow does.")] = None
    flow: Annotated[Flow, Field(description="The DAG, as the text of a YAML or JSON document of at most 900 KiB.")]
    flow_ui: Annotated[
        str | None, Field(alias="flowUI", max_length=262144, description="Canvas layout of the editor, opaque to the operator.")
    ] = None


@validated(FLOW_RULE, never_changes("a WorkflowVersion never changes: release the workflow again to get the next version"))
class WorkflowVersionSpec(Part):
    """A saved release of a workflow, which rows name."""

    workflow: Annotated[DnsLabel, Field(description="Name of the workflow that this is a release of.")]
    version: Annotated[VersionName, Field(description="Version: v and a number, such as v3.")]
    description: Annotated[str | None, Field(max_length=512, description="What changed, or what the workflow does.")] = None
    flow: Annotated[Flow, Field(description="The DAG, as the text of a YAML or JSON document of at most 900 KiB.")]


WORKFLOW_VERSION_RULES = {
    RULES: [
        rule(
            "self.metadata.name == self.spec.workflow + '-' + self.spec.version",
            "a WorkflowVersion is named <workflow>-<version>",
            messageExpression="\"a WorkflowVersion is named <workflow>-<version>: name this one \" + self.spec.workflow + '-' + self.spec.version",
            fieldPath=".metadata.name",
        )
    ]
}

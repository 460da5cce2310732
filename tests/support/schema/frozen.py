"""What of the resources never changes, what is set once, and the sentences that say so."""

from __future__ import annotations

from dynamiq_operator.model.objects import Manifest
from tests.support.factories import ended, pinned, row_manifest

ASKED: Manifest = {
    "app": "chat",
    "workflowVersion": "v1",
    "restores": "older",
    "runtime": "tiny-1",
    "config": {"type": "server", "autoscaling": {"minReplicas": 1, "maxReplicas": 2}},
    "message": "first",
    "promotedFrom": {"namespace": "staging", "app": "chat", "row": "chat-1", "hash": "sha256:" + "a" * 64},
    "createdBy": "ada",
}
CHANGED: Manifest = {
    "app": "other",
    "workflowVersion": "v2",
    "restores": "oldest",
    "runtime": "tiny-2",
    "config": {"type": "server", "autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
    "message": "second",
    "promotedFrom": {**ASKED["promotedFrom"], "row": "chat-2"},
    "createdBy": "mallory",
}
_DONE = row_manifest("done", pinned(1), ended("Succeeded"))["spec"]
COMPLETED: Manifest = {name: _DONE[name] for name in ("sequence", "pinned", "outcome")}
COMPLETED_OTHERWISE: Manifest = {
    "sequence": 2,
    "pinned": {**COMPLETED["pinned"], "workflowVersion": "v2"},
    "outcome": {**COMPLETED["outcome"], "result": "Failed"},
}
ROW_NEVER = {name: f"{name} of a row never changes: create another row to deploy something else" for name in ASKED}
ROW_ONCE = {name: f"{name} of a row is set once, by the operator, and never changes" for name in COMPLETED}
VERSION_NEVER = "a WorkflowVersion never changes: release the workflow again to get the next version"
RUNTIME_NEVER = "a Runtime never changes, but for deprecated: create a Runtime of another name for the new version"
TOO_LARGE = "a flow is at most 900 KiB (921600 bytes): split the workflow"
MESSAGES = (*ROW_NEVER.values(), *ROW_ONCE.values(), VERSION_NEVER, RUNTIME_NEVER, TOO_LARGE)

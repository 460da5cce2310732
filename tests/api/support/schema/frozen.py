"""Lists the fields that never change and those that are set once, with the sentences that refuse a change."""

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
    "hold": False,
    "takeSessions": True,
    "bypass": {"reason": "prod is down"},
    "createdBy": "ada",
}
CHANGED: Manifest = {
    "app": "other",
    "workflowVersion": "v2",
    "restores": "oldest",
    "runtime": "tiny-2",
    "config": {"type": "server", "autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
    "message": "second",
    "promotedFrom": {**ASKED["promotedFrom"], "cluster": "eu"},
    "hold": True,
    "takeSessions": False,
    "bypass": {"reason": "prod was down"},
    "createdBy": "mallory",
}
_DONE = row_manifest("done", pinned(1), ended("Succeeded"))["spec"]
COMPLETED: Manifest = {
    **{name: _DONE[name] for name in ("sequence", "pinned", "outcome")},
    "released": {"at": "2026-11-24T12:00:00Z", "guards": ["AwaitingApproval"], "approvals": ["agreed"], "by": ["grace"]},
    "verified": {"at": "2026-11-24T12:00:00Z", "cases": 3, "calls": 150, "seconds": 4.5, "score": 0.9},
}
COMPLETED_OTHERWISE: Manifest = {
    "sequence": 2,
    "pinned": {**COMPLETED["pinned"], "workflowVersion": "v2"},
    "outcome": {**COMPLETED["outcome"], "result": "Failed"},
    "released": {**COMPLETED["released"], "by": ["mallory"]},
    "verified": {**COMPLETED["verified"], "score": 0.91},
}
ROW_NEVER = {name: f"{name} of a row never changes: create another row to deploy something else" for name in ASKED}
ROW_ONCE = {name: f"{name} of a row is set once, by the operator, and never changes" for name in COMPLETED}
VERSION_NEVER = "a WorkflowVersion never changes: release the workflow again to get the next version"
RUNTIME_NEVER = "only deprecated of a Runtime can change: create a Runtime with another name for the new version"
TOO_LARGE = "a flow is at most 900 KiB (921600 bytes): split the workflow"
APPROVAL_NEVER = "an Approval never changes: create another one, of purpose Reject to stop the row"
REJECTED: Manifest = {
    "workflowHash": "sha256:" + "a" * 64,
    "workflow": "chat",
    "version": "v1",
    "reason": "It loses invoices",
    "by": "grace",
}
REJECTED_OTHERWISE: Manifest = {
    "workflowHash": "sha256:" + "b" * 64,
    "workflow": "other",
    "version": "v2",
    "reason": "It is dear",
    "by": "mallory",
}
REJECTION_NEVER = {name: f"{name} of a Rejection never changes: withdraw it, and create another one" for name in REJECTED}
WITHDRAWN: Manifest = {"by": "grace", "reason": "It was the invoice"}
WITHDRAWN_ONCE = "a Rejection is withdrawn once: create another one to reject the version again"
CHANGE_NEVER = "an AppChange never changes"
LIMIT_STAYS = "to lower limit, set protect to false first: the history is protected"
ARCHIVE_STAYS = "to turn archive off, set protect to false first: the history is protected"
MESSAGES = (
    *ROW_NEVER.values(),
    *ROW_ONCE.values(),
    *REJECTION_NEVER.values(),
    *(LIMIT_STAYS, ARCHIVE_STAYS, VERSION_NEVER, RUNTIME_NEVER, TOO_LARGE, APPROVAL_NEVER, WITHDRAWN_ONCE, CHANGE_NEVER),
)

"""Makes objects for rules of deploys: waiting rows, Approvals, Rejections, and guards in an App's status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dynamiq_operator.model import kinds
from dynamiq_operator.model.objects import Manifest, format_time
from tests.support import factories as given
from tests.support.scripted import Reply, Sent
from tests.support.scripted_namespace import created

AWAITS = "Needs 1 approval (policy production): someone other than the author, with the role dynamiq-approver, runs `kubectl dynamiq approve chat -n demo`"
HELD = "Changes from Git are on hold after the rollback in #1. To apply this one, someone who may deploy runs `kubectl dynamiq resume chat -n demo`"
WOULD_AWAIT: Manifest = {
    "reason": "AwaitingApproval",
    "message": "someone else would have to approve it (policy production)",
    "appliesTo": ["Deploy", "Promotion", "Git"],
    "policy": "production",
}
WOULD_BE_FROZEN: Manifest = {
    "reason": "Frozen",
    "message": "frozen until 2026-11-30T06:00:00Z (freeze weekend of policy production)",
    "appliesTo": ["Deploy", "Promotion", "Rollback", "Git"],
    "policy": "production",
    "until": "2026-11-30T06:00:00Z",
}
IS_SUSPENDED: Manifest = {
    "reason": "Suspended",
    "message": "App chat is suspended: someone who may deploy runs `kubectl dynamiq suspend chat --off -n demo`",
    "appliesTo": ["Deploy", "Promotion", "Rollback", "Git"],
}


def awaiting(sequence: int, version: str = "v2", *, needed: int = 1, there: int = 0, author: str = "anna", **pins: Any) -> given.Modifier:
    """Returns a row that waits for approvals, `there` of which it already has."""
    guard = {"reason": "AwaitingApproval", "policy": "production", "approvals": needed, "expiresSeconds": 86400}
    waits = {"reason": "AwaitingApproval", "message": AWAITS, "approvals": there, "approvalsNeeded": needed}
    return waiting(sequence, version, guard, waits, author, **pins)


def held(sequence: int, version: str = "v2", **pins: Any) -> given.Modifier:
    """Returns a row from Git that waits after a rollback."""
    guard = {"reason": "Held", "heldBy": {"row": "chat-a", "sequence": 1}}
    return waiting(sequence, version, guard, {"reason": "Held", "message": HELD, "resumable": True}, "flux", source="App", **pins)


def waiting(sequence: int, version: str, guard: Manifest, waits: Manifest, author: str, **pins: Any) -> given.Modifier:
    def modify(made: Manifest) -> None:
        given.pinned(sequence, version, guards=[guard], createdByVerified=True, **pins)(made)
        made["spec"] |= {"createdBy": author}
        given.in_phase("Pending")(made)
        made["status"] |= {"waits": waits}

    return modify


def approval(row: Manifest, by: str, purpose: str = "Approve", *, name: str = "said", **spec: Any) -> Manifest:
    """Returns an Approval of a row with the row's digest."""
    fields = {"row": row["metadata"]["name"], "digest": row["spec"]["pinned"]["digest"], "purpose": purpose, "by": by, **spec}
    return given.stored(given.manifest(kinds.APPROVAL, name, fields, now()))


def stamping(by: str) -> Callable[[Sent], Reply]:
    """Creates Approvals as the API server does, which stamps their author."""
    return lambda sent: created(replace(sent, body={**sent.body, "spec": {**sent.body["spec"], "by": by}}))


def rejection(
    version: str, *, named: str = "", by: str = "otto", reason: str = "it loses invoices", name: str = "", **spec: Any
) -> Manifest:
    """Returns a Rejection of a version's flow. `named`: the version's name when it was rejected."""
    made = {
        "workflowHash": given.flow_hash(version),
        "workflow": given.NAME,
        "version": named or version,
        "reason": reason,
        "by": by,
        **spec,
    }
    return given.stored(given.manifest(kinds.REJECTION, name or f"{given.NAME}-{version}-1", made))


def now() -> given.Modifier:
    """Sets the creation time to now: an approval expires by the clock."""
    return given.with_meta(creationTimestamp=format_time(datetime.now(UTC)))

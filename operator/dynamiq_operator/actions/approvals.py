"""Plans and creates an Approval of a waiting row, with the purpose Approve, Resume, Reject or Withdraw.

An Approval names the digest that its giver saw, so it counts only for what the row pins.
The operator decides if it counts. This module refuses beforehand only what is known not to count.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dynamiq_operator.actions import reads, running, waiting
from dynamiq_operator.actions.consequences import (
    UNSTAMPED,
    approval_guards,
    check_counts,
    check_open,
    is_resumable,
    missing,
    runs_and_holds,
    title,
)
from dynamiq_operator.actions.idempotency import CallerKey, KeyClaim, Performed
from dynamiq_operator.actions.identity import username
from dynamiq_operator.actions.refusals import Changed, Difference, NotAllowed, NotNow
from dynamiq_operator.actions.rights import APPROVE, DEPLOY, rights_warnings
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.app_objects import uid_of
from dynamiq_operator.kube.resources import APPROVALS
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.model.policy import EXPIRES_SECONDS
from dynamiq_operator.model.text import plugin_command
from dynamiq_operator.views.preview import Preview

VERBS = {Purpose.APPROVE: APPROVE, Purpose.REJECT: APPROVE, Purpose.RESUME: DEPLOY}
"""The verb on rows that each purpose needs, beside the right to create Approvals. A withdrawal needs none."""
DONE = {
    Purpose.APPROVE: "approved",
    Purpose.RESUME: "resumed",
    Purpose.REJECT: "rejected",
    Purpose.WITHDRAW: "withdrawn",
}


@dataclass(frozen=True)
class ApprovalRequest:
    """A purpose for a row.

    `row`: its name or sequence; None for the App's only waiting row. `digest`: the one that the giver saw; None if they name none.
    """

    namespace: str
    app: str
    purpose: Purpose
    row: str | int | None = None
    message: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class ApprovalPlan:
    """An Approval that has not been created. `approvals`: the row's Approvals so far, oldest first. `by`: the giver, None if unknown.

    `existing`: the giver's earlier Approval of this purpose, if it still counts: then none is created. `warnings`: sentences for the giver.
    """

    request: ApprovalRequest
    row: Manifest
    manifest: Manifest
    approvals: Sequence[Manifest]
    by: str | None
    existing: Manifest | None = None
    warnings: tuple[str, ...] = ()
    claim: KeyClaim | None = None

    @property
    def title(self) -> str:
        """The row's name in messages."""
        return title(self.row)

    def preview(self, api: Api) -> Preview:
        """Previews the row against the live row.

        Raises as `waiting.preview_of` does.
        """
        return waiting.preview_of(api, self.row)

    def consequences(self) -> list[str]:
        """Lists, in sentences, the effect of the Approval and what the row still needs after it."""
        return outcome_lines(self, self.existing) if self.existing is not None else [*_missing(self, counts=True), *self.warnings]


def plan_approval(api: Api, request: ApprovalRequest, *, user: str | None = None, key: CallerKey | None = None) -> ApprovalPlan:
    """Plans an Approval. `user`: the giver; if None, the API server is queried. A repeat under the same key is planned again.

    Raises NotNow if the row is not waiting, Changed if its digest has changed, and NotAllowed if the giver's Approval would not count.
    Raises Unknown, KeyReused and kube.errors.ApiError, too.
    """
    row = _row(api, request)
    _check_holds(api, request, row)
    claim = KeyClaim.of(key, request.purpose.value, row["metadata"]["uid"], request, row["metadata"]["name"]) if key is not None else None
    is_repeat = claim is not None and _is_repeat(api, request.namespace, claim)
    if not is_repeat:  # the first Approval may have ended the wait of the row
        check_open(row, request.purpose)
    digest = row["spec"]["pinned"]["digest"]
    if request.digest is not None and request.digest != digest:
        raise Changed([Difference("digest", request.digest, digest)], f"row {title(row)}")
    by = user if user is not None else username(api)
    author = row["spec"].get("createdBy")
    if request.purpose is Purpose.WITHDRAW and by is not None and by != author:
        raise NotAllowed(f"only its author, {author}, can withdraw {title(row)}: reject it instead")
    approvals = approvals_of(api, request.namespace, row)
    manifest = _manifest(request, row, digest, claim)
    earlier = _earlier(row, approvals, request.purpose, by) if not is_repeat else None
    if earlier is not None:
        return ApprovalPlan(request, row, manifest, approvals, by, earlier, claim=claim)
    if not is_repeat:
        check_counts(api, request.purpose, row, by)
    verb = VERBS.get(request.purpose)
    rights = rights_warnings(api, request.namespace, APPROVALS, verbs=[verb] if verb is not None else ())
    return ApprovalPlan(request, row, manifest, approvals, by, None, rights, claim)


def perform_approval(api: Api, plan: ApprovalPlan) -> Performed:
    """Creates the Approval and returns it, or the one that the same request created before under its key.

    Raises KeyReused and kube.errors.ApiError.
    """
    name = plan.manifest["metadata"]["name"]
    try:
        return Performed(requests.create(api, APPROVALS, plan.manifest))
    except errors.AlreadyExists:
        approval = requests.read_object(api, APPROVALS, plan.request.namespace, name)
        if plan.claim is None:
            raise
        plan.claim.check(approval)
        return Performed(approval, is_replayed=True)
    except errors.Unavailable:
        try:
            return Performed(requests.read_object(api, APPROVALS, plan.request.namespace, name))
        except errors.ApiError:
            pass
        raise


def approvals_of(api: Api, namespace: str, row: Manifest) -> list[Manifest]:
    """Lists the Approvals of a row, oldest first; none if the caller may not read them.

    Raises kube.errors.ApiError.
    """
    name = row["metadata"]["name"]
    try:
        approvals = requests.items(api, APPROVALS, namespace, field=f"spec.row={name}")
    except (errors.NotFound, errors.Forbidden):
        return []
    of_row = [each for each in approvals if each["spec"]["row"] == name]
    return sorted(of_row, key=lambda each: (each["metadata"].get("creationTimestamp") or "", each["metadata"]["name"]))


def outcome_lines(plan: ApprovalPlan, approval: Manifest) -> list[str]:
    """Lists, in sentences, what was done and what the row still needs. `approval`: as stored."""
    if plan.existing is not None:
        return [f"you have {DONE[plan.request.purpose]} {plan.title} already: nothing to do"]
    is_stamped = bool(approval["spec"].get("by"))
    done = f"{DONE[plan.request.purpose]} {plan.title} of {plan.request.app}"
    return [done, *([] if is_stamped else [UNSTAMPED]), *_missing(plan, counts=is_stamped)]


def _missing(plan: ApprovalPlan, *, counts: bool) -> list[str]:
    return missing(plan.request.purpose, plan.row, counts=counts)


def _row(api: Api, request: ApprovalRequest) -> Manifest:
    namespace, app = request.namespace, request.app
    uid = uid_of(api, namespace, app)
    if request.row is not None:
        return reads.find_row(api, namespace, app, uid, request.row)
    waiting_rows = reads.waiting_rows(api, namespace, app, uid)
    if request.purpose is Purpose.RESUME:
        return _to_resume(api, request, uid, waiting_rows)
    if not waiting_rows:
        waits = _ended_waiting(api, request, uid)
        raise NotNow(f"no row of {app} waits{f', {waits}' if waits else ''}: see {plugin_command(f'history {app} -o wide', namespace)}")
    return _only(waiting_rows, app)


def _ended_waiting(api: Api, request: ApprovalRequest, uid: str | None) -> str:
    """Returns why the newest row ended while it waited; empty if it did not. Raises Unknown if there is no such App."""
    newest = running.rows(api, request.namespace, request.app, uid)[:1]
    if not newest:
        reads.find_app(api, request.namespace, request.app)
    ended = [
        row
        for row in newest
        if "outcome" in row["spec"] and "released" not in row["spec"] and (row["spec"].get("pinned") or {}).get("guards")
    ]
    return f"row {title(ended[0])} ended: {ended[0]['spec']['outcome'].get('reason', '')}" if ended else ""


def _to_resume(api: Api, request: ApprovalRequest, uid: str | None, waiting_rows: Sequence[Manifest]) -> Manifest:
    """Returns the only resumable row among those waiting; without one, the live row that holds changes from Git.

    Raises NotNow if there is neither, or several can be resumed.
    """
    namespace, app = request.namespace, request.app
    if resumable := [row for row in waiting_rows if is_resumable(row)]:
        return _only(resumable, app)
    app_object = reads.find_app(api, namespace, app)
    holds = app_object.status.holds
    if holds is None:
        if len(waiting_rows) == 1:
            check_open(waiting_rows[0], request.purpose)
        waits = (
            f"{', '.join(title(row) for row in waiting_rows)} wait for something else"
            if waiting_rows
            else _ended_waiting(api, request, uid) or "none waits"
        )
        raise NotNow(f"no row of {app} can be resumed, {waits}: see {plugin_command(f'history {app} -o wide', namespace)}")
    rows = reads.open_rows(api, namespace, app, app_object.meta.uid)
    coming = rows.candidate or next((row for row in rows.guarded if row.name == holds.row), None)
    live = reads.find_row(api, namespace, app, uid, rows.live.name) if rows.live is not None and coming is None else None
    if live is None or not runs_and_holds(live):
        pending = f"row #{coming.sequence}" if coming is not None and coming.name != holds.row else f"rollback #{holds.sequence}"
        raise NotNow(f"{pending} is not live yet: resume once it is")
    return live


def _check_holds(api: Api, request: ApprovalRequest, row: Manifest) -> None:
    """Raises NotNow if the row to resume is a revert without a hold in the App's status."""
    # Reverts by an older operator have no `holds` in their pins.
    if request.purpose is Purpose.RESUME and runs_and_holds(row) and "holds" not in row["spec"]["pinned"]:
        holds = reads.find_app(api, request.namespace, request.app).status.holds
        if holds is None or holds.row != row["metadata"]["name"]:
            raise NotNow(f"row {title(row)} is live, and nothing is on hold")


def _only(waiting_rows: Sequence[Manifest], app: str) -> Manifest:
    if len(waiting_rows) > 1:
        raise NotNow(f"several rows of {app} wait, {', '.join(title(row) for row in waiting_rows)}: name one")
    return waiting_rows[0]


def _is_repeat(api: Api, namespace: str, claim: KeyClaim) -> bool:
    """Returns True if an Approval was created under the key.

    Raises KeyReused and kube.errors.ApiError.
    """
    try:
        claim.check(requests.read_object(api, APPROVALS, namespace, claim.row))
    except (errors.NotFound, errors.Forbidden):
        return False
    return True


def _manifest(request: ApprovalRequest, row: Manifest, digest: str, claim: KeyClaim | None) -> Manifest:
    name = row["metadata"]["name"]
    spec = {"row": name, "digest": digest, "purpose": request.purpose.value, "message": request.message}
    # The name is chosen here, not by the API server: it finds the Approval again if the answer to its POST is lost.
    meta = claim.meta if claim is not None else {"name": names.confirmed_row(name, secrets.token_hex(4))}
    return {
        "apiVersion": API_VERSION,
        "kind": kinds.APPROVAL.kind,
        "metadata": {"namespace": request.namespace, **meta},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }


def _earlier(row: Manifest, approvals: Iterable[Manifest], purpose: Purpose, by: str | None) -> Manifest | None:
    """Returns the giver's earlier Approval of the same purpose that still counts; None without one."""
    # A row that is still resumable has no resumption that counts: it would have been admitted.
    if by is None or (purpose is Purpose.RESUME and is_resumable(row)):
        return None
    return next((each for each in _still_counting(row, approvals, purpose) if each["spec"].get("by") == by), None)


def _still_counting(row: Manifest, approvals: Iterable[Manifest], purpose: Purpose) -> list[Manifest]:
    """Lists the Approvals of this purpose for the row's digest that are not from a backup and have not expired.

    Only the purpose Approve expires.
    """
    pinned = row["spec"]["pinned"]
    seconds = min((guard.get("expiresSeconds") or EXPIRES_SECONDS for guard in approval_guards(row)), default=EXPIRES_SECONDS)
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    return [
        each
        for each in approvals
        if (each["spec"]["digest"], each["spec"]["purpose"]) == (pinned["digest"], purpose)
        and not each["spec"].get("restored")
        and (purpose is not Purpose.APPROVE or parse_time(each["metadata"]["creationTimestamp"]) > since)
    ]

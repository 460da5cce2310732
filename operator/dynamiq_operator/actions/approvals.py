"""A word on a row that waits: approve, resume, reject or withdraw it.

An Approval names the row's digest as its giver saw it, so it counts for what the row pins and nothing else. Whether it counts is the
operator's to say; what is known before is said here: that the giver is the row's author, that they said the same already.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dynamiq_operator.actions import history, waiting
from dynamiq_operator.actions.idempotency import Key, KeyClaim, Performed
from dynamiq_operator.actions.identity import username
from dynamiq_operator.actions.refusals import Changed, Difference, NotAllowed, NotNow
from dynamiq_operator.actions.rights import lacking, may
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPROVALS, RECORDS
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.guards import GuardReason
from dynamiq_operator.model.manifests import Phase
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.model.policy import EXPIRES_SECONDS
from dynamiq_operator.views.preview import Preview
from dynamiq_operator.views.waiting import is_waiting, waits_of

SERVICE_ACCOUNT = "system:serviceaccount:"
VERBS = {Purpose.APPROVE: "approve", Purpose.REJECT: "approve", Purpose.RESUME: "deploy"}
"""The verb on rows that a word takes beside the right to create Approvals."""
DONE = {
    Purpose.APPROVE: "approved",
    Purpose.RESUME: "resumed",
    Purpose.REJECT: "rejected",
    Purpose.WITHDRAW: "withdrawn",
}


@dataclass(frozen=True)
class ApprovalRequest:
    """What is said of which row. `row`: its name or sequence; None for the one of the App that waits. `digest`: as its giver saw it, where they say so."""

    namespace: str
    app: str
    purpose: Purpose
    row: str | int | None = None
    message: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class ApprovalPlan:
    """A word that has not been given. `given`: what was said of the row before, oldest first; `by`: its giver, None where that is not known.

    `said`: the same word that they gave before and that still counts, so that nothing would be done; `warnings`: sentences for the giver.
    """

    request: ApprovalRequest
    row: Manifest
    manifest: Manifest
    given: Sequence[Manifest]
    by: str | None
    said: Manifest | None = None
    warnings: tuple[str, ...] = ()
    claim: KeyClaim | None = None

    @property
    def title(self) -> str:
        """The row as messages name it."""
        return title(self.row)

    def preview(self, api: Api) -> Preview:
        """What the row would do, as its author saw it: over what is live now. Raises as `waiting.preview_of` does."""
        return waiting.preview_of(api, self.row)

    def consequences(self) -> list[str]:
        """What the word does, and what is still missing after it."""
        return said(self) if self.said is not None else [*_missing(self), *self.warnings]


def plan_approval(api: Api, request: ApprovalRequest, *, user: str | None = None, key: Key | None = None) -> ApprovalPlan:
    """What the word would do. `user`: the giver, asked of the API server where it is None. What was given under the key already may be asked for again.

    Raises Unknown, NotNow where the row waits for nothing, Changed where its digest is another, NotAllowed where only others may say it, KeyReused,
    and kube.errors.ApiError.
    """
    row = _row(api, request)
    claim = KeyClaim.of(key, request.purpose.value, row["metadata"]["uid"], request, row["metadata"]["name"]) if key is not None else None
    is_repeat = claim is not None and _was_given(api, request.namespace, claim)
    if not is_repeat:  # by its first word the row may have ended its waiting
        _check_open(row, request)
    digest = row["spec"]["pinned"]["digest"]
    if request.digest is not None and request.digest != digest:
        raise Changed([Difference("digest", request.digest, digest)], f"row {title(row)}")
    by = user if user is not None else username(api)
    author = row["spec"].get("createdBy")
    if request.purpose is Purpose.WITHDRAW and by is not None and by != author:
        raise NotAllowed(f"only its author, {author}, can withdraw {title(row)}: reject it instead")
    given = approvals_of(api, request.namespace, row)
    made = _manifest(request, row, digest, claim)
    before = _said_before(row, given, request.purpose, by) if not is_repeat else None
    return ApprovalPlan(request, row, made, given, by, before, _warnings(api, request, row, by) if before is None else (), claim)


def perform_approval(api: Api, plan: ApprovalPlan) -> Performed:
    """Gives the word; returns the Approval, or the one that the same request made before under its key. Raises KeyReused and kube.errors.ApiError."""
    name = plan.manifest["metadata"]["name"]
    try:
        return Performed(requests.create(api, APPROVALS, plan.manifest))
    except errors.AlreadyExists:
        found = requests.get(api, APPROVALS, plan.request.namespace, name)
        if plan.claim is None:
            raise
        plan.claim.check(found)
        return Performed(found, is_replayed=True)
    except errors.Unavailable:
        try:
            return Performed(requests.get(api, APPROVALS, plan.request.namespace, name))
        except errors.ApiError:
            pass
        raise


def approvals_of(api: Api, namespace: str, row: Manifest) -> list[Manifest]:
    """What was said of a row, oldest first; none where the caller may not read it. Raises kube.errors.ApiError."""
    name = row["metadata"]["name"]
    try:
        found = requests.items(api, APPROVALS, namespace, field=f"spec.row={name}")
    except (errors.NotFound, errors.Denied) as error:
        if error.status == 401:
            raise
        return []
    mine = [each for each in found if each["spec"]["row"] == name]
    return sorted(mine, key=lambda each: (each["metadata"].get("creationTimestamp") or "", each["metadata"]["name"]))


def said(plan: ApprovalPlan) -> list[str]:
    """What was done, and what is still missing."""
    if plan.said is not None:
        return [f"you have {DONE[plan.request.purpose]} {plan.title} already: nothing is to be done"]
    return [f"{DONE[plan.request.purpose]} {plan.title} of {plan.request.app}", *_missing(plan)]


def title(row: Manifest) -> str:
    """A row as messages name it: `#13 (support-x7k2p)`."""
    sequence = row["spec"].get("sequence")
    name: str = row["metadata"]["name"]
    return f"#{sequence} ({name})" if sequence else name


def _row(api: Api, request: ApprovalRequest) -> Manifest:
    namespace, app = request.namespace, request.app
    if request.row is not None:
        return history.find_row(api, namespace, app, request.row)
    found = history.waiting_rows(api, namespace, app)
    if request.purpose is Purpose.RESUME and len(found) > 1:
        # Of several that wait, those are meant that can be resumed.
        found = [row for row in found if (waits_of(row) or {}).get("resumable")] or found
    if not found:
        holds = history.find_app(api, namespace, app).status
        if request.purpose is Purpose.RESUME and holds.holds is not None and holds.live is not None:
            return history.find_row(api, namespace, app, holds.live.row)  # nothing waits yet: what runs holds
        raise NotNow(f"no row of {app} waits: see `kubectl dynamiq history {app} -o wide`")
    if len(found) > 1:
        raise NotNow(f"several rows of {app} wait, {', '.join(title(row) for row in found)}: name one")
    return found[0]


def _check_open(row: Manifest, request: ApprovalRequest) -> None:
    spec = row["spec"]
    if "outcome" in spec and not (request.purpose is Purpose.RESUME and _runs_and_holds(row)):
        raise NotNow(f"row {title(row)} has ended: {spec['outcome'].get('reason', '')}")
    if "pinned" not in spec:
        raise NotNow(f"row {title(row)} is not pinned yet, so nobody can say what it would do: try again in a moment")
    if request.purpose is Purpose.RESUME and _runs_and_holds(row):
        return
    if not is_waiting(row):
        raise NotNow(f"row {title(row)} waits for nothing: it is being deployed")
    reasons = {guard["reason"] for guard in spec["pinned"]["guards"]}
    if (
        request.purpose is Purpose.APPROVE
        and GuardReason.AWAITING_APPROVAL not in reasons
        and not (waits_of(row) or {}).get("approvalsNeeded")
    ):
        raise NotNow(f"row {title(row)} waits for no approval: {(waits_of(row) or {}).get('message') or ', '.join(sorted(reasons))}")


def _runs_and_holds(row: Manifest) -> bool:
    """Whether what Git asks for waits while this row is live."""
    return (row.get("status") or {}).get("phase") == Phase.LIVE and bool((row["spec"].get("pinned") or {}).get("holds"))


def _was_given(api: Api, namespace: str, claim: KeyClaim) -> bool:
    """Whether a word was given under the key. Raises KeyReused and kube.errors.ApiError."""
    try:
        claim.check(requests.get(api, APPROVALS, namespace, claim.row))
    except (errors.NotFound, errors.Denied) as error:
        if error.status == 401:
            raise
        return False
    return True


def _manifest(request: ApprovalRequest, row: Manifest, digest: str, claim: KeyClaim | None) -> Manifest:
    name = row["metadata"]["name"]
    spec = {"row": name, "digest": digest, "purpose": request.purpose.value, "message": request.message}
    made = {
        "apiVersion": API_VERSION,
        "kind": kinds.APPROVAL.kind,
        # By its name it is found again where the answer to the request that makes it is lost.
        "metadata": {"namespace": request.namespace, "name": names.confirmed_row(name, secrets.token_hex(4))},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }
    return claim.marked(made) if claim is not None else made


def _said_before(row: Manifest, given: Iterable[Manifest], purpose: Purpose, by: str | None) -> Manifest | None:
    """The same word that its giver gave already, where it still counts."""
    if by is None:
        return None
    return next((each for each in _counting(row, given) if each["spec"].get("by") == by and each["spec"]["purpose"] == purpose), None)


def _counting(row: Manifest, given: Iterable[Manifest]) -> list[Manifest]:
    """What was said of this digest, is not from a backup, and has not expired."""
    pinned = row["spec"]["pinned"]
    seconds = min((guard.get("expiresSeconds") or EXPIRES_SECONDS for guard in _approvals_asked(row)), default=EXPIRES_SECONDS)
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    return [
        each
        for each in given
        if each["spec"]["digest"] == pinned["digest"]
        and not each["spec"].get("restored")
        and parse_time(each["metadata"]["creationTimestamp"]) > since
    ]


def _missing(plan: ApprovalPlan) -> list[str]:
    """What the row waits for after the word."""
    if plan.request.purpose in (Purpose.REJECT, Purpose.WITHDRAW):
        return [f"{plan.title} is not deployed, and ends"]
    if _runs_and_holds(plan.row):
        return ["what Git asks for waits no more"]
    return list(_left(plan, waits_of(plan.row) or {})) or ["nothing else holds it: it is deployed"]


def _left(plan: ApprovalPlan, waits: Mapping[str, Any]) -> Iterator[str]:
    """What else the row waits for, by its status."""
    is_approval, reason = plan.request.purpose is Purpose.APPROVE, waits.get("reason")
    if (needed := waits.get("approvalsNeeded")) is not None:
        has = (waits.get("approvals") or 0) + (is_approval and not _counts_for_nothing(plan.row, plan.by))
        if left := max(needed - has, 0):
            yield f"{left} more approval{'s are' if left != 1 else ' is'} needed"
    if reason is not None and reason not in (GuardReason.AWAITING_APPROVAL, GuardReason.HELD):
        yield f"it waits for more than that: {waits.get('message')}"
    elif is_approval and waits.get("resumable"):
        yield f"somebody has to resume it, too: `kubectl dynamiq resume {plan.request.app}`"


def _warnings(api: Api, request: ApprovalRequest, row: Manifest, by: str | None) -> tuple[str, ...]:
    found = []
    if request.purpose is Purpose.APPROVE and (why := _counts_for_nothing(row, by)):
        found.append(why)
    try:
        verb = VERBS.get(request.purpose)
        why_not = lacking(api, request.namespace, APPROVALS)
        if verb is not None and not may(api, verb, RECORDS, request.namespace):
            why_not.append(f"you may not {verb} {RECORDS.plural}.{RECORDS.group} in namespace {request.namespace}")
        found += [f"you could not do this: {why}" for why in why_not]
    except errors.Denied as error:
        if error.status == 401:
            raise
    return tuple(found)


def _counts_for_nothing(row: Manifest, by: str | None) -> str:
    """Why the approval of this giver counts for nothing; empty where it counts, or that is not known."""
    if by is None:
        return ""
    if by == row["spec"].get("createdBy"):
        return "you are its author: your approval counts for nothing, somebody else has to approve it"
    listed: set[str] = set()
    for guard in _approvals_asked(row):
        listed |= set(guard.get("serviceAccounts") or ())
    if by.startswith(SERVICE_ACCOUNT) and by not in listed:
        return "you are a service account that no policy lists: your approval counts for nothing"
    return ""


def _approvals_asked(row: Manifest) -> list[Mapping[str, Any]]:
    guards = row["spec"]["pinned"].get("guards") or ()
    return [guard for guard in guards if guard["reason"] == GuardReason.AWAITING_APPROVAL]

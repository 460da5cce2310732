"""A word on a row that waits: approve, resume, reject or withdraw it.

An Approval names the row's digest as its giver saw it, so it counts for what the row pins and nothing else. Whether it counts is the
operator's to say; what is known before is said here: that the giver is the row's author, that they said the same already.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dynamiq_operator.actions import history, waiting
from dynamiq_operator.actions.consequences import (
    UNSTAMPED,
    approvals_asked,
    check_counts,
    check_open,
    is_resumable,
    missing,
    runs_and_holds,
    title,
)
from dynamiq_operator.actions.idempotency import Key, KeyClaim, Performed
from dynamiq_operator.actions.identity import username
from dynamiq_operator.actions.refusals import Changed, Difference, NotAllowed, NotNow
from dynamiq_operator.actions.rights import APPROVE, DEPLOY, lacking
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPROVALS
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.model.policy import EXPIRES_SECONDS
from dynamiq_operator.model.text import plugin_command
from dynamiq_operator.views.preview import Preview

VERBS = {Purpose.APPROVE: APPROVE, Purpose.REJECT: APPROVE, Purpose.RESUME: DEPLOY}
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
        return said(self, self.said) if self.said is not None else [*_missing(self, counts=True), *self.warnings]


def plan_approval(api: Api, request: ApprovalRequest, *, user: str | None = None, key: Key | None = None) -> ApprovalPlan:
    """What the word would do. `user`: the giver, asked of the API server where it is None. What was given under the key already may be asked for again.

    Raises Unknown, NotNow where the row waits for nothing, Changed where its digest is another, NotAllowed where only others may say it, KeyReused,
    and kube.errors.ApiError.
    """
    row = _row(api, request)
    _check_holds(api, request, row)
    claim = KeyClaim.of(key, request.purpose.value, row["metadata"]["uid"], request, row["metadata"]["name"]) if key is not None else None
    is_repeat = claim is not None and _was_given(api, request.namespace, claim)
    if not is_repeat:  # by its first word the row may have ended its waiting
        check_open(row, request.purpose)
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
    if before is not None:
        return ApprovalPlan(request, row, made, given, by, before, claim=claim)
    if not is_repeat:
        check_counts(api, request.purpose, row, by)
    return ApprovalPlan(request, row, made, given, by, None, tuple(_rights(api, request)), claim)


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


def said(plan: ApprovalPlan, made: Manifest) -> list[str]:
    """What was done, and what is still missing. `made`: the Approval as it is stored."""
    if plan.said is not None:
        return [f"you have {DONE[plan.request.purpose]} {plan.title} already: nothing is to be done"]
    is_stamped = bool(made["spec"].get("by"))
    done = f"{DONE[plan.request.purpose]} {plan.title} of {plan.request.app}"
    return [done, *([] if is_stamped else [UNSTAMPED]), *_missing(plan, counts=is_stamped)]


def _missing(plan: ApprovalPlan, *, counts: bool) -> list[str]:
    return missing(plan.request.purpose, plan.row, counts=counts)


def _row(api: Api, request: ApprovalRequest) -> Manifest:
    namespace, app = request.namespace, request.app
    if request.row is not None:
        return history.find_row(api, namespace, app, request.row)
    found = history.waiting_rows(api, namespace, app)
    if request.purpose is Purpose.RESUME:
        return _to_resume(api, request, found)
    if not found:
        waits = _ended_waiting(api, request)
        raise NotNow(f"no row of {app} waits{f', {waits}' if waits else ''}: see {plugin_command(f'history {app} -o wide', namespace)}")
    return _only(found, app)


def _ended_waiting(api: Api, request: ApprovalRequest) -> str:
    """Returns why the newest row waits no more, where it ended while it waited; empty otherwise."""
    newest = history.rows(api, request.namespace, request.app)[:1]
    ended = [
        row
        for row in newest
        if "outcome" in row["spec"] and "released" not in row["spec"] and (row["spec"].get("pinned") or {}).get("guards")
    ]
    return f"row {title(ended[0])} ended: {ended[0]['spec']['outcome'].get('reason', '')}" if ended else ""


def _to_resume(api: Api, request: ApprovalRequest, found: Sequence[Manifest]) -> Manifest:
    """Of the rows that wait the one that can be resumed; where none can, the one that is live, and holds."""
    namespace, app = request.namespace, request.app
    if resumable := [row for row in found if is_resumable(row)]:
        return _only(resumable, app)
    there = history.find_app(api, namespace, app)
    holds = there.status.holds
    if holds is None:
        if len(found) == 1:
            check_open(found[0], request.purpose)
        waits = (
            f"{', '.join(title(row) for row in found)} wait for something else" if found else _ended_waiting(api, request) or "none waits"
        )
        raise NotNow(f"no row of {app} can be resumed, {waits}: see {plugin_command(f'history {app} -o wide', namespace)}")
    rows = history.open_rows(api, namespace, app, there.meta.uid)
    coming = rows.candidate or next((row for row in rows.guarded if row.name == holds.row), None)
    live = history.find_row(api, namespace, app, rows.live.name) if rows.live is not None and coming is None else None
    if live is None or not runs_and_holds(live):
        what = f"row #{coming.sequence}" if coming is not None and coming.name != holds.row else f"rollback #{holds.sequence}"
        raise NotNow(f"{what} is not live yet: resume once it is")
    return live


def _check_holds(api: Api, request: ApprovalRequest, row: Manifest) -> None:
    """Raises NotNow where the row to resume took a version back, and its App has no hold of it: the row itself doesn't say it."""
    if request.purpose is Purpose.RESUME and runs_and_holds(row) and "holds" not in row["spec"]["pinned"]:
        holds = history.find_app(api, request.namespace, request.app).status.holds
        if holds is None or holds.row != row["metadata"]["name"]:
            raise NotNow(f"row {title(row)} is live, and holds nothing")


def _only(found: Sequence[Manifest], app: str) -> Manifest:
    if len(found) > 1:
        raise NotNow(f"several rows of {app} wait, {', '.join(title(row) for row in found)}: name one")
    return found[0]


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
    """The same word that its giver gave already, where it still counts: of a row that can be resumed none does, or nobody would be waited for."""
    if by is None or (purpose is Purpose.RESUME and is_resumable(row)):
        return None
    return next((each for each in _counting(row, given, purpose) if each["spec"].get("by") == by), None)


def _counting(row: Manifest, given: Iterable[Manifest], purpose: Purpose) -> list[Manifest]:
    """What was said to this purpose of this digest, is not from a backup, and has not expired, as approvals alone do."""
    pinned = row["spec"]["pinned"]
    seconds = min((guard.get("expiresSeconds") or EXPIRES_SECONDS for guard in approvals_asked(row)), default=EXPIRES_SECONDS)
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    return [
        each
        for each in given
        if (each["spec"]["digest"], each["spec"]["purpose"]) == (pinned["digest"], purpose)
        and not each["spec"].get("restored")
        and (purpose is not Purpose.APPROVE or parse_time(each["metadata"]["creationTimestamp"]) > since)
    ]


def _rights(api: Api, request: ApprovalRequest) -> list[str]:
    """What the giver may not do that the word takes, in sentences."""
    verb = VERBS.get(request.purpose)
    return [f"you could not do this: {why}" for why in lacking(api, request.namespace, APPROVALS, verbs=[verb] if verb is not None else ())]

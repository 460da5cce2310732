"""What a word on a waiting row does: what is still missing after it, and why it may count for nothing.

Whether it counts is the operator's to say; this says beforehand what can be told from the row and the giver, and afterwards whether the API
server stamped who said it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.actions.refusals import NotNow
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import DEPLOY_POLICIES, NAMESPACES
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.guards import GuardReason
from dynamiq_operator.model.manifests import Phase
from dynamiq_operator.model.namespaces import selects
from dynamiq_operator.model.objects import DeployPolicy, Manifest, read
from dynamiq_operator.model.record import Source
from dynamiq_operator.plan.guards.kinds import is_automation, is_service_account
from dynamiq_operator.views.waiting import is_waiting, waits_of

UNSTAMPED = "it counts for nothing: the API server did not stamp who said it, by no admission policy (Kubernetes 1.36 or later, manifests/admission)"


def title(row: Manifest) -> str:
    """A row as messages name it: `#13 (support-x7k2p)`."""
    sequence = row["spec"].get("sequence")
    name: str = row["metadata"]["name"]
    return f"#{sequence} ({name})" if sequence else name


def runs_and_holds(row: Manifest) -> bool:
    """Whether what Git asks for waits while this row is live; an operator of before noted no hold of a row that took a version back."""
    pinned: Mapping[str, Any] = row["spec"].get("pinned") or {}
    return (row.get("status") or {}).get("phase") == Phase.LIVE and ("holds" in pinned or pinned.get("source") == Source.REVERT)


def is_resumable(row: Manifest) -> bool:
    """Whether a Resume would count now: after a freeze one counts only that is given after its end."""
    return is_waiting(row) and bool((waits_of(row) or {}).get("resumable"))


def approvals_asked(row: Manifest) -> list[Mapping[str, Any]]:
    """The guards of a pinned row that ask for approvals."""
    guards = row["spec"]["pinned"].get("guards") or ()
    return [guard for guard in guards if guard["reason"] == GuardReason.AWAITING_APPROVAL]


def check_open(row: Manifest, purpose: Purpose) -> None:
    """Raises NotNow where the word could do nothing, with what the row waits for."""
    spec, named = row["spec"], title(row)
    is_resume = purpose is Purpose.RESUME
    if is_resume and runs_and_holds(row):
        return
    if is_resume and (row.get("status") or {}).get("phase") == Phase.LIVE:
        raise NotNow(f"row {named} is live, and holds nothing: where a rollback is under way, resume once that is live")
    if "outcome" in spec:
        raise NotNow(f"row {_ended(row)}")
    if "pinned" not in spec:
        raise NotNow(f"row {named} is not pinned yet, so nobody can say what it would do: try again in a moment")
    if not is_waiting(row):
        raise NotNow(f"row {named} waits for nothing: it is being deployed")
    waits = waits_of(row) or {}
    why = waits.get("message") or ", ".join(sorted({guard["reason"] for guard in spec["pinned"]["guards"]}))
    if is_resume and not is_resumable(row):
        raise NotNow(f"row {named} waits for nobody to resume it: {why}")
    if purpose is Purpose.APPROVE and not approvals_asked(row) and not waits.get("approvalsNeeded"):
        raise NotNow(f"row {named} waits for no approval: {why}")


def _ended(row: Manifest) -> str:
    return f"{title(row)} has ended: {row['spec']['outcome'].get('reason', '')}"


def missing(purpose: Purpose, app: str, row: Manifest, *, counts: bool) -> list[str]:
    """What the row waits for after the word. `counts`: whether the word counts, as far as that is known."""
    if purpose in (Purpose.REJECT, Purpose.WITHDRAW):
        return [f"{title(row)} is not deployed, and ends" if counts else f"{title(row)} waits on"]
    if runs_and_holds(row):
        return ["what Git asks for waits no more" if counts else "what Git asks for waits on"]
    if "outcome" in row["spec"]:
        return [_ended(row)]
    return list(_left(purpose, app, waits_of(row) or {}, counts)) or ["nothing else holds it: it is deployed" if counts else "it waits on"]


def _left(purpose: Purpose, app: str, waits: Mapping[str, Any], counts: bool) -> Iterator[str]:
    """What else the row waits for, by its status."""
    is_approval, reason = purpose is Purpose.APPROVE, waits.get("reason")
    if (needed := waits.get("approvalsNeeded")) is not None:
        has = (waits.get("approvals") or 0) + (is_approval and counts)
        if left := max(needed - has, 0):
            yield f"{left} more approval{'s are' if left != 1 else ' is'} needed"
    if reason is not None and reason not in (GuardReason.AWAITING_APPROVAL, GuardReason.HELD):
        yield f"it waits for more than that: {waits.get('message')}"
    elif waits.get("resumable") and (is_approval or not counts):
        yield f"somebody has to resume it{', too' if is_approval else ''}: `kubectl dynamiq resume {app}`"


def counts_for_nothing(api: Api, purpose: Purpose, row: Manifest, by: str | None) -> str:
    """Why the word of this giver counts for nothing; empty where it counts, or that is not known. Raises kube.errors.ApiError."""
    if purpose in (Purpose.APPROVE, Purpose.WITHDRAW) and not row["spec"]["pinned"].get("createdByVerified"):
        nobody = "the API server did not stamp who made the row, so nobody can be told from its author"
        return f"{nobody}: {'no approval of it counts' if purpose is Purpose.APPROVE else 'it cannot be withdrawn, reject it instead'}"
    if by is None:
        return ""
    if purpose is Purpose.APPROVE:
        return _approves_nothing(row, by)
    if purpose is Purpose.RESUME and is_automation(_policies(api, row["metadata"]["namespace"]), by):
        return "you are automation to the rules for deploys, as what is held is: your word counts for nothing, a person has to resume it"
    return ""


def _approves_nothing(row: Manifest, by: str) -> str:
    if by == row["spec"].get("createdBy"):
        return "you are its author: your approval counts for nothing, somebody else has to approve it"
    listed = [frozenset(guard.get("serviceAccounts") or ()) for guard in approvals_asked(row)]
    # Where the pins ask for none, what is asked since is not known here.
    if is_service_account(by) and listed and by not in frozenset.intersection(*listed):
        return "you are a service account that not every policy lists: your approval counts for nothing"
    return ""


def _policies(api: Api, namespace: str) -> list[DeployPolicy]:
    """The policies that are known to select the namespace; none where the caller may not read them."""
    try:
        found = [each for raw in requests.items(api, DEPLOY_POLICIES) if isinstance(each := read(DeployPolicy, raw), DeployPolicy)]
        labels = requests.get(api, NAMESPACES, "", namespace)["metadata"].get("labels") or {} if found else {}
    except (errors.NotFound, errors.Denied) as error:
        if error.status == 401:
            raise
        return []
    return [each for each in found if selects(each.spec.namespace_selector, namespace, labels)]

"""Lists what a waiting row still needs after an Approval, and refuses an Approval that would have no effect.

It judges by the row and the giver, before the Approval is created. The operator alone decides if an Approval counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.actions.refusals import NotAllowed, NotNow
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import DEPLOY_POLICIES, NAMESPACES
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.model.guards import GuardReason
from dynamiq_operator.model.manifests import Phase
from dynamiq_operator.model.namespaces import selects
from dynamiq_operator.model.needs import is_approval as is_approval_need
from dynamiq_operator.model.needs import is_resumption, needs_of
from dynamiq_operator.model.objects import Manifest, read
from dynamiq_operator.model.row import Source
from dynamiq_operator.plan.guards.kinds import is_automation, is_service_account
from dynamiq_operator.views.waiting import is_waiting, waits_of

UNSTAMPED = "it does not count: the API server did not stamp its author. That needs the policies of manifests/admission and Kubernetes 1.36 or later"


def title(row: Manifest) -> str:
    """Returns the row's name in messages: `#13 (support-x7k2p)`."""
    sequence = row["spec"].get("sequence")
    name: str = row["metadata"]["name"]
    return f"#{sequence} ({name})" if sequence else name


def runs_and_holds(row: Manifest) -> bool:
    """Returns True if the row is live and may hold changes from Git."""
    # An older operator pinned no `holds` in a revert.
    pinned: Mapping[str, Any] = row["spec"].get("pinned") or {}
    return (row.get("status") or {}).get("phase") == Phase.LIVE and ("holds" in pinned or pinned.get("source") == Source.REVERT)


def is_resumable(row: Manifest) -> bool:
    """Returns True if a resumption would count now. After a freeze only one that is given after its end counts."""
    return is_waiting(row) and bool((waits_of(row) or {}).get("resumable"))


def approval_guards(row: Manifest) -> list[Mapping[str, Any]]:
    """Lists the guards of a pinned row that require approvals."""
    guards = row["spec"]["pinned"].get("guards") or ()
    return [guard for guard in guards if guard["reason"] == GuardReason.AWAITING_APPROVAL]


def check_open(row: Manifest, purpose: Purpose) -> None:
    """Raises NotNow if an Approval of this purpose could do nothing. The message says why."""
    spec, row_title = row["spec"], title(row)
    is_resume = purpose is Purpose.RESUME
    if is_resume and runs_and_holds(row):
        return
    if is_resume and (row.get("status") or {}).get("phase") == Phase.LIVE:
        raise NotNow(f"row {row_title} is live, and nothing is on hold. If a rollback is under way, resume once it is live")
    if "outcome" in spec:
        raise NotNow(f"row {_ended(row)}")
    if "pinned" not in spec:
        raise NotNow(f"row {row_title} is not pinned yet, so its effect is unknown: try again in a moment")
    if not is_waiting(row):
        raise NotNow(f"row {row_title} waits for nothing: it is being deployed")
    waits = waits_of(row) or {}
    why = waits.get("message") or ", ".join(sorted({guard["reason"] for guard in spec["pinned"]["guards"]}))
    if is_resume and not is_resumable(row):
        raise NotNow(f"Nobody has to resume row {row_title}: {why}")
    if purpose is Purpose.APPROVE and not approval_guards(row) and not waits.get("approvalsNeeded"):
        raise NotNow(f"Row {row_title} needs no approval: {why}")


def _ended(row: Manifest) -> str:
    return f"{title(row)} has ended: {row['spec']['outcome'].get('reason', '')}"


def missing(purpose: Purpose, row: Manifest, *, counts: bool) -> list[str]:
    """Lists, in sentences, what the row still needs after an Approval of this purpose. `counts`: the Approval counts, as far as known."""
    if purpose in (Purpose.REJECT, Purpose.WITHDRAW):
        return [f"{title(row)} is not deployed, and ends" if counts else f"{title(row)} waits on"]
    if runs_and_holds(row):
        return ["changes from Git are applied again" if counts else "changes from Git stay on hold"]
    if "outcome" in row["spec"]:
        return [_ended(row)]
    sentences = _needs_after(purpose, waits_of(row) or {}, counts)
    return sentences or ["nothing else holds it: it is deployed" if counts else "it waits on"]


def _needs_after(purpose: Purpose, waits: Mapping[str, Any], counts: bool) -> list[str]:
    """Lists, in sentences, the needs in the row's status, without those that the Approval itself meets."""
    is_approval = purpose is Purpose.APPROVE
    needs = needs_of(waits.get("message") or "") if waits else []
    sentences = []
    if (needed := waits.get("approvalsNeeded")) is not None:
        more = max(needed - (waits.get("approvals") or 0) - (is_approval and counts), 0)
        sentences += [f"{more} more approval{'s are' if more != 1 else ' is'} needed"] if more else []
        needs = [each for each in needs if not is_approval_need(each)]
    if counts and purpose is Purpose.RESUME and waits.get("resumable"):
        needs = [each for each in needs if not is_resumption(each)]
    after = f"After this {'approval' if is_approval else 'resumption'} it" if counts else "it"
    return sentences + ([f"{after} still needs: {'; '.join(needs)}"] if needs else [])


def check_counts(api: Api, purpose: Purpose, row: Manifest, by: str | None) -> None:
    """Raises NotAllowed if an Approval by this giver is known to have no effect; also raises kube.errors.ApiError."""
    if purpose in (Purpose.APPROVE, Purpose.WITHDRAW) and not row["spec"]["pinned"].get("createdByVerified"):
        unknown_author = "the API server did not stamp who made the row, so its author is unknown"
        raise NotAllowed(
            f"{unknown_author}: {'no approval of it counts' if purpose is Purpose.APPROVE else 'it cannot be withdrawn, reject it instead'}"
        )
    if by is None:
        return
    if purpose is Purpose.APPROVE:
        _check_approves(row, by)
    if purpose is Purpose.RESUME and is_automation(_policies(api, row["metadata"]["namespace"]), by):
        raise NotAllowed(f"{by} is automation to the rules for deploys: a person has to resume row {title(row)}")


def _check_approves(row: Manifest, by: str) -> None:
    if by == row["spec"].get("createdBy"):
        raise NotAllowed(f"{by} is the author of row {title(row)}: someone else has to approve it, with the role dynamiq-approver")
    service_accounts = [frozenset(guard.get("serviceAccounts") or ()) for guard in approval_guards(row)]
    # Without such a guard in the pins, an approval may still be required since: that is unknown here.
    if is_service_account(by) and service_accounts and by not in frozenset.intersection(*service_accounts):
        raise NotAllowed(f"service account {by} is not listed by every policy: its approval of row {title(row)} does not count")


def _policies(api: Api, namespace: str) -> list[DeployPolicy]:
    """Lists the policies that select the namespace; none if the caller may not read them."""
    try:
        policies = [each for raw in requests.items(api, DEPLOY_POLICIES) if isinstance(each := read(DeployPolicy, raw), DeployPolicy)]
        labels = requests.read_object(api, NAMESPACES, "", namespace)["metadata"].get("labels") or {} if policies else {}
    except (errors.NotFound, errors.Forbidden):
        return []
    return [each for each in policies if selects(each.spec.namespace_selector, namespace, labels)]

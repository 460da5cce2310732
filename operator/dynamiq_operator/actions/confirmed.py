"""Performs a deploy exactly as its caller confirmed it, or refuses it with the confirmed value and the new one.

Between a preview and its confirmation others may deploy, release or add a Runtime. The operator also completes a row only when it pins it.
Therefore the plan is made again and compared with the confirmed one, and the row that is written leaves nothing to complete.
The objects that it names cannot change: a WorkflowVersion, a Runtime and a row are immutable.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from dynamiq_operator.actions import idempotency
from dynamiq_operator.actions.deploy import DeployPlan, PreviewedDeploy, perform_deploy, plan_again, row_manifest
from dynamiq_operator.actions.idempotency import Performed
from dynamiq_operator.actions.reads import runtime_named
from dynamiq_operator.actions.refusals import Changed, Difference
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model import names
from dynamiq_operator.model.guards import ApprovalWhen
from dynamiq_operator.views.preview import Preview

STARTS = ("from", "under_way")
"""Confirmed fields of the state before the deploy: the live row, and the deploy under way."""
NOT_COMPARED = ("row", "sequence")
"""Fields of a preview's side that a row does not have before it is created."""


def check(confirmed: Mapping[str, Any], now: Mapping[str, Any], what: str = "what would be deployed") -> None:
    """Raises Changed if a confirmed value has changed. Fields that were not confirmed are not compared.

    `confirmed`, `now`: a side of a preview as data, plus the preview's `from` and `under_way`. `what`: the name of the compared thing.
    """
    differences = [
        Difference(field, value, now[field])
        for field, value in confirmed.items()
        if field in now and field not in NOT_COMPARED and field not in STARTS and value != now[field]
    ]
    differences += _other_starts(confirmed, now)
    if differences:
        raise Changed(differences, what)


def _other_starts(confirmed: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    """Yields the differences of the live row and of the deploy under way."""
    # Without this check the deploy could replace, unseen, one that others made after the preview.
    if "from" in confirmed:
        was, live = confirmed["from"], now["from"]
        if was is None or live is None:
            if was is not live:
                yield Difference("from", was, live)
        else:
            yield from (Difference(f"from.{field}", value, live[field]) for field, value in was.items() if value != live[field])
    if "under_way" in confirmed and confirmed["under_way"] != now["under_way"]:
        yield Difference("under_way", confirmed["under_way"], now["under_way"])


def shown(preview: Preview) -> dict[str, Any]:
    """Returns all that a preview shows, as data for `check`: the deploy, the state before it, and its guards."""
    live = preview.now
    start = {"row": live.row, "sequence": live.sequence, "version": live.version} if live is not None else None
    # Callers are counted for the preview alone, so guards that depend on them are not compared.
    guards = [each.message for each in preview.guards if each.when is not ApprovalWhen.BREAKING]
    return {**preview.then.as_json(), "from": start, "under_way": preview.under_way, "guards": guards, "begins_hold": preview.begins_hold}


def perform_confirmed(api: Api, plan: PreviewedDeploy, *, elsewhere: Iterable[str] = ()) -> Performed:
    """Deploys what the preview of the plan showed. `elsewhere`: other namespaces in which a promotion may have used the key.

    Raises Changed if something else would be deployed now, and as `plan_deploy` and `perform_deploy` do.
    """
    claim = plan.claim
    if claim is not None and (row := idempotency.find_claimed_row(api, [plan.request.namespace, *elsewhere], claim)) is not None:
        return Performed(row, is_replayed=True)
    now = plan_again(api, plan)
    check(shown(plan.preview), shown(now.preview))
    explicit = spelled_out(api, now)
    return perform_deploy(api, explicit, elsewhere=elsewhere)


def spelled_out(api: Api, plan: PreviewedDeploy) -> DeployPlan:
    """Returns the plan with a row that names all that its preview shows, so the operator has nothing to complete."""
    request, then = plan.request, plan.then
    explicit = replace(
        request,
        version=then.workflow_version if request.restores is None else None,
        runtime=request.runtime or (_runtime_of(api, plan) if request.restores is None else None),
        # To the guards, a row with a config is a deploy, not a rollback: a plain rollback must name none.
        config=then.config.as_json() if request.restores is None or request.runtime is not None or request.config is not None else None,
    )
    # The name is chosen here, not by the API server: it finds the row again if the answer to its POST is lost.
    name = names.confirmed_row(request.app, secrets.token_hex(4))
    return DeployPlan(request, row_manifest(explicit, plan.claim, name), plan.claim)


def _runtime_of(api: Api, plan: PreviewedDeploy) -> str | None:
    """Returns the name of the Runtime; None if another Runtime now has this name, or the caller may not read it."""
    return None if plan.is_runtime_unread else runtime_named(api, plan.then.runtime)

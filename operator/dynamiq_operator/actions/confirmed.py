"""A deploy that its caller has confirmed: what they saw is what is deployed, or it is refused with both values.

Between a preview and its confirmation others may deploy, release or approve a Runtime, and what a row leaves out is decided when the
operator pins it. So the plan is made anew when it is performed and compared with what was confirmed, and the record that is written leaves
nothing out. What it names never changes under its name: a WorkflowVersion and a Runtime are immutable, and so is a row.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from dynamiq_operator.actions import idempotency
from dynamiq_operator.actions.deploy import DeployPlan, PreviewedDeploy, perform_deploy, plan_again, record_of, runtime_named
from dynamiq_operator.actions.idempotency import Performed
from dynamiq_operator.actions.refusals import Changed, Difference
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model import names
from dynamiq_operator.views.preview import Preview

STARTS = ("from", "under_way")
"""Of what was confirmed: what it starts from."""
NOT_COMPARED = ("row", "sequence")
"""Of a side of a preview: what a row that is yet to be made does not have."""


def check(confirmed: Mapping[str, Any], now: Mapping[str, Any], what: str = "what would be deployed") -> None:
    """Raises Changed where a value that was confirmed is another one now. Both are a side of a preview as data, with `from` and `under_way` of
    the preview beside it; what was not confirmed is not compared. `what` it is, in words.
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
    """How what is live, and what is under way, is not what was confirmed: a deploy of others in between would be undone unseen."""
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
    """All that a preview shows of what would be deployed and of what it starts from, to be compared."""
    live = preview.now
    start = {"row": live.row, "sequence": live.sequence, "version": live.version} if live is not None else None
    guards = [each.message for each in preview.guards]
    return {**preview.then.as_json(), "from": start, "under_way": preview.under_way, "guards": guards, "begins_hold": preview.begins_hold}


def perform_confirmed(api: Api, plan: PreviewedDeploy, *, elsewhere: Iterable[str] = ()) -> Performed:
    """Deploys what the preview of the plan showed. Raises Changed where that is no longer what would be deployed, and as planning does."""
    claim = plan.claim
    if claim is not None and (found := idempotency.find_claimed_row(api, [plan.request.namespace, *elsewhere], claim)) is not None:
        return Performed(found, is_replayed=True)
    now = plan_again(api, plan)
    check(shown(plan.preview), shown(now.preview))
    return perform_deploy(api, spelled_out(api, now), elsewhere=elsewhere)


def spelled_out(api: Api, plan: PreviewedDeploy) -> DeployPlan:
    """The plan whose record names all that its preview shows, so that nothing is left to be decided when it is pinned."""
    asked, then = plan.request, plan.then
    named = replace(
        asked,
        version=then.workflow_version if asked.restores is None else None,
        runtime=asked.runtime or (_runtime_of(api, plan) if asked.restores is None else None),
        # A row that only brings back another one is a rollback to the rules for deploys, and with a config it would be none.
        config=then.config.as_json() if asked.restores is None or asked.runtime is not None or asked.config is not None else None,
    )
    # By its name the row is found again where the answer to the request that makes it is lost.
    record = record_of(named, names.confirmed_row(asked.app, secrets.token_hex(4)))
    return DeployPlan(asked, plan.claim.marked(record) if plan.claim is not None else record, plan.claim)


def _runtime_of(api: Api, plan: PreviewedDeploy) -> str | None:
    """The name of the Runtime; None where another one has this name by now than the one that is kept, or it is not known which it is."""
    return None if plan.is_runtime_unread else runtime_named(api, plan.then.runtime)

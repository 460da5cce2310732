"""A hostname belongs to one App in the cluster: the first to claim it. The second gets a condition, and no route.

A claim is an object of the operator's namespace, named by the hostname's hash: the API server lets one be created. Its
holder is an App by namespace and name, so that one which is created again within the grace period keeps its hostname.
"""

from __future__ import annotations

from datetime import timedelta

from dynamiq_operator.desired import exposure
from dynamiq_operator.desired.base import HTTP_ROUTE, ChildKey
from dynamiq_operator.model.objects import App
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason
from dynamiq_operator.plan.operations import ClaimHostname, KeepClaim, Operation, ReleaseClaim
from dynamiq_operator.plan.snapshot import ClaimState

GRACE = timedelta(seconds=60)
"""How long a hostname stays with an App that is deleted, or that no longer wants it, once another App asks for it."""

_WANTED = "exposure.type is Gateway"


def may_route(context: Context) -> bool:
    """Whether the App may have a route for its hostname."""
    return _is_ours(context) and not gateway_problems(context)


def claim_operations(context: Context) -> tuple[Operation, ...]:
    """Creates, keeps or releases the claim of the App's hostname."""
    host, claim = exposure.external_hostname(context.app, context.settings), context.snapshot.claim
    if host is None or _is_reserved(context):
        return ()
    if claim.state is ClaimState.FREE:
        return (ClaimHostname(context.app, host),)
    if claim.raw is None:
        return ()
    if claim.state is ClaimState.OURS and claim.released_at is not None:
        return (KeepClaim(claim.raw, None),)
    if claim.state is ClaimState.ABANDONED and claim.released_at is None:
        return (KeepClaim(claim.raw, context.now),)
    if claim.state is ClaimState.ABANDONED and claim.released_at is not None and context.now - claim.released_at >= GRACE:
        return (ReleaseClaim(claim.raw),)
    return ()


def claim_problems(context: Context) -> dict[ChildKey, ChildProblem]:
    """Why the App has no route. Another namespace is not named: a reader of the App may not be allowed to know of it."""
    host = exposure.external_hostname(context.app, context.settings)
    if host is None or _is_ours(context) or (context.snapshot.claim.state is ClaimState.FREE and not _is_reserved(context)):
        return {}
    if _is_reserved(context):
        said = f"hostname {host} is reserved for the App whose name and namespace it is made of: choose another"
    elif context.snapshot.claim.state is ClaimState.ABANDONED:
        said = f"hostname {host} was another App's until lately: it is free {GRACE.seconds} s after it was asked for"
    elif context.snapshot.claim.holder is not None and context.snapshot.claim.holder[0] == context.app.meta.namespace:
        said = f"hostname {host} is that of App {context.snapshot.claim.holder[1]} in this namespace: choose another"
    elif context.snapshot.claim.holder is None:
        kind = context.snapshot.claim.stranger
        said = f"hostname {host} is served by an {kind} that is not ours: choose another, or delete that {kind}"
    else:
        said = f"hostname {host} is another App's: choose another"
    return {_route_key(context.app): ChildProblem(ProblemReason.HOSTNAME, said)}


def gateway_problems(context: Context) -> dict[ChildKey, ChildProblem]:
    """Why an App that wants a Gateway can have none. Until it can, what served its hostname before stays."""
    if not context.app.spec.wants_gateway or exposure.external_hostname(context.app, context.settings) is None:
        return {}
    if not context.snapshot.has_gateway_api:
        said = (
            f"{_WANTED}, and the cluster does not serve HTTPRoutes: install the Gateway API ({HTTP_ROUTE.api_version}), or use type Ingress"
        )
    elif exposure.gateway(context.app, context.settings) is None:
        said = f"{_WANTED}, and nobody names one: set exposure.parentRef, or start the operator with --gateway NAMESPACE/NAME"
    else:
        return {}
    return {_route_key(context.app): ChildProblem(ProblemReason.GATEWAY, said)}


def _route_key(app: App) -> ChildKey:
    return exposure.route_resource(app).key(app.meta.name)


def _is_ours(context: Context) -> bool:
    return context.snapshot.claim.state is ClaimState.OURS and not _is_reserved(context)


def _is_reserved(context: Context) -> bool:
    """Whether the hostname is `<app>.<namespace>.<domain>` of another App, there or not."""
    host, domain = exposure.external_hostname(context.app, context.settings), context.settings.domain
    if host is None or domain is None or not host.endswith(f".{domain}"):
        return False
    parts = host.removesuffix(f".{domain}").split(".")
    return len(parts) == 2 and parts != [context.app.meta.name, context.app.meta.namespace]

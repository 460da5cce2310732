"""A hostname belongs to one App in the cluster: the first to claim it. The second gets a condition, and no route.

What serves goes on serving: a route goes when its App wants another hostname, or when it is not the one that was made for this hostname, and
another App has the claim. A claim that was lost is made again from the route, with its age, for the oldest of them; the others serve on and say
that they are contested. A claim that cannot be read says nothing.

A claim is an object of the operator's namespace, named by the hostname's hash: the API server lets one be created. Its
holder is an App by namespace and name, so that one which is created again within the grace period keeps its hostname.
"""

from __future__ import annotations

from datetime import timedelta

from dynamiq_operator.desired import exposure
from dynamiq_operator.desired.base import HTTP_ROUTE, ChildKey
from dynamiq_operator.desired.child_kinds import child_kind
from dynamiq_operator.model.objects import App
from dynamiq_operator.plan import events
from dynamiq_operator.plan.children.route_annotations import annotation_problems, serving_ingress
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason
from dynamiq_operator.plan.operations import ClaimHostname, KeepClaim, Operation, ReleaseClaim
from dynamiq_operator.plan.snapshot import ClaimState

GRACE = timedelta(seconds=60)
"""How long a hostname stays with an App that is deleted, or that no longer wants it, once another App asks for it."""

_WANTED = "exposure.type is Gateway"


def may_route(context: Context) -> bool:
    """Whether the App may have a route for its hostname."""
    return _has_hostname(context) and not gateway_problems(context) and not _lacks_ingress(context)


def routes_stay(context: Context) -> bool:
    """Whether routes that are not desired stay for now: for what is to replace them cannot be made, or whose the hostname is, is not known yet."""
    return (
        bool(gateway_problems(context)) or _lacks_ingress(context) or context.snapshot.claim.state in (ClaimState.FREE, ClaimState.UNKNOWN)
    )


def claim_operations(context: Context) -> tuple[Operation, ...]:
    """Creates, keeps or releases the claim of the App's hostname."""
    host, claim = exposure.external_hostname(context.app, context.settings), context.snapshot.claim
    if host is None or _is_reserved(context):
        return ()
    if claim.state is ClaimState.FREE:
        told = (events.claimed_again(context.app, host, claim.since),) if claim.since else ()
        return (*told, ClaimHostname(context.app, host, claim.since, claim.others))
    if claim.raw is None:
        return ()
    if claim.state is ClaimState.STALE:
        return (ReleaseClaim(claim.raw),)
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
    claim = context.snapshot.claim
    if host is None or (claim.state in (ClaimState.OURS, ClaimState.FREE) and not _is_reserved(context)):
        return {}
    if claim.state is ClaimState.STALE and claim.raw is not None:
        return {}
    if claim.state is ClaimState.UNKNOWN:
        said = f"whose hostname {host} is, is not known: {claim.unread}; what serves it stays as it is, and a new route waits"
        return {_route_key(context.app): ChildProblem(ProblemReason.UNREAD, said)}
    if claim.state is ClaimState.CONTESTED:
        return {_route_key(context.app): ChildProblem(ProblemReason.CONTESTED, _contested(context, host))}
    if claim.state is ClaimState.STALE:
        said = f"hostname {host} was claimed by another App after this one began to serve it: this one goes on; one of them has to choose another"
    elif _is_reserved(context):
        said = f"hostname {host} is reserved for the App whose name and namespace it is made of: choose another"
    elif claim.state is ClaimState.ABANDONED:
        said = f"hostname {host} was another App's until lately: it is free {GRACE.seconds} s after it was asked for"
    elif claim.holder is not None and claim.holder[0] == context.app.meta.namespace:
        said = f"hostname {host} is that of App {claim.holder[1]} in this namespace: choose another"
    elif claim.holder is None:
        said = f"hostname {host} is served by an {claim.stranger} that is not ours: choose another, or delete that {claim.stranger}"
    else:
        said = f"hostname {host} is another App's: choose another"
    return {_route_key(context.app): ChildProblem(ProblemReason.HOSTNAME, said)}


def _contested(context: Context, host: str) -> str:
    holder = context.snapshot.claim.holder
    other = f"App {holder[1]} in this namespace" if holder is not None and holder[0] == context.app.meta.namespace else "another App"
    return f"hostname {host} is served by {other} as well, whose it is: this one goes on; one of them has to choose another"


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


def _lacks_ingress(context: Context) -> bool:
    """Whether an Ingress is wanted that must not be made."""
    return bool(annotation_problems(context)) and serving_ingress(context) is None


def _has_hostname(context: Context) -> bool:
    if _is_reserved(context):
        return False
    match context.snapshot.claim.state:
        case ClaimState.OURS | ClaimState.STALE:
            return True
        case ClaimState.FREE | ClaimState.UNKNOWN | ClaimState.CONTESTED:
            return _serves(context)
        case _:
            return False


def _serves(context: Context) -> bool:
    """Whether a route of the App has its hostname already."""
    host = exposure.external_hostname(context.app, context.settings)
    return host is not None and any(
        child_kind(kind).serves_hostname and exposure.serves(raw, context.app, host) for (kind, _), raw in context.snapshot.children.items()
    )


def _is_reserved(context: Context) -> bool:
    """Whether the hostname is `<app>.<namespace>.<domain>` of another App, there or not. One that is served was had before the domain."""
    if _serves(context):
        return False
    host, domain = exposure.external_hostname(context.app, context.settings), context.settings.domain
    if host is None or domain is None or not host.endswith(f".{domain}"):
        return False
    parts = host.removesuffix(f".{domain}").split(".")
    return len(parts) == 2 and parts != [context.app.meta.name, context.app.meta.namespace]

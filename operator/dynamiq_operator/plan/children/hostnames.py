"""Gives each hostname to one App in the cluster: the first that claims it. The second gets a condition, and no route.

A serving route stays. It is deleted if its App wants another hostname. It is also deleted if another App has the claim and the route was
not made for this hostname. A lost claim is created again from the route, with its age, for the oldest one. Other routes stay, and their
Apps show that they are contested. An unreadable claim proves nothing.

A claim is an object in the operator's namespace, named by the hostname's hash: the API server creates only one. Its holder is an App by
namespace and name: an App that is created again within GRACE keeps its hostname.
"""

from __future__ import annotations

from datetime import timedelta

from dynamiq_operator.desired import exposure
from dynamiq_operator.desired.base import HTTP_ROUTE, ChildKey
from dynamiq_operator.desired.child_kinds import child_kind
from dynamiq_operator.model.objects import App
from dynamiq_operator.plan.children.route_annotations import annotation_problems, serving_ingress
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.claim import ClaimState, HostnameClaim
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason
from dynamiq_operator.plan.operations import ClaimHostname, KeepClaim, Operation, ReleaseClaim
from dynamiq_operator.plan.output import events

GRACE = timedelta(seconds=60)
"""How long a deleted App, or one that no longer wants its hostname, keeps it after another App wants it."""

_WANTED = "exposure.type is Gateway"


def may_route(context: Context) -> bool:
    """Returns True if the App may have a route for its hostname."""
    return _has_hostname(context) and not gateway_problems(context) and not _lacks_ingress(context)


def routes_stay(context: Context) -> bool:
    """Returns True if undesired routes stay for now: their replacement cannot be made, or the owner of the hostname is unknown."""
    return (
        bool(gateway_problems(context)) or _lacks_ingress(context) or context.snapshot.claim.state in (ClaimState.FREE, ClaimState.UNKNOWN)
    )


def claim_operations(context: Context) -> tuple[Operation, ...]:
    """Returns the operations that create, keep or release the claim of the App's hostname."""
    host, claim = exposure.external_hostname(context.app, context.snapshot.settings), context.snapshot.claim
    if host is None or _is_reserved(context):
        return ()
    if claim.state is ClaimState.FREE:
        emits = (events.claimed_again(context.app, host, claim.since),) if claim.since else ()
        return (*emits, ClaimHostname(context.app, host, claim.since, claim.others))
    if claim.raw is None:
        return ()
    if claim.state is ClaimState.STALE:
        return (ReleaseClaim(claim.raw),)
    if claim.state is ClaimState.OURS and claim.released_at is not None:
        return (KeepClaim(claim.raw, None),)
    if claim.state is ClaimState.ABANDONED and claim.released_at is None:
        return (KeepClaim(claim.raw, context.snapshot.now),)
    if claim.state is ClaimState.ABANDONED and claim.released_at is not None and context.snapshot.now - claim.released_at >= GRACE:
        return (ReleaseClaim(claim.raw),)
    return ()


def claim_problems(context: Context) -> dict[ChildKey, ChildProblem]:
    """Returns why the App has no route. Messages never name another namespace: readers of the App may not be allowed to know it."""
    host = exposure.external_hostname(context.app, context.snapshot.settings)
    claim = context.snapshot.claim
    if host is None or (claim.state in (ClaimState.OURS, ClaimState.FREE) and not _is_reserved(context)):
        return {}
    if claim.state is ClaimState.STALE and claim.raw is not None:
        return {}
    if claim.state is ClaimState.UNKNOWN:
        message = f"the owner of hostname {host} is unknown: {claim.unread}; existing routes stay, and a new one waits"
        return {_route_key(context.app): ChildProblem(ProblemReason.UNREAD, message)}
    if claim.state is ClaimState.CONTESTED:
        return {_route_key(context.app): ChildProblem(ProblemReason.CONTESTED, _contested(context.app, context.snapshot.claim, host))}
    if claim.state is ClaimState.STALE:
        message = f"another App claimed hostname {host} after this one began to serve it: this one keeps serving it, and one of the two must choose another"
    elif _is_reserved(context):
        message = f"{host} is the default hostname of the App with that name and namespace: choose another hostname"
    elif claim.state is ClaimState.ABANDONED:
        message = f"hostname {host} belonged to another App until recently: this App gets it {GRACE.seconds} s after it asked"
    elif claim.holder is not None and claim.holder[0] == context.app.meta.namespace:
        message = f"hostname {host} belongs to App {claim.holder[1]} in this namespace: choose another"
    elif claim.holder is None:
        message = f"an {claim.stranger} of no App serves hostname {host}: choose another, or delete that {claim.stranger}"
    else:
        message = f"hostname {host} belongs to another App: choose another"
    return {_route_key(context.app): ChildProblem(ProblemReason.HOSTNAME, message)}


def _contested(app: App, claim: HostnameClaim, host: str) -> str:
    holder = claim.holder
    other = f"App {holder[1]} in this namespace" if holder is not None and holder[0] == app.meta.namespace else "another App"
    return f"hostname {host} belongs to {other}, which serves it, too: this one keeps serving it, and one of the two must choose another"


def gateway_problems(context: Context) -> dict[ChildKey, ChildProblem]:
    """Returns why an App that wants a Gateway cannot have one. Until it can, the route that served its hostname stays."""
    if not context.app.spec.wants_gateway or exposure.external_hostname(context.app, context.snapshot.settings) is None:
        return {}
    if not context.snapshot.children.has_gateway_api:
        message = (
            f"{_WANTED}, but the cluster does not serve HTTPRoutes: install the Gateway API ({HTTP_ROUTE.api_version}), or use type Ingress"
        )
    elif exposure.gateway(context.app, context.snapshot.settings) is None:
        message = f"{_WANTED}, but no Gateway is named: set exposure.parentRef, or start the operator with --gateway NAMESPACE/NAME"
    else:
        return {}
    return {_route_key(context.app): ChildProblem(ProblemReason.GATEWAY, message)}


def _route_key(app: App) -> ChildKey:
    return exposure.route_resource(app).key(app.meta.name)


def _lacks_ingress(context: Context) -> bool:
    """Returns True if the App wants an Ingress that must not be made."""
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
    host = exposure.external_hostname(context.app, context.snapshot.settings)
    return host is not None and any(
        child_kind(kind).serves_hostname and exposure.serves(raw, context.app, host)
        for (kind, _), raw in context.snapshot.children.observed.items()
    )


def _is_reserved(context: Context) -> bool:
    """Returns True if the hostname is `<app>.<namespace>.<domain>` of another App, existing or not."""
    # An App that already serves this hostname had it before the domain was set.
    if _serves(context):
        return False
    host, domain = exposure.external_hostname(context.app, context.snapshot.settings), context.snapshot.settings.domain
    if host is None or domain is None or not host.endswith(f".{domain}"):
        return False
    parts = host.removesuffix(f".{domain}").split(".")
    return len(parts) == 2 and parts != [context.app.meta.name, context.app.meta.namespace]

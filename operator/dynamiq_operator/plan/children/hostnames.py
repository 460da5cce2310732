"""A hostname belongs to one App in the cluster: the first to claim it. The second gets a condition, and no route.

A claim is an object of the operator's namespace, named by the hostname's hash: the API server lets one be created. Its
holder is an App by namespace and name, so that one which is created again within the grace period keeps its hostname.
"""

from __future__ import annotations

from datetime import timedelta

from dynamiq_operator.desired import exposure
from dynamiq_operator.desired.base import HTTP_ROUTE
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App
from dynamiq_operator.plan.operations import Action, ClaimHostname, KeepClaim, ReleaseClaim
from dynamiq_operator.plan.snapshot import ChildKey, ClaimState, Hindrance, Problem, Snapshot

GRACE = timedelta(seconds=60)
"""For so long a hostname stays with an App that is gone, or that no longer wants it, once another App asks for it."""

_WANTED = "exposure.type is Gateway"


def may_route(snapshot: Snapshot, app: App) -> bool:
    """Whether the App may have a route for its hostname."""
    return _is_ours(snapshot, app) and not gateway_problems(snapshot, app)


def claim_actions(snapshot: Snapshot, app: App) -> tuple[Action, ...]:
    """What is to be done about the claim of the App's hostname."""
    host, claim = exposure.external_hostname(app, snapshot.settings), snapshot.claim
    if host is None or _is_reserved(snapshot, app):
        return ()
    if claim.state is ClaimState.FREE:
        return (ClaimHostname(app, host),)
    if claim.raw is None:
        return ()
    if claim.state is ClaimState.OURS and claim.released_at is not None:
        return (KeepClaim(claim.raw, None),)
    if claim.state is ClaimState.ABANDONED and claim.released_at is None:
        return (KeepClaim(claim.raw, snapshot.now),)
    if claim.state is ClaimState.ABANDONED and claim.released_at is not None and snapshot.now - claim.released_at >= GRACE:
        return (ReleaseClaim(claim.raw),)
    return ()


def claim_problems(snapshot: Snapshot, app: App) -> dict[ChildKey, Problem]:
    """Why the App has no route. Another namespace is not named: whoever reads the App may not be allowed to know of it."""
    host = exposure.external_hostname(app, snapshot.settings)
    if host is None or _is_ours(snapshot, app) or (snapshot.claim.state is ClaimState.FREE and not _is_reserved(snapshot, app)):
        return {}
    if _is_reserved(snapshot, app):
        said = f"hostname {host} is reserved for the App whose name and namespace it is made of: choose another"
    elif snapshot.claim.state is ClaimState.ABANDONED:
        said = f"hostname {host} was another App's until lately: it is free {GRACE.seconds} s after it was asked for"
    elif snapshot.claim.holder is not None and snapshot.claim.holder[0] == app.meta.namespace:
        said = f"hostname {host} is that of App {snapshot.claim.holder[1]} in this namespace: choose another"
    elif snapshot.claim.holder is None:
        kind = snapshot.claim.stranger
        said = f"hostname {host} is served by an {kind} that is not ours: choose another, or delete that {kind}"
    else:
        said = f"hostname {host} is another App's: choose another"
    return {_route_key(app): Problem(Hindrance.HOSTNAME, said)}


def gateway_problems(snapshot: Snapshot, app: App) -> dict[ChildKey, Problem]:
    """Why an App that wants a Gateway can have none. What served its hostname before stays as long."""
    if not app.spec.wants_gateway or exposure.external_hostname(app, snapshot.settings) is None:
        return {}
    if not snapshot.has_gateway_api:
        said = (
            f"{_WANTED}, and the cluster does not serve HTTPRoutes: install the Gateway API ({HTTP_ROUTE.api_version}), or use type Ingress"
        )
    elif exposure.gateway(app, snapshot.settings) is None:
        said = f"{_WANTED}, and nobody names one: set exposure.parentRef, or start the operator with --gateway NAMESPACE/NAME"
    else:
        return {}
    return {_route_key(app): Problem(Hindrance.GATEWAY, said)}


def _route_key(app: App) -> ChildKey:
    return exposure.route_resource(app).kind, names.route(app.meta.name)


def _is_ours(snapshot: Snapshot, app: App) -> bool:
    return snapshot.claim.state is ClaimState.OURS and not _is_reserved(snapshot, app)


def _is_reserved(snapshot: Snapshot, app: App) -> bool:
    """Whether the hostname is `<app>.<namespace>.<domain>` of another App, there or not."""
    host, domain = exposure.external_hostname(app, snapshot.settings), snapshot.settings.domain
    if host is None or domain is None or not host.endswith(f".{domain}"):
        return False
    parts = host.removesuffix(f".{domain}").split(".")
    return len(parts) == 2 and parts != [app.meta.name, app.meta.namespace]

"""Creates an App and its first row: both or neither.

Planning checks the name and the key, and that the API server accepts the row. Performing creates the App, then the row.
If the row is refused, the App is deleted again, unless it existed before or the same request created its row elsewhere meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from dynamiq_operator.actions import idempotency, rejections
from dynamiq_operator.actions.deploy import DeployRequest, perform_deploy, plan_unseen
from dynamiq_operator.actions.idempotency import CallerKey, KeyClaim
from dynamiq_operator.actions.reads import rejections_in_force, release_of
from dynamiq_operator.actions.refusals import LeftBehind, NotNow, Refusal, Taken
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resource import APPS, ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION, DNS_LABEL_MAX
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of

# Not the App's name: another request with the same key may name another App, and must collide with the same row name.
FIRST = "first"
"""Prefix of the name of a first row under a key."""
_SUFFIX = 6


@dataclass(frozen=True)
class AppRequest:
    """A new App and its first row. `name`: the display name. `access`: private, public, or None for the default, without `origins`."""

    namespace: str
    name: str
    workflow: str
    version: str | None = None
    runtime: str | None = None
    config: Mapping[str, Any] | None = None
    description: str | None = None
    access: str | None = None
    origins: tuple[str, ...] | None = None


@dataclass(frozen=True)
class AppPlan:
    """An App that has not been created. `there`: the App, if the same request created it before. `deploy`: its first row."""

    request: AppRequest
    manifest: Manifest
    deploy: DeployRequest
    claim: KeyClaim | None
    there: Manifest | None


class AppPerformed(NamedTuple):
    """The App with its first row. `is_replayed`: the same request created the App before."""

    app: Manifest
    row: Manifest
    is_replayed: bool


def plan_app(
    api: Api,
    request: AppRequest,
    author: str,
    project_uid: str,
    key: CallerKey | None = None,
    *,
    default_config: Mapping[str, Any] | None = None,
) -> AppPlan:
    """Plans an App and its row. `default_config`: for a request without a config; it is not part of the hash of the request.

    Raises Taken, Rejected, KeyReused and kube.errors.ApiError, also if the API server would refuse the row.
    """
    claim = KeyClaim.of(key, "create", project_uid, request, FIRST) if key else None
    config = request.config if request.config is not None else default_config
    deploy = DeployRequest(request.namespace, slug(request.name), request.version, runtime=request.runtime, config=config)
    plan = AppPlan(request, _manifest(request, author, claim), deploy, claim, None)
    existing, replayed = _existing(api, request.namespace, claim)
    if replayed is not None:
        return replace(plan, there=replayed)
    if any(_is_known_as(app, request.name) for app in existing):
        raise _taken(request.name)
    _check_not_rejected(api, request)
    # A dry run: a row that will be refused is found before the App is created.
    try:
        requests.create(api, ROWS, plan_unseen(deploy, claim).row, dry_run=True)
    except errors.AlreadyExists:
        if claim is None:
            raise
        # The same request runs elsewhere at this moment. Or its App was deleted, and its row is or will be deleted, too.
        with contextlib.suppress(errors.NotFound):
            claim.check(requests.read_object(api, ROWS, request.namespace, claim.row))
    return plan


def _check_not_rejected(api: Api, request: AppRequest) -> None:
    """Raises Rejected if the release of the first row is rejected: the row would fail at once."""
    # Releases are read only if there is any Rejection.
    rejected = rejections.by_hash(rejections_in_force(api, request.namespace) or ())
    try:
        flow = release_of(api, request.namespace, request.workflow, request.version) if rejected else None
    except errors.Forbidden:
        return  # the operator will fail the row if its release is rejected
    if flow is not None and (rejection := rejected.get(flow.version.flow_hash)) is not None:
        raise rejections.Rejected(rejection, flow.version.version, request.namespace, or_else="")


def _existing(api: Api, namespace: str, claim: KeyClaim | None) -> tuple[list[Manifest], Manifest | None]:
    """Lists the Apps of the namespace, and returns the one that the same request created before; None without one.

    Raises KeyReused and kube.errors.ApiError.
    """
    # Concurrent requests with one key each create an App; only the one that gets the row continues. An App of another request without
    # the row may be deleted in a moment, so it is read again for a while.
    if claim is None:
        return requests.items(api, APPS, namespace), None
    for _ in range(idempotency.TRIES):
        existing = requests.items(api, APPS, namespace)
        of_key = [app for app in existing if claim.has_made(app)]
        replayed = next(filter(claim.is_of, of_key), None)
        if replayed is not None or not of_key or idempotency.find_claimed_row(api, [namespace], claim) is not None:
            return existing, replayed
        idempotency.pause()
    raise idempotency.KeyReused()


def perform_app(api: Api, plan: AppPlan) -> AppPerformed:
    """Creates the App and its row.

    Raises Refusal, LeftBehind if the App is left without a row, and kube.errors.ApiError.
    """
    app, is_found = (plan.there, True) if plan.there is not None else _make(api, plan)
    try:
        row = _first_row(api, app, plan)
    except (errors.ApiError, Refusal) as error:
        # An App that existed before is kept. So is one whose row the same request created elsewhere.
        if (other := _row_meanwhile(api, app, plan.claim)) is not None:
            return AppPerformed(app, other, is_replayed=True)
        if not is_found:
            _delete_again(api, app["metadata"], error)
        raise
    return AppPerformed(app, row, is_found)


def slug(name: str) -> str:
    """Returns an object name for an App's display name: ASCII letters, digits and '-', at most 40 characters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    joined = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not joined:
        return f"app-{_hash(name)}"
    return (joined if joined[0].isalpha() else f"app-{joined}")[:DNS_LABEL_MAX].rstrip("-")


def _manifest(request: AppRequest, author: str, claim: KeyClaim | None) -> Manifest:
    spec = {
        "displayName": request.name,
        "description": request.description,
        "workflow": request.workflow,
        "access": {"type": request.access, **({"origins": list(request.origins)} if request.origins else {})} if request.access else None,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": APPS.kind,
        "metadata": {
            "name": slug(request.name),
            "namespace": request.namespace,
            "annotations": {names.AUTHOR_ANNOTATION: author, **(claim.annotations if claim else {})},
        },
        "spec": {name: value for name, value in spec.items() if value is not None},
    }


def _make(api: Api, plan: AppPlan) -> tuple[Manifest, bool]:
    """Creates the App and returns it, with True if it existed. Adds a suffix to its object name if an App of another display name has that.

    Raises Taken, KeyReused, NotNow and kube.errors.ApiError.
    """
    for name in (slug(plan.request.name), _suffixed(plan.request.name)):
        app, is_found = _made_as(api, plan, name)
        if not is_found:
            return app, False
        if _is_known_as(app, plan.request.name) or (plan.claim is not None and plan.claim.has_made(app)):
            return _same(plan, app), True
    raise _taken(plan.request.name)


def _made_as(api: Api, plan: AppPlan, name: str) -> tuple[Manifest, bool]:
    """Creates the App under this object name and returns it, or returns the one that exists, with True if it existed.

    Raises NotNow and kube.errors.ApiError.
    """
    # An App that exists at the create and is missing at the read is one that another request has deleted again: the create is repeated.
    for _ in range(idempotency.TRIES):
        try:
            return requests.create(api, APPS, {**plan.manifest, "metadata": {**plan.manifest["metadata"], "name": name}}), False
        except errors.AlreadyExists:
            pass
        try:
            return requests.read_object(api, APPS, plan.request.namespace, name), True
        except errors.NotFound:
            idempotency.pause()
    raise NotNow(f"somebody else is creating and deleting App {name}: try again")


def _same(plan: AppPlan, app: Manifest) -> Manifest:
    """Returns the existing App if the same request created it.

    Raises Taken and KeyReused.
    """
    if plan.claim is None or not plan.claim.has_made(app):
        raise _taken(plan.request.name)
    plan.claim.check(app)
    return app


def _first_row(api: Api, app: Manifest, plan: AppPlan) -> Manifest:
    meta = app["metadata"]
    row = perform_deploy(api, plan_unseen(replace(plan.deploy, app=meta["name"]), plan.claim)).made
    if not may_be_of(meta["uid"], row):
        raise NotNow("the App that this Idempotency-Key made was deleted a moment ago: use a new key, or try again")
    return row


def _row_meanwhile(api: Api, app: Manifest, claim: KeyClaim | None) -> Manifest | None:
    """Returns the App's row that the same request created elsewhere while it was refused here; None without one."""
    meta = app["metadata"]
    try:
        row = idempotency.find_claimed_row(api, [meta["namespace"]], claim) if claim is not None else None
    except (errors.ApiError, Refusal):
        return None
    return row if row is not None and may_be_of(meta["uid"], row) else None


def _delete_again(api: Api, meta: Manifest, why: errors.ApiError | Refusal) -> None:
    """Deletes the App again.

    Raises LeftBehind if that fails.
    """
    try:
        api.request("DELETE", APPS.path(meta["namespace"], meta["name"]), body={"preconditions": {"uid": meta["uid"]}})
    except errors.NotFound:
        pass
    except errors.ApiError as error:
        leftover = f"deploy or delete App {meta['name']}: it exists without a deployment, and could not be deleted"
        raise LeftBehind(why, leftover, meta["uid"]) from error


def _is_known_as(app: Manifest, name: str) -> bool:
    """Returns True if this is the App's display name."""
    return bool((app["spec"].get("displayName") or app["metadata"]["name"]) == name)


def _taken(name: str) -> Taken:
    return Taken(f"the project has an App named {name} already: use another name", "name", "taken")


def _suffixed(name: str) -> str:
    return f"{slug(name)[: DNS_LABEL_MAX - _SUFFIX - 1].rstrip('-')}-{_hash(name)}"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX]

"""Creating an App and its first row, both or neither.

A plan has checked the name, the key, and that the row will be taken. Performing it makes the App and then the row; where the row is
refused, the App is deleted again, unless it was there before, or the same request made its row elsewhere meanwhile.
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
from dynamiq_operator.actions.deploy import DeployRequest, perform_deploy, plan_unseen, release_of
from dynamiq_operator.actions.idempotency import Key, KeyClaim
from dynamiq_operator.actions.refusals import LeftBehind, NotNow, Refusal, Taken
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS, RECORDS
from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION, DNS_LABEL_MAX
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of

FIRST = "first"
"""What the name of a first row under a key begins with: its App has no name yet, and another request with the key may name another."""
_SUFFIX = 6


@dataclass(frozen=True)
class AppRequest:
    """What is asked of a new App and its first row. `name` is what people call it; `access` is private, public or left to the default."""

    namespace: str
    name: str
    workflow: str
    version: str | None = None
    runtime: str | None = None
    config: Mapping[str, Any] | None = None
    description: str | None = None
    access: str | None = None


@dataclass(frozen=True)
class AppPlan:
    """An App that has not been made, or that the same request made before: then it is `there`. `deploy`: its first row."""

    request: AppRequest
    manifest: Manifest
    deploy: DeployRequest
    claim: KeyClaim | None
    there: Manifest | None


class AppPerformed(NamedTuple):
    """`is_replayed`: the App was there, made by the same request."""

    app: Manifest
    row: Manifest
    is_replayed: bool


def plan_app(
    api: Api,
    request: AppRequest,
    author: str,
    project_uid: str,
    key: Key | None = None,
    *,
    default_config: Mapping[str, Any] | None = None,
) -> AppPlan:
    """The App and its row. Raises Taken, Rejected, KeyReused and kube.errors.ApiError, also where the API server would refuse the row.

    `default_config`: of a request that has none. It is not part of what a key stands for.
    """
    claim = KeyClaim.of(key, "create", project_uid, request, FIRST) if key else None
    config = request.config if request.config is not None else default_config
    asked = DeployRequest(request.namespace, slug(request.name), request.version, runtime=request.runtime, config=config)
    plan = AppPlan(request, _manifest(request, author, claim), asked, claim, None)
    existing, known = _existing(api, request.namespace, claim)
    if known is not None:
        return replace(plan, there=known)
    if any(_is_known_as(app, request.name) for app in existing):
        raise _is_taken(request.name)
    _check_not_rejected(api, request)
    # Whether the row will be taken is known before the App is there.
    try:
        requests.create(api, RECORDS, plan_unseen(asked, claim).record, dry_run=True)
    except errors.AlreadyExists:
        if claim is None:
            raise
        # The same request is carried out elsewhere at this moment; or its App was deleted, and its row is about to go, or gone since.
        with contextlib.suppress(errors.NotFound):
            claim.check(requests.get(api, RECORDS, request.namespace, claim.row))
    return plan


def _check_not_rejected(api: Api, request: AppRequest) -> None:
    """Raises Rejected where the first row would fail at once, since nobody is to deploy its release. Releases are read where anything is rejected."""
    found = rejections.by_hash(rejections.standing(api, request.namespace))
    try:
        flow = release_of(api, request.namespace, request.workflow, request.version) if found else None
    except errors.Denied as error:
        if error.status == 401:
            raise
        return  # the operator decides about the row
    if flow is not None and (rejection := found.get(flow.version.flow_hash)) is not None:
        raise rejections.Rejected(rejection, flow.version.version, request.namespace, or_else="")


def _existing(api: Api, namespace: str, claim: KeyClaim | None) -> tuple[list[Manifest], Manifest | None]:
    """The Apps of the namespace, and the one that the same request made before. Raises KeyReused.

    Of different requests with one key at once each makes an App, and the one that gets the row goes on: an App of another request, without
    the row, is waited for, since it may be about to be deleted again.
    """
    if claim is None:
        return requests.items(api, APPS, namespace), None
    for _ in range(idempotency.TRIES):
        existing = requests.items(api, APPS, namespace)
        made = [app for app in existing if claim.has_made(app)]
        known = next(filter(claim.is_of, made), None)
        if known is not None or not made or idempotency.find_claimed_row(api, [namespace], claim) is not None:
            return existing, known
        idempotency.pause()
    raise idempotency.KeyReused()


def perform_app(api: Api, plan: AppPlan) -> AppPerformed:
    """Makes the App and its row. Raises Refusal, LeftBehind where the App is left without a row, and kube.errors.ApiError."""
    app, is_found = (plan.there, True) if plan.there is not None else _make(api, plan)
    try:
        row = _first_row(api, app, plan)
    except (errors.ApiError, Refusal) as error:
        # An App that was there before stays, whatever becomes of the row; so does one that the same request was faster with.
        if (found := _row_meanwhile(api, app, plan.claim)) is not None:
            return AppPerformed(app, found, is_replayed=True)
        if not is_found:
            _undo(api, app["metadata"], error)
        raise
    return AppPerformed(app, row, is_found)


def slug(name: str) -> str:
    """An object's name made of what people call an App: ASCII letters, digits and '-', at most 40 characters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not made:
        return f"app-{_hash(name)}"
    return (made if made[0].isalpha() else f"app-{made}")[:DNS_LABEL_MAX].rstrip("-")


def _manifest(request: AppRequest, author: str, claim: KeyClaim | None) -> Manifest:
    spec = {
        "displayName": request.name,
        "description": request.description,
        "workflow": request.workflow,
        "access": {"type": request.access} if request.access else None,
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
    """Makes the App, and says whether it was there; under another object name where its own belongs to an App of another name."""
    for given in (slug(plan.request.name), _suffixed(plan.request.name)):
        app, is_found = _made_as(api, plan, given)
        if not is_found:
            return app, False
        if _is_known_as(app, plan.request.name) or (plan.claim is not None and plan.claim.has_made(app)):
            return _same(plan, app), True
    raise _is_taken(plan.request.name)


def _made_as(api: Api, plan: AppPlan, name: str) -> tuple[Manifest, bool]:
    """The App of this object name, and whether it was there: where another request takes back at this moment what it made, ours is made after it."""
    for _ in range(idempotency.TRIES):
        try:
            return requests.create(api, APPS, {**plan.manifest, "metadata": {**plan.manifest["metadata"], "name": name}}), False
        except errors.AlreadyExists:
            pass
        try:
            return requests.get(api, APPS, plan.request.namespace, name), True
        except errors.NotFound:
            idempotency.pause()
    raise NotNow(f"others make and delete an App {name} at this moment: try again")


def _same(plan: AppPlan, found: Manifest) -> Manifest:
    """An App that is there already, where the same request made it. Raises Taken and KeyReused."""
    if plan.claim is None or not plan.claim.has_made(found):
        raise _is_taken(plan.request.name)
    plan.claim.check(found)
    return found


def _first_row(api: Api, app: Manifest, plan: AppPlan) -> Manifest:
    meta = app["metadata"]
    row = perform_deploy(api, plan_unseen(replace(plan.deploy, app=meta["name"]), plan.claim)).made
    if not may_be_of(meta["uid"], row):
        raise NotNow("the App that this Idempotency-Key made was deleted a moment ago: use a new key, or try again")
    return row


def _row_meanwhile(api: Api, app: Manifest, claim: KeyClaim | None) -> Manifest | None:
    """The row that the same request got elsewhere, at the moment at which it was refused here."""
    meta = app["metadata"]
    try:
        row = idempotency.find_claimed_row(api, [meta["namespace"]], claim) if claim is not None else None
    except (errors.ApiError, Refusal):
        return None
    return row if row is not None and may_be_of(meta["uid"], row) else None


def _undo(api: Api, meta: Manifest, why: errors.ApiError | Refusal) -> None:
    """Deletes the App again. Raises LeftBehind where that fails."""
    try:
        api.request("DELETE", APPS.path(meta["namespace"], meta["name"]), body={"preconditions": {"uid": meta["uid"]}})
    except errors.NotFound:
        pass
    except errors.ApiError as error:
        left = f"App {meta['name']} is there without a deployment, and could not be deleted again: deploy or delete it"
        raise LeftBehind(why, left, meta["uid"]) from error


def _is_known_as(app: Manifest, name: str) -> bool:
    """Whether people know the App by this name."""
    return bool((app["spec"].get("displayName") or app["metadata"]["name"]) == name)


def _is_taken(name: str) -> Taken:
    return Taken(f"the project has an App named {name} already: use another name", "name", "taken")


def _suffixed(name: str) -> str:
    return f"{slug(name)[: DNS_LABEL_MAX - _SUFFIX - 1].rstrip('-')}-{_hash(name)}"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX]

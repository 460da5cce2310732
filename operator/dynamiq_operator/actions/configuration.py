"""Changes the configuration of an App, which deploys never change: display name, description, hostname, exposure, access and variables.

A change names the version of the configuration that its author has read, and is refused if that has changed since.
Writes of the App's status, its triggers or its `spec.deploy` do not change the version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from dynamiq_operator.actions.idempotency import TRIES, pause
from dynamiq_operator.actions.refusals import InvalidField, NotNow, Refusal, unknown_object
from dynamiq_operator.actions.rights import read_same
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, STRICT, Api
from dynamiq_operator.kube.resource import APPS
from dynamiq_operator.model.objects import Manifest

FIELDS = ("displayName", "description", "hostname", "exposure", "access", "variables")
"""Fields of `App.spec`."""
_DIGEST = 10
"""Hex characters of the digest of one field: they detect a change, and are no protection."""
_MANAGED_BY = {"argocd-controller": "argocd", "kustomize-controller": "flux", "helm-controller": "flux", "helm": "helm"}
"""Field managers of the tools that apply an App again from a source of their own."""
_LABELS = {
    "kustomize.toolkit.fluxcd.io/name": "flux",
    "helm.toolkit.fluxcd.io/name": "flux",
    "argocd.argoproj.io/instance": "argocd",
}
_TRACKING = "argocd.argoproj.io/tracking-id"


class Outdated(Refusal):
    """The configuration has changed since the author of the change read it. `fields`: those that changed. `app`: the App as it is now."""

    def __init__(self, fields: Sequence[str], app: Manifest) -> None:
        super().__init__("the configuration was changed meanwhile")
        self.fields, self.app = tuple(fields), app


def version_of(app: Manifest) -> str:
    """Returns the version of the App's configuration: a digest of each field."""
    return "-".join(_digest(app, field) for field in FIELDS)


def changed_since(app: Manifest, version: str) -> list[str]:
    """Lists the fields that have changed since `version`.

    Raises InvalidField if `version` cannot be a result of `version_of`.
    """
    digests = version.split("-")
    if len(digests) != len(FIELDS):
        raise InvalidField("object_version", "must be the object_version of the configuration that you read")
    return [field for field, digest in zip(FIELDS, digests, strict=True) if digest != _digest(app, field)]


def perform_change(api: Api, app: Manifest, version: str, changes: Mapping[str, Any]) -> Manifest:
    """Replaces whole fields of the App's spec, and removes those whose value is None. Returns the App as written. `app`: as it was read.

    Raises Outdated, InvalidField, Unknown if the App was deleted, NotNow if others keep writing it, and kube.errors.ApiError.
    """
    meta = app["metadata"]
    path = APPS.path(meta["namespace"], meta["name"])
    for _ in range(TRIES):
        if fields := changed_since(app, version):
            raise Outdated(fields, app)
        preconditions = {"uid": meta["uid"], "resourceVersion": app["metadata"]["resourceVersion"]}
        spec = {field: _replacing(app["spec"].get(field), value) for field, value in changes.items()}
        try:
            return api.request("PATCH", path, query=STRICT, body={"metadata": preconditions, "spec": spec}, content_type=MERGE)
        except errors.NotFound:
            raise unknown_object("App", meta["uid"]) from None
        except errors.Conflict:
            pause()
            app = read_same(api, "App", path, meta["uid"])
    raise NotNow("somebody else is changing this App: try again")


def managed_by(app: Manifest) -> str | None:
    """Returns the tool that applies the App from a source of its own: argocd, flux or helm; None without one.

    Such a tool may revert a change that is made here.
    """
    meta = app["metadata"]
    labels: Mapping[str, str] = meta.get("labels") or {}
    for label, tool in _LABELS.items():
        if label in labels:
            return tool
    if _TRACKING in (meta.get("annotations") or {}):
        return "argocd"
    managers = {each.get("manager") for each in meta.get("managedFields") or () if each.get("subresource") != "status"}
    return next((tool for manager, tool in _MANAGED_BY.items() if manager in managers), None)


def _replacing(now: Any, then: Any) -> Any:
    """Returns the merge patch that turns `now` into `then`: it has null for each field of an object that `then` lacks."""
    if not isinstance(now, dict) or not isinstance(then, dict):
        return then
    return dict.fromkeys(now) | {key: _replacing(now.get(key), value) for key, value in then.items()}


def _digest(app: Manifest, field: str) -> str:
    value = app["spec"].get(field) or None  # an empty list is the same as a missing field
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGEST]

"""What of an App outlives every deploy and people edit: its hostname, exposure, access, variables and description.

A change says which configuration it was made over. Where that is another one by now it is refused; writes of the App's status, its
triggers or what Git deploys are no change of it.
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
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import Manifest

FIELDS = ("displayName", "description", "hostname", "exposure", "access", "variables")
"""Of `App.spec`."""
_DIGEST = 10
"""Hex characters of the digest of one field: they tell a change, and keep nobody out."""
_MANAGED_BY = {"argocd-controller": "argocd", "kustomize-controller": "flux", "helm-controller": "flux", "helm": "helm"}
"""Field managers of those who write an App again from what they keep elsewhere."""
_LABELS = {
    "kustomize.toolkit.fluxcd.io/name": "flux",
    "helm.toolkit.fluxcd.io/name": "flux",
    "argocd.argoproj.io/instance": "argocd",
}
_TRACKING = "argocd.argoproj.io/tracking-id"


class Outdated(Refusal):
    """The configuration is another one than the change was made over. `fields`: what of it changed; `app`: the App as it is now."""

    def __init__(self, fields: Sequence[str], app: Manifest) -> None:
        super().__init__("the configuration was changed meanwhile")
        self.fields, self.app = tuple(fields), app


def version_of(app: Manifest) -> str:
    """What a change says that it was made over: a digest of each field."""
    return "-".join(_digest(app, field) for field in FIELDS)


def changed_since(app: Manifest, version: str) -> list[str]:
    """The fields that are others by now. Raises InvalidField for what `version_of` never gave."""
    given = version.split("-")
    if len(given) != len(FIELDS):
        raise InvalidField("object_version", "this is of no configuration: send the one that you have read")
    return [field for field, digest in zip(FIELDS, given, strict=True) if digest != _digest(app, field)]


def perform_change(api: Api, app: Manifest, version: str, changes: Mapping[str, Any]) -> Manifest:
    """Writes fields of the App's spec, whole, None to remove one; returns the App. `app`: as it was read.

    Raises Outdated, InvalidField, Unknown where the App is gone, NotNow where others write it all the time, and kube.errors.ApiError.
    """
    meta = app["metadata"]
    path = APPS.path(meta["namespace"], meta["name"])
    for _ in range(TRIES):
        if fields := changed_since(app, version):
            raise Outdated(fields, app)
        guard = {"uid": meta["uid"], "resourceVersion": app["metadata"]["resourceVersion"]}
        spec = {field: _replacing(app["spec"].get(field), value) for field, value in changes.items()}
        try:
            return api.request("PATCH", path, query=STRICT, body={"metadata": guard, "spec": spec}, content_type=MERGE)
        except errors.NotFound:
            raise unknown_object("App", meta["uid"]) from None
        except errors.Conflict:
            pause()
            app = read_same(api, "App", path, meta["uid"])
    raise NotNow("others change this App at this moment: try again")


def managed_by(app: Manifest) -> str | None:
    """Who writes the App again from what they keep elsewhere, so that a change here may not last: argocd, flux or helm."""
    meta = app["metadata"]
    labels: Mapping[str, str] = meta.get("labels") or {}
    for label, who in _LABELS.items():
        if label in labels:
            return who
    if _TRACKING in (meta.get("annotations") or {}):
        return "argocd"
    managers = {each.get("manager") for each in meta.get("managedFields") or () if each.get("subresource") != "status"}
    return next((who for manager, who in _MANAGED_BY.items() if manager in managers), None)


def _replacing(now: Any, then: Any) -> Any:
    """The merge patch that makes `then` of `now`: what a merge would keep of an object is removed."""
    if not isinstance(now, dict) or not isinstance(then, dict):
        return then
    return dict.fromkeys(now) | {key: _replacing(now.get(key), value) for key, value in then.items()}


def _digest(app: Manifest, field: str) -> str:
    value = app["spec"].get(field) or None  # no variables are none
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGEST]

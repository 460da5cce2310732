"""Checks the caller's rights with the API server's own authorizer, and reads an object again under them."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.actions.refusals import unknown_object
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import PLAIN, Api
from dynamiq_operator.kube.resource import ROWS, ApiResource
from dynamiq_operator.model.manifests import Manifest

REVIEWS = ApiResource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False)


DEPLOY, APPROVE, BYPASS = "deploy", "approve", "bypass"
"""Our own verbs on rows."""


def may(api: Api, verb: str, resource: ApiResource, namespace: str, name: str = "", subresource: str = "") -> bool:
    """Returns True if the caller may do this in a namespace, or to one object in it.

    Raises kube.errors.ApiError.
    """
    attributes = {
        "namespace": namespace,
        "group": resource.group,
        "resource": resource.plural,
        "subresource": subresource,
        "verb": verb,
        "name": name,
    }
    review = {
        "apiVersion": REVIEWS.api_version,
        "kind": REVIEWS.kind,
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    return bool(api.request("POST", REVIEWS.path(), body=review)["status"].get("allowed"))


def missing_rights(api: Api, namespace: str, *created: ApiResource, verbs: Iterable[str] = ()) -> list[str]:
    """Lists, in sentences, which of these creates and verbs on rows the caller may not do; none if the caller may not query rights."""
    rights = [*(("create", each) for each in created), *((verb, ROWS) for verb in verbs)]
    try:
        return [
            f"you may not {verb} {each.plural}.{each.group} in namespace {namespace}"
            for verb, each in rights
            if not may(api, verb, each, namespace)
        ]
    except errors.Forbidden:
        return []


def rights_warnings(api: Api, namespace: str, *created: ApiResource, verbs: Iterable[str] = ()) -> tuple[str, ...]:
    """Lists, as a preview has them, the rights that the caller lacks, by the arguments of `missing_rights`."""
    return tuple(f"you could not do this: {why}" for why in missing_rights(api, namespace, *created, verbs=verbs))


def read_same(api: Api, what: str, path: str, uid: str, accept: str = PLAIN) -> Manifest:
    """Reads the object of this path and uid as it is now. `what`: its name in a refusal.

    Raises Unknown if it was deleted, another object has its name, or the caller may not see it, and kube.errors.ApiError.
    """
    unknown = unknown_object(what, uid)
    try:
        raw = api.request("GET", path, accept=accept)
    except errors.NotFound:
        raise unknown from None
    except errors.Forbidden:
        raise unknown from None
    if raw["metadata"].get("uid", uid) != uid:
        raise unknown
    return raw

"""What the caller may do, asked of the API server's own authorizer, and what they may still see."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.actions.refusals import unknown_object
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import PLAIN, Api
from dynamiq_operator.kube.resources import RECORDS, ApiResource
from dynamiq_operator.model.objects import Manifest

REVIEWS = ApiResource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False)


DEPLOY, APPROVE, BYPASS = "deploy", "approve", "bypass"
"""Our own verbs on rows."""


def may(api: Api, verb: str, resource: ApiResource, namespace: str, name: str = "", subresource: str = "") -> bool:
    """Whether the caller may do this in a namespace, or to one object of it. Raises kube.errors.ApiError."""
    asked = {
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
        "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
    }
    return bool(api.request("POST", REVIEWS.path(), body=review)["status"].get("allowed"))


def lacking(api: Api, namespace: str, *created: ApiResource, verbs: Iterable[str] = ()) -> list[str]:
    """Of what would be created, and of our own verbs on rows: a sentence for each that the caller may not; none where it may not even be asked."""
    asked = [*(("create", each) for each in created), *((verb, RECORDS) for verb in verbs)]
    try:
        return [
            f"you may not {verb} {each.plural}.{each.group} in namespace {namespace}"
            for verb, each in asked
            if not may(api, verb, each, namespace)
        ]
    except errors.Denied as error:
        if error.status == 401:
            raise
        return []


def read_same(api: Api, what: str, path: str, uid: str, accept: str = PLAIN) -> Manifest:
    """The object of this path and uid as it is now; `what` it is called in a refusal. Raises Unknown where it is gone, is another by now or may not be seen, and kube.errors.ApiError."""
    unknown = unknown_object(what, uid)
    try:
        found = api.request("GET", path, accept=accept)
    except errors.NotFound:
        raise unknown from None
    except errors.Denied as error:
        if error.status == 401:
            raise
        raise unknown from None
    if found["metadata"].get("uid", uid) != uid:
        raise unknown
    return found

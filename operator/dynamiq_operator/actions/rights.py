"""What the caller may do, asked of the API server's own authorizer."""

from __future__ import annotations

from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import ApiResource

REVIEWS = ApiResource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False)


def may(api: Api, verb: str, resource: ApiResource, namespace: str, name: str = "") -> bool:
    """Whether the caller may do this in a namespace, or to one object of it. Raises kube.errors.ApiError."""
    asked = {"namespace": namespace, "group": resource.group, "resource": resource.plural, "verb": verb, "name": name}
    review = {
        "apiVersion": REVIEWS.api_version,
        "kind": REVIEWS.kind,
        "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
    }
    return bool(api.request("POST", REVIEWS.path(), body=review)["status"].get("allowed"))

"""Who the caller is, as the API server knows them."""

from __future__ import annotations

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def username(api: Api) -> str | None:
    """The caller's name; None where the API server does not tell it. Raises kube.errors.ApiError."""
    try:
        answer = api.request("POST", REVIEWS, body=REVIEW)
    except (errors.NotFound, errors.Denied) as error:
        if error.status == 401:
            raise
        return None
    name: str | None = ((answer.get("status") or {}).get("userInfo") or {}).get("username")
    return name

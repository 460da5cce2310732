"""Who the caller is, as the API server knows them, and which cluster it is of."""

from __future__ import annotations

from dynamiq_operator.actions.refusals import NotAllowed, Refusal
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import NAMESPACES

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
OF_THE_CLUSTER = "kube-system"
"""The namespace whose uid tells one cluster from another: it is there as long as the cluster is."""


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


def cluster(api: Api) -> str:
    """The cluster's identity, the uid of its namespace kube-system. Raises NotAllowed, and kube.errors.ApiError."""
    try:
        found = requests.get(api, NAMESPACES, "", OF_THE_CLUSTER)
    except errors.Denied as error:
        if error.status == 401:
            raise
        raise NotAllowed(
            f"you may not read the namespace {OF_THE_CLUSTER}, whose uid tells which cluster this is: ask for the ClusterRole dynamiq-clusters"
        ) from None
    return str(found["metadata"]["uid"])


def crossed_from(api: Api, there: Api, name: str | None = None) -> str:
    """How a row in another cluster names this one: by its identity, where it is given no `name`.

    Raises Refusal where both are one cluster, as far as the caller may know, NotAllowed, and kube.errors.ApiError.
    """
    here = _if_readable(api) if name is not None else cluster(api)
    if here is not None and here == _if_readable(there):
        raise Refusal("both contexts lead to the same cluster: promote without --to-context, and it is verified where the row comes from")
    return name or here or ""


def _if_readable(api: Api) -> str | None:
    try:
        return cluster(api)
    except NotAllowed:
        return None

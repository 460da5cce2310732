"""Reads the caller's name and the identity of the cluster from the API server."""

from __future__ import annotations

from dynamiq_operator.actions.refusals import NotAllowed, Refusal
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import NAMESPACES

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
OF_THE_CLUSTER = "kube-system"
"""The namespace whose uid identifies the cluster: it exists as long as the cluster does."""


def username(api: Api) -> str | None:
    """Returns the caller's name; None if the API server does not return it.

    Raises kube.errors.ApiError.
    """
    try:
        answer = api.request("POST", REVIEWS, body=REVIEW)
    except (errors.NotFound, errors.Forbidden):
        return None
    name: str | None = ((answer.get("status") or {}).get("userInfo") or {}).get("username")
    return name


def cluster(api: Api) -> str:
    """Returns the cluster's identity: the uid of its namespace kube-system.

    Raises NotAllowed, and kube.errors.ApiError.
    """
    try:
        namespace = requests.read_object(api, NAMESPACES, "", OF_THE_CLUSTER)
    except errors.Forbidden:
        raise NotAllowed(
            f"you may not read the namespace {OF_THE_CLUSTER}, whose uid identifies this cluster: ask for the ClusterRole dynamiq-clusters"
        ) from None
    return str(namespace["metadata"]["uid"])


def crossed_from(api: Api, there: Api, name: str | None = None) -> str:
    """Returns the name of this cluster for a row in another cluster: `name`, else this cluster's identity.

    Raises Refusal if both are known to be the same cluster, NotAllowed, and kube.errors.ApiError.
    """
    here = _if_readable(api) if name is not None else cluster(api)
    if here is not None and here == _if_readable(there):
        raise Refusal("both contexts lead to the same cluster: promote without --to-context, so that the source is verified")
    return name or here or ""


def _if_readable(api: Api) -> str | None:
    try:
        return cluster(api)
    except NotAllowed:
        return None

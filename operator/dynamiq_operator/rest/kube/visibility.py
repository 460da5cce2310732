"""Which namespaces a caller may read: asked of the API server with the caller's token, never decided here."""

from __future__ import annotations

from collections.abc import Callable

from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS, NAMESPACES
from dynamiq_operator.model.objects import Manifest


def may_read(api: Api, namespace: str) -> bool:
    """Whether the caller may get the namespace, or list Apps in it. Raises errors.ApiError."""
    return may(api, "get", NAMESPACES, namespace, namespace) or may(api, "list", APPS, namespace)


def or_empty(read: Callable[[], list[Manifest]]) -> list[Manifest]:
    """What a list has; nothing where the caller may not list it. Raises errors.ApiError."""
    try:
        return read()
    except errors.Denied as error:
        if error.status == 401:
            raise
        return []

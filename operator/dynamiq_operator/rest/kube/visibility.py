"""Finds what a caller may read. The API server decides, for the caller's token; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS, NAMESPACES

_T = TypeVar("_T")


def may_read(api: Api, namespace: str) -> bool:
    """Returns True if the caller may get the namespace, or list Apps in it. Raises errors.ApiError."""
    return may(api, "get", NAMESPACES, namespace, namespace) or may(api, "list", APPS, namespace)


def or_none(read: Callable[[], _T]) -> _T | None:
    """Returns the result of a read; None if the caller may not read it. Raises errors.ApiError."""
    try:
        return read()
    except errors.Forbidden:
        return None

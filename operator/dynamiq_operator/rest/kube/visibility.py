"""Which namespaces a caller may read: asked of the API server with the caller's token, never decided here."""

from __future__ import annotations

from collections.abc import Callable

from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS, NAMESPACES, WORKFLOWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.id_index import Entry


def readable(context: ApiContext, session: CallerSession) -> list[Entry]:
    """The namespaces that the caller may read or list Apps in. Raises errors.ApiError."""
    known = context.index.of(NAMESPACES)
    try:
        pages = kube_api.pages(session.api, NAMESPACES, accept=kube_api.METADATA)
        return [Entry.of(NAMESPACES, item) for page in pages for item in page["items"] or ()]
    except errors.Denied as error:
        if error.status == 401:
            raise
    entries = known.all()
    allowed = context.each(lambda entry: may_read(session, entry.name), entries)
    return [entry for entry, is_allowed in zip(entries, allowed, strict=True) if is_allowed]


def may_read(session: CallerSession, namespace: str) -> bool:
    """Whether the caller may get the namespace, or list Apps in it. Raises errors.ApiError."""
    return may(session.api, "get", NAMESPACES, namespace, namespace) or may(session.api, "list", APPS, namespace)


def allowed(read: Callable[[], list[Manifest]]) -> list[Manifest]:
    """What a list has; nothing where the caller may not list it. Raises errors.ApiError."""
    try:
        return read()
    except errors.Denied as error:
        if error.status == 401:
            raise
        return []


def described(api: Api, namespace: str) -> list[Manifest]:
    """Workflows as a list shows them, without their flows: their metadata, and `description`. Raises errors.ApiError."""
    return [each for page in kube_api.pages(api, WORKFLOWS, namespace, accept=kube_api.TABLE) for each in _lines(page)]


def described_one(api: Api, namespace: str, name: str) -> Manifest:
    """One workflow in the same form. Raises errors.ApiError."""
    return _lines(api.request("GET", WORKFLOWS.path(namespace, name), accept=kube_api.TABLE))[0]


def _lines(table: Manifest) -> list[Manifest]:
    return [{"metadata": meta, "description": cells["DESCRIPTION"] or None} for meta, cells in kube_api.lines(table)]

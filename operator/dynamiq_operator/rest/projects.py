"""Which namespaces a caller may read: asked of the API server with the caller's token, never decided here."""

from __future__ import annotations

from collections.abc import Callable

from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS, NAMESPACES, WORKFLOWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.identity import Session
from dynamiq_operator.rest.index import Entry
from dynamiq_operator.rest.service import Service


def readable(service: Service, session: Session) -> list[Entry]:
    """The namespaces that the caller may read or list Apps in. Raises errors.ApiError."""
    known = service.index.of(NAMESPACES)
    try:
        pages = requests.pages(session.api, NAMESPACES, accept=requests.METADATA)
        return [Entry.of(NAMESPACES, item) for page in pages for item in page["items"] or ()]
    except errors.Denied as error:
        if error.status == 401:
            raise
    entries = known.all()
    allowed = service.each(lambda entry: may_read(session, entry.name), entries)
    return [entry for entry, is_allowed in zip(entries, allowed, strict=True) if is_allowed]


def may_read(session: Session, namespace: str) -> bool:
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
    return [each for page in requests.pages(api, WORKFLOWS, namespace, accept=requests.TABLE) for each in _lines(page)]


def described_one(api: Api, namespace: str, name: str) -> Manifest:
    """One workflow in the same form. Raises errors.ApiError."""
    return _lines(api.request("GET", WORKFLOWS.path(namespace, name), accept=requests.TABLE))[0]


def _lines(table: Manifest) -> list[Manifest]:
    return [{"metadata": meta, "description": cells["DESCRIPTION"] or None} for meta, cells in requests.lines(table)]

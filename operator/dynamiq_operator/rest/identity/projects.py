"""Finds the namespaces that a caller may read."""

from __future__ import annotations

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import NAMESPACES
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.kube.visibility import may_read


def readable_projects(context: ApiContext, session: CallerSession) -> list[Entry]:
    """Returns the namespaces that the caller may read, or list Apps in. Raises errors.ApiError."""
    known = context.index.of(NAMESPACES)
    try:
        pages = kube_api.pages(session.api, NAMESPACES, accept=kube_api.METADATA)
        return [Entry.of(NAMESPACES, item) for page in pages for item in page["items"] or ()]
    except errors.Forbidden:
        pass
    entries = known.all()
    allowed = context.map_parallel(lambda entry: may_read(session.api, entry.name), entries)
    return [entry for entry, is_allowed in zip(entries, allowed, strict=True) if is_allowed]

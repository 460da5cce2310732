"""Lists a page of Apps with what its items need. The index has their order and number, and only the Apps of the page are read.

The caller's token decides what is listed: of which namespaces the Apps, and with or without their rows and the descriptions of workflows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import NamedTuple

from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube.resources import APPS, ROWS, WORKFLOWS, ApiResource
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import only_of
from dynamiq_operator.rest.apps import reading
from dynamiq_operator.rest.apps.responses import AppResponse
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.pagination import Paging, newest
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.kube.workflow_table import list_workflows
from dynamiq_operator.rest.reads.rows import groups_of

READ_MOST = 25
"""Objects that are read one by one unless a list of all has no others."""
LISTED_MOST = 4
"""Objects that may be listed for each needed one, if more than `READ_MOST` are needed: that is quicker than reads one by one."""
TRIES = 3
Key = tuple[str, str]
"""Namespace and name."""


class AppPage(NamedTuple):
    """A page of Apps in the requested order, their number in all, and the namespaces in which the caller lists: "" stands for all."""

    apps: Sequence[Manifest]
    total: int
    scopes: Sequence[str]


def page(context: ApiContext, session: CallerSession, namespace: str, paging: Paging) -> AppPage:
    """Returns a page of the Apps of a namespace, or of all if it is empty.

    Raises errors.ApiError; Denied if the caller may not list them.
    """
    context.count(session, APPS, namespace)
    return _page(context, session, [namespace] if namespace else context.index.of(APPS).namespaces(), [namespace], paging)


def page_of_listable(context: ApiContext, session: CallerSession, paging: Paging) -> AppPage:
    """Returns a page of the Apps of each namespace in which the caller may list them. Raises errors.ApiError."""
    namespaces = list(context.in_each_namespace(APPS, lambda namespace: context.count(session, APPS, namespace)))
    return _page(context, session, namespaces, None, paging)


def page_of_workflow(session: CallerSession, workflow: Entry, paging: Paging) -> AppPage:
    """Returns a page of the Apps of a workflow. Raises errors.ApiError; Denied if the caller may not list Apps."""
    # The index has no workflows of Apps, and the API server selects by them.
    apps = newest(reading.objects(session, APPS, workflow.namespace, f"spec.workflow={workflow.name}"))
    return AppPage(paging.shown(apps), len(apps), [workflow.namespace])


def _page(context: ApiContext, session: CallerSession, namespaces: Sequence[str], scopes: Sequence[str] | None, paging: Paging) -> AppPage:
    """Returns a page of Apps. `scopes`: None for the namespaces of the page."""
    index, by_uid = context.index.of(APPS), dict[str, Manifest]()
    for _ in range(TRIES):
        entries, total = index.part(namespaces, paging.begin, paging.page_size, newest_first=paging.sort == "-created_at")
        own = sorted({entry.namespace for entry in entries}) if scopes is None else scopes
        by_uid |= _read(context, session, APPS, [entry for entry in entries if entry.uid not in by_uid], own)
        deleted = [entry for entry in entries if entry.uid not in by_uid]
        if not deleted:
            break
        for entry in deleted:
            index.remove(entry.uid)  # the index does not know yet
    return AppPage([by_uid[entry.uid] for entry in entries if entry.uid in by_uid], total, own)


def _read(
    context: ApiContext, session: CallerSession, resource: ApiResource, entries: Sequence[Entry], scopes: Sequence[str]
) -> dict[str, Manifest]:
    """Returns Apps, or open rows of Apps, by uid, without deleted ones."""
    by_uid, apps = dict[str, Manifest](), context.index.of(APPS)
    total = apps.count(apps.namespaces() if "" in scopes else scopes)
    if entries and total <= len(entries) * (LISTED_MOST if len(entries) > READ_MOST else 1):
        every = context.map_parallel(lambda scope: list(reading.objects(session, resource, scope, resource.field_selector)), scopes)
        by_uid = {each["metadata"]["uid"]: each for each in chain.from_iterable(every)}
    missing = [entry for entry in entries if entry.uid not in by_uid]
    alone = context.map_parallel(lambda entry: reading.named(session, resource, entry), missing)
    by_uid |= {each["metadata"]["uid"]: each for each in alone if each is not None}
    return {entry.uid: by_uid[entry.uid] for entry in entries if entry.uid in by_uid}


@dataclass(frozen=True)
class ListContext:
    """The objects that the items of a list need besides the Apps.

    `rows`: by the App's uid, its rows that are live or undecided; the last is the one that it serves, else its newest. `described`:
    descriptions of workflows. `readable`: the scopes whose rows the caller may list.
    """

    context: ApiContext
    rows: Mapping[str, list[Manifest]]
    described: Mapping[Key, str]
    readable: frozenset[str]

    def response(self, raw: Manifest) -> AppResponse:
        """Returns one App of the list."""
        namespace = raw["metadata"]["namespace"]
        rows = self.rows.get(raw["metadata"]["uid"], [])
        described = self.described.get((namespace, raw["spec"]["workflow"])) or None
        readable = rows if self.readable & {"", namespace} else None
        return AppResponse.of(self.context, raw, rows[-1] if rows else None, readable, described)


def read_context(context: ApiContext, session: CallerSession, listed: AppPage) -> ListContext:
    """Reads what the items of a page need, as far as the caller may read it. Raises errors.ApiError."""
    asked = [(resource, scope) for resource in (ROWS, WORKFLOWS) for scope in listed.scopes]
    answers = context.map_parallel(lambda right: may(session.api, "list", *right), asked)
    readable = {right for right, is_allowed in zip(asked, answers, strict=True) if is_allowed}

    def of(resource: ApiResource) -> list[Manifest]:
        """Returns the Apps of which the caller may read such objects, too."""
        return [app for app in listed.apps if readable & {(resource, ""), (resource, app["metadata"]["namespace"])}]

    rows = _rows(context, session, of(ROWS), listed)
    described = _descriptions(context, session, {(app["metadata"]["namespace"], app["spec"]["workflow"]) for app in of(WORKFLOWS)})
    return ListContext(context, rows, described, frozenset(scope for resource, scope in readable if resource is ROWS))


def _rows(context: ApiContext, session: CallerSession, apps: Sequence[Manifest], listed: AppPage) -> dict[str, list[Manifest]]:
    """Returns the rows of Apps that are live or undecided by the App's uid, for a caller who may list them. Raises errors.ApiError."""
    index = context.index.of(ROWS)
    entries = {app["metadata"]["uid"]: index.open(groups_of(Entry.of(APPS, app))) for app in apps}
    each_entry = list(chain.from_iterable(entries.values()))
    by_uid = {entry.uid: row for entry in each_entry if (row := context.rows.known(entry)) is not None}
    read = _read(context, session, ROWS, [entry for entry in each_entry if entry.uid not in by_uid], listed.scopes)
    for uid, row in read.items():
        context.rows.put(int(row["metadata"].pop("resourceVersion")), row)
        by_uid[uid] = row
    rows = {app: [by_uid[entry.uid] for entry in own if entry.uid in by_uid] for app, own in entries.items()}
    # The index may not have it yet.
    missing = [app for app in apps if _live(app) not in ("", *(row["metadata"]["name"] for row in rows[app["metadata"]["uid"]]))]
    for app, live in zip(missing, context.map_parallel(partial(_live_row, session), missing), strict=True):
        rows[app["metadata"]["uid"]] += live
    return {app: sorted(own, key=_preference) for app, own in rows.items()}


def _live(app: Manifest) -> str:
    """Returns the name of the row that the App serves; empty if it serves none."""
    live = (app.get("status") or {}).get("live") or {}
    return str(live.get("row") or "")


def _live_row(session: CallerSession, app: Manifest) -> list[Manifest]:
    """Returns the row that the App serves; empty if it was deleted. Raises errors.ApiError."""
    meta = app["metadata"]
    return only_of(meta["uid"], reading.objects(session, ROWS, meta["namespace"], f"metadata.name={_live(app)}"))


def _descriptions(context: ApiContext, session: CallerSession, workflows: Iterable[Key]) -> dict[Key, str]:
    """Returns the descriptions of workflows, for a caller who may list them; empty for one that has none. Raises errors.ApiError."""
    index, cache = context.index.of(WORKFLOWS), context.descriptions
    entries = [entry for key in workflows if (entry := index.named(*key)) is not None]
    described = {(entry.namespace, entry.name): cache.get((entry.uid, entry.version)) for entry in entries}
    missing = [key for key, description in described.items() if description is None]

    def read(key: Key) -> list[Manifest]:
        namespace, name = key
        return list_workflows(session.api, namespace, f"metadata.name={name}")

    for workflow in chain.from_iterable(context.map_parallel(read, missing)):
        meta, description = workflow["metadata"], workflow["description"] or ""
        cache.put((meta["uid"], int(meta["resourceVersion"])), description)
        described[(meta["namespace"], meta["name"])] = description
    return {key: description or "" for key, description in described.items()}


def _preference(row: Manifest) -> tuple[bool, int]:
    return (row["spec"].get("outcome") or {}).get("result") == "Succeeded", row["spec"].get("sequence") or 0

"""A list of Apps, and what its items need besides the Apps themselves: read once for each namespace, not for each App."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, RECORDS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.rest.apps.details import serialize_app
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.visibility import or_empty, or_none
from dynamiq_operator.rest.kube.workflow_table import list_workflows
from dynamiq_operator.rest.shared.serialize import Data

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Beside:
    """`rows`: by App, its rows that are live or not decided yet, the one that it serves last, else its newest; `described`: workflows;
    `unread`: the namespaces whose rows the caller may not list, "" for all of them.
    """

    context: ApiContext
    rows: Mapping[Key, list[Manifest]]
    described: Mapping[Key, str | None]
    unread: frozenset[str]

    def serialize(self, raw: Manifest) -> Data:
        """One App of the list."""
        namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
        uid = raw["metadata"]["uid"]
        rows = [row for row in self.rows.get((namespace, name), ()) if may_be_of(uid, row)]
        described = self.described.get((namespace, raw["spec"]["workflow"]))
        readable = None if self.unread & {"", namespace} else rows
        return serialize_app(self.context, raw, rows[-1] if rows else None, readable, described)


def of_each_namespace(context: ApiContext, session: CallerSession) -> tuple[list[Manifest], list[str]]:
    """The Apps of every namespace in which the caller may list them, and those namespaces."""
    there = sorted({entry.namespace for entry in context.index.of(APPS).all()})

    def listed(namespace: str) -> list[Manifest] | None:
        try:
            return kube_api.items(session.api, APPS, namespace)
        except errors.Denied as error:
            if error.status == 401:
                raise
            return None

    found = [(namespace, items) for namespace, items in zip(there, context.map_parallel(listed, there), strict=True) if items is not None]
    return [item for _, items in found for item in items], [namespace for namespace, _ in found]


def beside(context: ApiContext, session: CallerSession, namespaces: list[str]) -> Beside:
    """What the Apps of these namespaces are told with, as far as the caller may read it. Raises errors.ApiError."""

    def rows(namespace: str) -> list[Manifest] | None:
        return or_none(lambda: kube_api.items(session.api, RECORDS, namespace, field=RECORDS.field_selector))

    def workflows(namespace: str) -> list[Manifest]:
        return or_empty(lambda: list_workflows(session.api, namespace))

    found = context.in_parallel(*(partial(read, namespace) for read in (rows, workflows) for namespace in namespaces)) if namespaces else []
    by_app: dict[Key, list[Manifest]] = {}
    for row in sorted((row for some in found[: len(namespaces)] for row in some or ()), key=_preference):
        by_app.setdefault((row["metadata"]["namespace"], row["spec"]["app"]), []).append(row)
    described = {_key(each): each["description"] for some in found[len(namespaces) :] for each in some or ()}
    unread = frozenset(namespace for namespace, some in zip(namespaces, found, strict=False) if some is None)
    return Beside(context, by_app, described, unread)


def _preference(row: Manifest) -> tuple[bool, int]:
    return (row["spec"].get("outcome") or {}).get("result") == "Succeeded", row["spec"].get("sequence") or 0


def _key(raw: Manifest) -> Key:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]

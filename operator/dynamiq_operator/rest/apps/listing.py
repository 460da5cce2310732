"""Lists Apps with what their items need, read once for each namespace, not for each App."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.rest.apps.responses import AppResponse
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.visibility import or_empty, or_none
from dynamiq_operator.rest.kube.workflow_table import list_workflows

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class ListContext:
    """The objects that the items of a list need besides the Apps.

    `rows`: by App, its rows that are live or undecided; the last is the one that it serves, else its newest. `described`: descriptions of
    workflows. `unread`: the namespaces whose rows the caller may not list; "" stands for all.
    """

    context: ApiContext
    rows: Mapping[Key, list[Manifest]]
    described: Mapping[Key, str | None]
    unread: frozenset[str]

    def response(self, raw: Manifest) -> AppResponse:
        """Returns one App of the list."""
        namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
        uid = raw["metadata"]["uid"]
        rows = [row for row in self.rows.get((namespace, name), ()) if may_be_of(uid, row)]
        described = self.described.get((namespace, raw["spec"]["workflow"]))
        readable = None if self.unread & {"", namespace} else rows
        return AppResponse.of(self.context, raw, rows[-1] if rows else None, readable, described)


def read_context(context: ApiContext, session: CallerSession, namespaces: list[str]) -> ListContext:
    """Reads what the items of these namespaces' Apps need, as far as the caller may read it. Raises errors.ApiError."""

    def rows(namespace: str) -> list[Manifest] | None:
        return or_none(lambda: kube_api.items(session.api, ROWS, namespace, field=ROWS.field_selector))

    def workflows(namespace: str) -> list[Manifest]:
        return or_empty(lambda: list_workflows(session.api, namespace))

    results = (
        context.in_parallel(*(partial(read, namespace) for read in (rows, workflows) for namespace in namespaces)) if namespaces else []
    )
    by_app: dict[Key, list[Manifest]] = {}
    for row in sorted((row for items in results[: len(namespaces)] for row in items or ()), key=_preference):
        by_app.setdefault((row["metadata"]["namespace"], row["spec"]["app"]), []).append(row)
    described = {_key(each): each["description"] for items in results[len(namespaces) :] for each in items or ()}
    unread = frozenset(namespace for namespace, items in zip(namespaces, results, strict=False) if items is None)
    return ListContext(context, by_app, described, unread)


def _preference(row: Manifest) -> tuple[bool, int]:
    return (row["spec"].get("outcome") or {}).get("result") == "Succeeded", row["spec"].get("sequence") or 0


def _key(raw: Manifest) -> Key:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]

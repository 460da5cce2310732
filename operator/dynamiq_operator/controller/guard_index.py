"""Which Apps a policy, an Approval, a Rejection or the labels of a namespace concern: indexed, so that an event costs the same with 1,000 Apps.

Most Approvals are history, of rows that have ended: they concern nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.kube.resources import APPROVALS, APPS, DEPLOY_POLICIES, NAMESPACES, RECORDS, REJECTIONS, ApiResource
from dynamiq_operator.model.namespaces import selects
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.policy import NamespaceSelector
from dynamiq_operator.model.record import Source

Key = tuple[str, str]
"""Namespace and name."""


class GuardIndex:
    """`objects`: those of the cache, by resource and key."""

    def __init__(self, objects: Mapping[ApiResource, Mapping[Key, Manifest]]) -> None:
        self._objects = objects
        self._apps: dict[str, set[Key]] = defaultdict(set)
        """Apps by namespace."""
        self._undecided: dict[str, set[Key]] = defaultdict(set)
        """Rows that are still to be pinned, or that wait, by namespace."""
        self._promoting: dict[str, set[Key]] = defaultdict(set)
        """Those of them that promote a row, by its namespace."""
        self._approvals: dict[Key, set[Key]] = defaultdict(set)
        """Approvals by the row that they name; under an empty name those that name none that can be read."""
        self._rejections: dict[str, set[Key]] = defaultdict(set)
        self._selectors: dict[str, tuple[Manifest, NamespaceSelector | None]] = {}
        """Of policies, by name."""

    def approvals_of(self, namespace: str, row: str) -> Iterator[Manifest]:
        return (self._objects[APPROVALS][key] for key in self._approvals.get((namespace, row), ()))

    def rejections_in(self, namespace: str) -> Iterator[Manifest]:
        return (self._objects[REJECTIONS][key] for key in self._rejections.get(namespace, ()))

    def labels_of(self, namespace: str) -> Mapping[str, str] | None:
        """Labels of a namespace by which a policy may select it; None where it has not been read."""
        found = self._objects[NAMESPACES].get(("", namespace))
        labels: Mapping[str, str] | None = found["metadata"]["labels"] if found is not None else None
        return labels

    def places(self, resource: ApiResource, key: Key, raw: Manifest) -> Iterator[tuple[dict[Any, set[Any]], Any, Any]]:
        """Where an object is indexed: the index, the place in it, and what stands there."""
        if resource is APPS:
            yield self._apps, key[0], key
        elif resource is RECORDS and _is_undecided(raw["spec"]):
            yield self._undecided, key[0], key
            source = (raw["spec"].get("promotedFrom") or {}).get("namespace")
            if isinstance(source, str):
                yield self._promoting, source, key
        elif resource is APPROVALS:
            yield self._approvals, (key[0], _row_of(raw)), key
        elif resource is REJECTIONS:
            yield self._rejections, key[0], key

    def affected_by(self, resource: ApiResource, raw: Manifest) -> set[Key]:
        """The Apps that an object may hold or let go; that they are told of it is all: they look at it themselves."""
        namespace = raw["metadata"].get("namespace", "")
        if resource is DEPLOY_POLICIES:
            selector = self.selector_of(raw)
            return {app for name, apps in self._apps.items() if self._may_select(selector, name) for app in apps}
        if resource is NAMESPACES:
            return set(self._apps.get(raw["metadata"]["name"], ())) if self._objects[DEPLOY_POLICIES] else set()
        if resource is APPROVALS and _row_of(raw):
            row = self._objects[RECORDS].get((namespace, _row_of(raw)))
            return {(namespace, row["spec"]["app"])} if row is not None and _heeds_words(row["spec"]) else set()
        rows = self._undecided.get(namespace, set())
        if resource is REJECTIONS:
            rows = rows | self._promoting.get(namespace, set())
        return {(key[0], self._objects[RECORDS][key]["spec"]["app"]) for key in rows}

    def selector_of(self, policy: Manifest) -> NamespaceSelector | None:
        """The selector of a policy; None where it cannot be read, so that it may select every namespace.

        It is kept as it was read: every App asks for it at every reconcile.
        """
        name = policy["metadata"]["name"]
        if name not in self._selectors or self._selectors[name][0] is not policy:
            self._selectors[name] = policy, _selector(policy)
        return self._selectors[name][1]

    def _may_select(self, selector: NamespaceSelector | None, namespace: str) -> bool:
        return selector is None or selects(selector, namespace, self.labels_of(namespace)) is not False


def _selector(policy: Manifest) -> NamespaceSelector | None:
    try:
        return NamespaceSelector.model_validate(policy["spec"]["namespaceSelector"])
    except (KeyError, TypeError, ValueError):
        return None


def _is_undecided(spec: Manifest) -> bool:
    pinned = spec.get("pinned") or {}
    return not spec.get("outcome") and (not pinned or (bool(pinned.get("guards")) and not spec.get("released")))


def _heeds_words(spec: Manifest) -> bool:
    """Whether a word on a row may change anything: it has not ended, or Git waits while it is live."""
    pinned = spec.get("pinned") or {}
    return not spec.get("outcome") or bool(pinned.get("holds")) or pinned.get("source") == Source.REVERT


def _row_of(approval: Manifest) -> str:
    spec = approval.get("spec")
    row = spec.get("row") if isinstance(spec, dict) else None
    return row if isinstance(row, str) else ""

"""Indexes which Apps a policy, an Approval, a Rejection or the labels of a namespace concern. It evaluates no guard.

An event costs the same with 1,000 Apps. Most Approvals are history, of rows that have ended: they concern no App.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.kube.resources import APPROVALS, APPS, DEPLOY_POLICIES, NAMESPACES, REJECTIONS, ROWS, ApiResource, Key
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.namespaces import selects
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.policy import NamespaceSelector
from dynamiq_operator.model.row import Source

APPROVALS_MAX = 256
"""Approvals of one purpose that are read for a row, the newest ones: a policy requires 16 at most."""


class GuardIndex:
    """An index of guards. `objects`: those of the cache, by resource and key."""

    def __init__(self, objects: Mapping[ApiResource, Mapping[Key, Manifest]]) -> None:
        self._objects = objects
        self._apps: dict[str, set[Key]] = defaultdict(set)
        """Apps by namespace."""
        self._undecided: dict[str, set[Key]] = defaultdict(set)
        """Rows that are unpinned or waiting, by namespace."""
        self._promoting: dict[str, set[Key]] = defaultdict(set)
        """Those of them that promote a row, by that row's namespace."""
        self._approvals: dict[Key, set[Key]] = defaultdict(set)
        """Approvals by the row that they name; those without a readable name are under an empty one."""
        self._candidate_approvals: dict[tuple[str, str, str, str], set[Key]] = defaultdict(set)
        """Approvals that may count, also by digest. Withdrawals are also by their author, since only the row's author may withdraw it."""
        self._rejections: dict[str, set[Key]] = defaultdict(set)
        self._selectors: dict[str, tuple[Manifest, NamespaceSelector | None]] = {}
        """Parsed selectors of policies, by name."""

    def approvals_of(self, namespace: str, row: str) -> Iterator[Manifest]:
        """Returns the Approvals that name a row."""
        return (self._objects[APPROVALS][key] for key in self._approvals.get((namespace, row), ()))

    def candidate_approvals(self, namespace: str, row: str, digest: str, author: str | None) -> Iterator[Manifest]:
        """Yields the Approvals that may count for a row with these pins: the newest of each person and purpose.

        A caller with the right may create very many Approvals. Those that cannot count are left out at the cost of a lookup.
        """
        newest: dict[str, dict[str, Manifest]] = defaultdict(dict)
        places = ((namespace, named, digest, by) for named in (row, "") for by in {"", author or ""})
        for raw in (self._objects[APPROVALS][key] for place in places for key in self._candidate_approvals.get(place, ())):
            by, approvals = raw["spec"]["by"], newest[str(raw["spec"].get("purpose"))]
            approvals[by] = max(approvals.get(by, raw), raw, key=_created)
        for approvals in newest.values():
            yield from sorted(approvals.values(), key=_created, reverse=True)[:APPROVALS_MAX]

    def rows_with_approvals(self) -> list[Key]:
        """Returns namespaces and names of the rows that Approvals name, missing rows included."""
        return [key for key in self._approvals if key[1]]

    def rejections_in(self, namespace: str) -> Iterator[Manifest]:
        """Returns the Rejections in a namespace."""
        return (self._objects[REJECTIONS][key] for key in self._rejections.get(namespace, ()))

    def labels_of(self, namespace: str) -> Mapping[str, str] | None:
        """Returns the labels of a namespace by which a policy may select it; None if it has not been read."""
        raw = self._objects[NAMESPACES].get(("", namespace))
        labels: Mapping[str, str] | None = raw["metadata"]["labels"] if raw is not None else None
        return labels

    def places(self, resource: ApiResource, key: Key, raw: Manifest) -> Iterator[tuple[dict[Any, set[Any]], Any, Any]]:
        """Yields where an object is indexed: the index, the key in it, and the entry."""
        if resource is APPS:
            yield self._apps, key[0], key
        elif resource is ROWS and _is_undecided(raw["spec"]):
            yield self._undecided, key[0], key
            source = raw["spec"].get("promotedFrom") or {}
            if isinstance(source.get("namespace"), str) and "cluster" not in source:
                yield self._promoting, source["namespace"], key
        elif resource is APPROVALS:
            yield self._approvals, (key[0], _row_of(raw)), key
            if (scope := _scope_of(raw)) is not None:
                yield self._candidate_approvals, (key[0], _row_of(raw), *scope), key
        elif resource is REJECTIONS:
            yield self._rejections, key[0], key

    def affected_by(self, resource: ApiResource, raw: Manifest) -> set[Key]:
        """Returns the Apps whose rows an object may block or admit. They are only requeued, and evaluate it themselves."""
        namespace = raw["metadata"].get("namespace", "")
        if resource is DEPLOY_POLICIES:
            selector = self.selector_of(raw)
            return {app for name, apps in self._apps.items() if self._may_select(selector, name) for app in apps}
        if resource is NAMESPACES:
            return set(self._apps.get(raw["metadata"]["name"], ())) if self._objects[DEPLOY_POLICIES] else set()
        if resource is APPROVALS and _row_of(raw):
            row = self._objects[ROWS].get((namespace, _row_of(raw)))
            return {(namespace, row["spec"]["app"])} if row is not None and _may_change(row["spec"], raw) else set()
        rows = self._undecided.get(namespace, set())
        if resource is REJECTIONS:
            rows = rows | self._promoting.get(namespace, set())
        return {(key[0], self._objects[ROWS][key]["spec"]["app"]) for key in rows}

    def selector_of(self, policy: Manifest) -> NamespaceSelector | None:
        """Returns the selector of a policy; None if it is unreadable, so that it may select every namespace."""
        name = policy["metadata"]["name"]
        # Parsed selectors are kept: every App needs them at every reconcile.
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


def _may_change(spec: Manifest, approval: Manifest) -> bool:
    """Returns True if an Approval may count for a row's pins, and the row has not ended, or holds Git's changes while it is live."""
    pinned = spec.get("pinned") or {}
    is_open = not spec.get("outcome") or bool(pinned.get("holds")) or pinned.get("source") == Source.REVERT
    return is_open and _scope_of(approval) in ((pinned.get("digest"), ""), (pinned.get("digest"), spec.get("createdBy")))


def _scope_of(approval: Manifest) -> tuple[str, str] | None:
    """Returns the digest for which an Approval may count, and the only author for whose row; empty if any.

    None: the Approval has no author, or comes from a backup.
    """
    spec = approval.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("digest"), str) or spec.get("restored") is True:
        return None
    by = spec.get("by")
    return (spec["digest"], by if spec.get("purpose") == Purpose.WITHDRAW else "") if isinstance(by, str) and by else None


def _created(approval: Manifest) -> tuple[str, str]:
    meta = approval["metadata"]
    return str(meta.get("creationTimestamp") or ""), meta["name"]


def _row_of(approval: Manifest) -> str:
    spec = approval.get("spec")
    row = spec.get("row") if isinstance(spec, dict) else None
    return row if isinstance(row, str) else ""

"""Which Apps a policy, an Approval, a Rejection or the labels of a namespace concern: indexed, so that an event costs the same with 1,000 Apps.

Most Approvals are history, of rows that have ended: they concern nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dynamiq_operator.kube.resources import APPROVALS, APPS, DEPLOY_POLICIES, NAMESPACES, RECORDS, REJECTIONS, ApiResource
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.namespaces import selects
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.policy import NamespaceSelector
from dynamiq_operator.model.record import Source

Key = tuple[str, str]
"""Namespace and name."""
WORDS_MAX = 256
"""Words of one purpose that are looked at of a row, the newest of them: a policy asks for 16 at most."""


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
        self._words: dict[tuple[str, str, str, str], set[Key]] = defaultdict(set)
        """Those of them that may count, by the digest, too, and of purpose Withdraw by who says it, which only the row's author may."""
        self._rejections: dict[str, set[Key]] = defaultdict(set)
        self._selectors: dict[str, tuple[Manifest, NamespaceSelector | None]] = {}
        """Of policies, by name."""

    def approvals_of(self, namespace: str, row: str) -> Iterator[Manifest]:
        return (self._objects[APPROVALS][key] for key in self._approvals.get((namespace, row), ()))

    def words_on(self, namespace: str, row: str, digest: str, author: str | None) -> Iterator[Manifest]:
        """The Approvals that may count for a row with these pins: of each person and purpose the newest.

        Whoever may create Approvals may create very many. What counts for nothing is left out before it costs more than a look.
        """
        newest: dict[str, dict[str, Manifest]] = defaultdict(dict)
        places = ((namespace, named, digest, by) for named in (row, "") for by in {"", author or ""})
        for raw in (self._objects[APPROVALS][key] for place in places for key in self._words.get(place, ())):
            by, words = raw["spec"]["by"], newest[str(raw["spec"].get("purpose"))]
            words[by] = max(words.get(by, raw), raw, key=_made)
        for words in newest.values():
            yield from _newest(words.values())

    def rows_spoken_of(self) -> list[Key]:
        """Namespaces and names of the rows that Approvals name, whether there are such rows or not."""
        return [key for key in self._approvals if key[1]]

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
            source = raw["spec"].get("promotedFrom") or {}
            if isinstance(source.get("namespace"), str) and "cluster" not in source:
                yield self._promoting, source["namespace"], key
        elif resource is APPROVALS:
            yield self._approvals, (key[0], _row_of(raw)), key
            if (said := _said(raw)) is not None:
                yield self._words, (key[0], _row_of(raw), *said), key
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
            return {(namespace, row["spec"]["app"])} if row is not None and _heeds(row["spec"], raw) else set()
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


def _heeds(spec: Manifest, word: Manifest) -> bool:
    """Whether a word on a row may change anything: it has not ended, or Git waits while it is live, and the word may count for its pins."""
    pinned = spec.get("pinned") or {}
    is_open = not spec.get("outcome") or bool(pinned.get("holds")) or pinned.get("source") == Source.REVERT
    return is_open and _said(word) in ((pinned.get("digest"), ""), (pinned.get("digest"), spec.get("createdBy")))


def _said(approval: Manifest) -> tuple[str, str] | None:
    """Of an Approval that may count, the digest, and the author to whose row alone it may; None of one of nobody, or of a backup."""
    spec = approval.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("digest"), str) or spec.get("restored") is True:
        return None
    by = spec.get("by")
    return (spec["digest"], by if spec.get("purpose") == Purpose.WITHDRAW else "") if isinstance(by, str) and by else None


def _newest(words: Iterable[Manifest]) -> list[Manifest]:
    return sorted(words, key=_made, reverse=True)[:WORDS_MAX]


def _made(approval: Manifest) -> tuple[str, str]:
    meta = approval["metadata"]
    return str(meta.get("creationTimestamp") or ""), meta["name"]


def _row_of(approval: Manifest) -> str:
    spec = approval.get("spec")
    row = spec.get("row") if isinstance(spec, dict) else None
    return row if isinstance(row, str) else ""

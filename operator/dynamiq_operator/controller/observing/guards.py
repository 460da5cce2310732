"""Reads the guards that may block an App's rows from the informer cache: policies, Approvals, Rejections. It evaluates none.

An unreadable guard is unknown, not missing: `ObservedGuards.unknown` has the reasons. A cluster without guards costs no requests.
Rejections at the source of a promotion are listed if the operator does not watch that namespace.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.cached.denials import LACKING, Denials
from dynamiq_operator.controller.observing.stamps import Stamps
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPROVALS, DEPLOY_POLICIES, NAMESPACES, REJECTIONS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.guard_objects import Approval, DeployPolicy, Rejection
from dynamiq_operator.model.namespaces import selects
from dynamiq_operator.model.objects import Manifest, Row, Unreadable, read
from dynamiq_operator.model.row import Source
from dynamiq_operator.plan.history.lifecycle import waits
from dynamiq_operator.plan.observed.guards import ObservedGuards

T = TypeVar("T", DeployPolicy, Approval, Rejection)

READ_MOST = 4096
"""Parsed objects that are kept, so that a reconcile need not parse them again."""
NEEDED = {DEPLOY_POLICIES: "DeployPolicies", APPROVALS: "Approvals", REJECTIONS: "Rejections"}


@dataclass
class _Problems:
    """Why guards are unknown, as found in one observation."""

    reasons: list[str] = field(default_factory=list)

    def readable(self, every: Iterable[T | Unreadable]) -> Iterator[T]:
        """Yields the readable objects, and notes why the others are unreadable."""
        for each in every:
            if isinstance(each, Unreadable):
                self.reasons.append(each.message)
            else:
                yield each


class GuardReader:
    """A reader of the guards of an App's namespace and rows."""

    def __init__(self, client: Client, cache: Cache, denials: Denials, stamps: Stamps) -> None:
        self._client, self._cache, self._denials, self._stamps = client, cache, denials, stamps
        self._read: OrderedDict[tuple[type, AppKey], tuple[Manifest, DeployPolicy | Approval | Rejection | Unreadable]] = OrderedDict()

    async def observe(
        self, namespace: str, records: Iterable[Row], promotions: Awaitable[Mapping[str, Row]] | None = None
    ) -> ObservedGuards:
        """Returns the guards that may block rows that have not ended, and the Approvals that may end a hold of Git's changes.

        `promotions`: by a row's name, the row that it promotes. Raises errors.ApiError.
        """
        denied, problems = self._denials.of(namespace), _Problems()
        problems.reasons += [f"{plural} cannot be listed: {denied[resource]}" for resource, plural in NEEDED.items() if resource in denied]
        every = tuple(row for row in records if row.outcome is None or _holds(row))
        policies = tuple(problems.readable(self._policies(namespace, denied, problems)))
        approvals = tuple(
            sorted(problems.readable(self._approvals(namespace, every)), key=lambda each: (each.meta.created, each.meta.name))
        )
        return ObservedGuards(
            policies=policies,
            approvals=approvals,
            rejections=self._rejections(namespace, problems),
            at_source=await self._at_source(filter(is_undecided, every), promotions, problems),
            unknown="; ".join(dict.fromkeys(problems.reasons)),
            outdated=LACKING in denied.values(),
            stamped_since=await self._stamps.since(names.APPROVAL_POLICY) if approvals else None,
        )

    def _policies(self, namespace: str, denied: dict[ApiResource, str], problems: _Problems) -> Iterator[DeployPolicy | Unreadable]:
        """Yields policies that select the namespace, or whose selector is unreadable. Notes those of which that is unknown."""
        labels = self._cache.guards.labels_of(namespace)
        for raw in self._cache.policies():
            selector = self._cache.guards.selector_of(raw)
            selected = None if selector is None else selects(selector, namespace, labels)
            if selected or selector is None:
                yield self._as(DeployPolicy, raw)
            elif selected is None:
                why = f"namespaces cannot be listed: {denied[NAMESPACES]}" if NAMESPACES in denied else "its labels have not been read"
                problems.reasons.append(
                    f"whether DeployPolicy {raw['metadata']['name']} selects the namespace {namespace} is unknown: {why}"
                )

    def _approvals(self, namespace: str, records: Iterable[Row]) -> Iterator[Approval | Unreadable]:
        """Yields the Approvals of what these rows pin. Any other Approval counts for nothing, readable or not."""
        for row in records:
            if row.pinned is not None:
                approvals = self._cache.guards.candidate_approvals(namespace, row.name, row.pinned.digest, row.spec.created_by)
                yield from (self._as(Approval, raw) for raw in approvals)

    def _rejections(self, namespace: str, problems: _Problems) -> dict[str, Rejection]:
        return _in_force(problems.readable(self._as(Rejection, raw) for raw in self._cache.guards.rejections_in(namespace)))

    async def _at_source(
        self, undecided: Iterable[Row], promotions: Awaitable[Mapping[str, Row]] | None, problems: _Problems
    ) -> dict[str, Rejection]:
        """Returns the Rejections of undecided promotions in the source namespace, by row name."""
        at_source, rejections = dict[str, Rejection](), dict[str, dict[str, Rejection]]()
        for row in undecided:
            source = row.spec.promoted_from
            if source is None or source.cluster is not None:
                continue
            if not self._denials.is_watched(source.namespace):
                if promotions is not None and _is_promotion(row, await promotions):
                    listed = await self._listed(source.namespace, source.hash, problems)
                    at_source |= {row.name: listed[source.hash]} if source.hash in listed else {}
                continue
            if source.namespace not in rejections:
                if (reason := self._denials.of(source.namespace).get(REJECTIONS)) is not None:
                    problems.reasons.append(f"{NEEDED[REJECTIONS]} cannot be listed: {reason}")
                rejections[source.namespace] = self._rejections(source.namespace, problems)
            if source.hash in rejections[source.namespace]:
                at_source[row.name] = rejections[source.namespace][source.hash]
        return at_source

    async def _listed(self, namespace: str, flow: str, problems: _Problems) -> dict[str, Rejection]:
        """Lists the Rejections of one flow in a namespace that is not watched."""
        rejections: list[Rejection | Unreadable] = []
        try:
            async for page in self._client.pages(REJECTIONS, namespace, field=f"spec.workflowHash={flow}"):
                rejections += [read(Rejection, raw) for raw in page["items"]]
        except (errors.Denied, errors.NotFound) as error:
            problems.reasons.append(f"{NEEDED[REJECTIONS]} in {namespace}, from where a row promotes, cannot be listed: {error}")
        return _in_force(problems.readable(rejections))

    def _as(self, kind: type[T], raw: Manifest) -> T | Unreadable:
        """Returns the parsed object; of an unchanged one the same as before."""
        key = (kind, (raw["metadata"].get("namespace", ""), raw["metadata"]["name"]))
        before = self._read.get(key)
        if before is not None and before[0] is raw and isinstance(before[1], (kind, Unreadable)):
            return before[1]
        parsed = read(kind, raw)
        self._read[key] = (raw, parsed)
        if len(self._read) > READ_MOST:
            self._read.popitem(last=False)
        return parsed


def is_undecided(row: Row) -> bool:
    """Returns True if a row is unpinned or waiting."""
    return waits(row) or (row.pinned is None and row.outcome is None)


def _is_promotion(row: Row, promotions: Mapping[str, Row]) -> bool:
    """Returns True if a row's source is verified. Rejections elsewhere do not count for a row that only claims a source."""
    if row.pinned is None:
        return row.name in promotions
    return row.pinned.promoted_from is not None and bool(row.pinned.promoted_from.verified)


def _in_force(rejections: Iterable[Rejection]) -> dict[str, Rejection]:
    """Returns the oldest Rejection that is not withdrawn, by hash of a flow."""
    valid = [each for each in rejections if each.spec.withdrawn is None]
    return {each.spec.workflow_hash: each for each in sorted(valid, key=lambda each: (each.meta.created, each.meta.name), reverse=True)}


def _holds(row: Row) -> bool:
    """Returns True if Git's changes are on hold while this row is live: an Approval ends that."""
    return row.pinned is not None and (row.pinned.holds is not None or row.pinned.source is Source.REVERT)

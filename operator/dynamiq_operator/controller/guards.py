"""What may keep rows of an App from being deployed, as the informer cache has it: policies, Approvals, Rejections.

What cannot be read is unknown, and not absent: `ObservedGuards.unknown` says it. Of a cluster without any of them nothing is asked.
Rejections at the source of a promotion are listed where the cache has none of that namespace, since the operator is limited to others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from dynamiq_operator.controller.cache import AppKey, Cache
from dynamiq_operator.controller.denials import LACKING, Denials
from dynamiq_operator.controller.stamps import Stamps
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPROVALS, DEPLOY_POLICIES, NAMESPACES, REJECTIONS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.namespaces import selects
from dynamiq_operator.model.objects import Approval, DeployPolicy, Manifest, Record, Rejection, Unreadable, read
from dynamiq_operator.model.record import Source
from dynamiq_operator.plan.history.lifecycle import waits
from dynamiq_operator.plan.observed.guards import ObservedGuards

T = TypeVar("T", DeployPolicy, Approval, Rejection)

READ_MOST = 4096
"""Objects that are kept as they were read, so that each is not read anew at every reconcile."""
NEEDED = {DEPLOY_POLICIES: "DeployPolicies", APPROVALS: "Approvals", REJECTIONS: "Rejections"}


@dataclass
class _Found:
    """What one observation has found so far; `unknown` in sentences."""

    unknown: list[str] = field(default_factory=list)

    def readable(self, every: Iterable[T | Unreadable]) -> Iterator[T]:
        for each in every:
            if isinstance(each, Unreadable):
                self.unknown.append(each.message)
            else:
                yield each


class GuardReader:
    """Makes `ObservedGuards` of an App's namespace and rows."""

    def __init__(self, client: Client, cache: Cache, denials: Denials, stamps: Stamps) -> None:
        self._client, self._cache, self._denials, self._stamps = client, cache, denials, stamps
        self._read: OrderedDict[tuple[type, AppKey], tuple[Manifest, DeployPolicy | Approval | Rejection | Unreadable]] = OrderedDict()

    async def observe(
        self, namespace: str, records: Iterable[Record], promotions: Awaitable[Mapping[str, Record]] | None = None
    ) -> ObservedGuards:
        """What may hold those of these rows that have not ended. `promotions`: by a row's name, what it promotes. Raises errors.ApiError."""
        denied, found = self._denials.of(namespace), _Found()
        found.unknown += [f"{plural} cannot be listed: {denied[resource]}" for resource, plural in NEEDED.items() if resource in denied]
        every = tuple(record for record in records if record.outcome is None or _holds(record))
        policies = tuple(found.readable(self._policies(namespace, denied, found)))
        approvals = tuple(sorted(found.readable(self._approvals(namespace, every)), key=lambda each: (each.meta.created, each.meta.name)))
        return ObservedGuards(
            policies=policies,
            approvals=approvals,
            rejections=self._rejections(namespace, found),
            at_source=await self._at_source(filter(is_undecided, every), promotions, found),
            unknown="; ".join(dict.fromkeys(found.unknown)),
            outdated=LACKING in denied.values(),
            stamped_since=await self._stamps.since(names.APPROVAL_POLICY) if approvals else None,
        )

    def _policies(self, namespace: str, denied: dict[ApiResource, str], found: _Found) -> Iterator[DeployPolicy | Unreadable]:
        """The policies that select the namespace, by name, and those of which that is not known."""
        labels = self._cache.guards.labels_of(namespace)
        for raw in self._cache.policies():
            selector = self._cache.guards.selector_of(raw)
            selected = None if selector is None else selects(selector, namespace, labels)
            if selected or selector is None:
                yield self._as(DeployPolicy, raw)
            elif selected is None:
                why = f"namespaces cannot be listed: {denied[NAMESPACES]}" if NAMESPACES in denied else "its labels have not been read"
                found.unknown.append(f"whether DeployPolicy {raw['metadata']['name']} selects the namespace {namespace} is unknown: {why}")

    def _approvals(self, namespace: str, records: Iterable[Record]) -> Iterator[Approval | Unreadable]:
        """Those of what these rows pin: what is said of anything else counts for nothing, whether it can be read or not."""
        for record in records:
            if record.pinned is not None:
                words = self._cache.guards.words_on(namespace, record.name, record.pinned.digest, record.spec.created_by)
                yield from (self._as(Approval, raw) for raw in words)

    def _rejections(self, namespace: str, found: _Found) -> dict[str, Rejection]:
        """By hash of a flow, the oldest that is not withdrawn."""
        return _standing(found.readable(self._as(Rejection, raw) for raw in self._cache.guards.rejections_in(namespace)))

    async def _at_source(
        self, undecided: Iterable[Record], promotions: Awaitable[Mapping[str, Record]] | None, found: _Found
    ) -> dict[str, Rejection]:
        at_source, rejections = dict[str, Rejection](), dict[str, dict[str, Rejection]]()
        for record in undecided:
            source = record.spec.promoted_from
            if source is None or source.cluster is not None:
                continue
            if not self._denials.is_watched(source.namespace):
                if promotions is not None and _is_promotion(record, await promotions):
                    listed = await self._listed(source.namespace, source.hash, found)
                    at_source |= {record.name: listed[source.hash]} if source.hash in listed else {}
                continue
            if source.namespace not in rejections:
                if (said := self._denials.of(source.namespace).get(REJECTIONS)) is not None:
                    found.unknown.append(f"{NEEDED[REJECTIONS]} cannot be listed: {said}")
                rejections[source.namespace] = self._rejections(source.namespace, found)
            if source.hash in rejections[source.namespace]:
                at_source[record.name] = rejections[source.namespace][source.hash]
        return at_source

    async def _listed(self, namespace: str, flow: str, found: _Found) -> dict[str, Rejection]:
        """The same of one flow and of a namespace that is not watched, as the API server has it now."""
        made: list[Rejection | Unreadable] = []
        try:
            async for page in self._client.pages(REJECTIONS, namespace, field=f"spec.workflowHash={flow}"):
                made += [read(Rejection, raw) for raw in page["items"]]
        except (errors.Denied, errors.NotFound) as error:
            found.unknown.append(f"{NEEDED[REJECTIONS]} in {namespace}, from where a row promotes, cannot be listed: {error}")
        return _standing(found.readable(made))

    def _as(self, kind: type[T], raw: Manifest) -> T | Unreadable:
        """The object as it is read; of one that has not changed, as it was read before."""
        key = (kind, (raw["metadata"].get("namespace", ""), raw["metadata"]["name"]))
        kept = self._read.get(key)
        if kept is not None and kept[0] is raw and isinstance(kept[1], (kind, Unreadable)):
            return kept[1]
        made = read(kind, raw)
        self._read[key] = (raw, made)
        if len(self._read) > READ_MOST:
            self._read.popitem(last=False)
        return made


def is_undecided(record: Record) -> bool:
    """Whether a row is still to be pinned, or waits."""
    return waits(record) or (record.pinned is None and record.outcome is None)


def _is_promotion(record: Record, promotions: Mapping[str, Record]) -> bool:
    """Whether a row promotes what it says: of one that only says it no Rejection elsewhere is heeded."""
    if record.pinned is None:
        return record.name in promotions
    return record.pinned.promoted_from is not None and bool(record.pinned.promoted_from.verified)


def _standing(rejections: Iterable[Rejection]) -> dict[str, Rejection]:
    """By hash of a flow, the oldest that is not withdrawn."""
    standing = [each for each in rejections if each.spec.withdrawn is None]
    return {each.spec.workflow_hash: each for each in sorted(standing, key=lambda each: (each.meta.created, each.meta.name), reverse=True)}


def _holds(record: Record) -> bool:
    """Whether Git waits while this row is live: a word on it ends that."""
    return record.pinned is not None and (record.pinned.holds is not None or record.pinned.source is Source.REVERT)

"""The guards of an App's rows: the Apps that an event affects, what is observed, and what is unknown."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.cached.guard_index import APPROVALS_MAX
from dynamiq_operator.controller.watching import feed, informers
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPROVALS, APPS, DEPLOY_POLICIES, NAMESPACES, POLICIES, REJECTIONS, ROWS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.plan.observed.guards import ObservedGuards
from tests.support import factories as given
from tests.support.controller import Process, at, empty_cluster, stored
from tests.support.guards import TIER, approval_manifest, namespace_manifest, policy_manifest, rejection_manifest
from tests.support.scripted import Script, failure, listed
from tests.support.waiting import IN_TIME

APP = (given.NAMESPACE, given.NAME)
OTHER = ("shop", given.NAME)
SOON = IN_TIME
AWAITS = [{"reason": "AwaitingApproval", "policy": "production", "approvals": 1}]
SOAKS = [{"reason": "Soaking", "policy": "production", "until": "2026-01-01T00:00:00Z"}]
BY_TIER = {"matchLabels": {TIER: "production"}}
NEWER = given.with_spec(approvals={"count": "many"})
"""Approval rules in a form that this version does not know."""
NEWER_SELECTOR = {"matchExpressions": [{"key": TIER, "operator": "Like", "values": ["prod*"]}]}


class Watched:
    """A cache and the objects that watches report to it, each newer than all before."""

    def __init__(self, cache: Cache) -> None:
        self.cache, self._version = cache, 0

    def put(self, resource: ApiResource, *manifests: Manifest) -> set[AppKey]:
        """Adds or changes the objects, and returns the Apps to reconcile. An Approval without a digest gets that of its row."""
        manifests = tuple(self._of_row(made) if resource is APPROVALS else made for made in manifests)
        return {app for made in manifests for app in self.cache.update(resource, self._next(resource, made))}

    def take(self, resource: ApiResource, made: Manifest) -> set[AppKey]:
        """Deletes the object, and returns the Apps to reconcile."""
        return self.cache.delete(resource, self._next(resource, made))

    def _of_row(self, made: Manifest) -> Manifest:
        row = self.cache.get(ROWS, made["metadata"]["namespace"], made["spec"].get("row", ""))
        if row is None or made["spec"].get("digest") != given.UNSEALED:
            return made
        return {**made, "spec": {**made["spec"], "digest": row["spec"]["pinned"]["digest"]}}

    def _next(self, resource: ApiResource, made: Manifest) -> Manifest:
        self._version += 1
        raw = stored(made, self._version)
        return raw if resource.namespaced else {**raw, "metadata": {**raw["metadata"], "namespace": ""}}


@pytest.fixture
def watched(process: Process) -> Watched:
    """Returns a cache with an App in each of two namespaces, which are listed."""
    made = Watched(process.cache)
    made.put(NAMESPACES, namespace_manifest(), namespace_manifest("shop", tier="production"))
    made.put(APPS, given.app_manifest(given.public()), given.app_manifest(given.public(), given.in_namespace("shop")))
    return made


async def observed(process: Process, app: AppKey = APP) -> ObservedGuards:
    return (await process.observer.observe(app)).guards


def approvals_stamped(script: Script, *created: str) -> None:
    """Sets since when the policy that stamps Approvals and its binding exist; none if no times are given."""
    for number, policy in enumerate(POLICIES):
        made = {"metadata": {"name": names.APPROVAL_POLICY, "creationTimestamp": created[number]}} if created else failure(404, "NotFound")
        script.on("GET", policy.path("", names.APPROVAL_POLICY), made)


# The Apps that an event affects.


def test_a_policy_concerns_the_apps_of_the_namespaces_that_it_selects_or_selected(watched: Watched) -> None:
    assert watched.put(DEPLOY_POLICIES, policy_manifest()) == {APP}
    assert watched.put(DEPLOY_POLICIES, policy_manifest(selector=BY_TIER)) == {APP, OTHER}, "one is let go, the other is held"
    assert watched.put(DEPLOY_POLICIES, policy_manifest(approvals={"count": 2}, selector=BY_TIER)) == {OTHER}
    assert watched.put(DEPLOY_POLICIES, policy_manifest("newer", selector=NEWER_SELECTOR)) == {APP, OTHER}
    assert watched.take(DEPLOY_POLICIES, policy_manifest()) == {OTHER}


def test_labels_of_a_namespace_concern_its_apps_where_there_is_a_policy_and_ours_changed(watched: Watched) -> None:
    assert watched.put(NAMESPACES, namespace_manifest("shop", tier="test")) == set(), "there is no policy"
    watched.put(DEPLOY_POLICIES, policy_manifest(selector=BY_TIER))
    assert watched.put(NAMESPACES, namespace_manifest("shop", tier="production")) == {OTHER}
    foreign = namespace_manifest("shop", tier="production")
    foreign["metadata"]["labels"]["team"] = "x"
    assert watched.put(NAMESPACES, foreign) == set()
    assert watched.put(NAMESPACES, namespace_manifest("shop")) == {OTHER}


def test_an_approval_concerns_the_app_whose_open_row_it_names(watched: Watched) -> None:
    watched.put(ROWS, given.row_manifest("live", given.live(1)), given.row_manifest("a", given.progressing(2, guards=AWAITS)))
    assert watched.put(APPROVALS, approval_manifest("yes", "a")) == {APP}
    assert watched.put(APPROVALS, approval_manifest("late", "live"), approval_manifest("lost", "gone")) == set()
    assert watched.take(APPROVALS, approval_manifest("yes", "a")) == {APP}


async def test_a_resumption_of_a_live_rollback_is_observed(process: Process, watched: Watched, script: Script) -> None:
    script.on("GET", at(ROWS), listed())
    approvals_stamped(script, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    watched.put(ROWS, given.row_manifest("back", given.live(3, holds={"row": "back", "sequence": 3})))
    assert watched.put(APPROVALS, approval_manifest("word", "back", purpose="Resume")) == {APP}
    assert [each.meta.name for each in (await observed(process)).approvals] == ["word"]


def test_a_rejection_concerns_the_apps_whose_rows_are_to_be_pinned_or_wait_there_or_for_a_promotion_from_there(watched: Watched) -> None:
    assert watched.put(REJECTIONS, rejection_manifest("bad", "v2")) == set()
    watched.put(ROWS, given.row_manifest("live", given.live(1)))
    assert watched.put(REJECTIONS, rejection_manifest("worse", "v3")) == set()
    watched.put(ROWS, given.row_manifest("a", given.progressing(2, guards=AWAITS)))
    promoted = {"namespace": given.NAMESPACE, "app": "chat", "row": "live", "hash": given.flow_hash("v1")}
    watched.put(ROWS, given.row_manifest("p", given.in_namespace("shop"), given.asking(promotedFrom=promoted)))
    elsewhere = {**promoted, "cluster": "eu-staging"}
    watched.put(ROWS, given.row_manifest("e", given.in_namespace("depot"), given.asking(promotedFrom=elsewhere)))
    assert watched.put(REJECTIONS, rejection_manifest("again", "v4")) == {APP, OTHER}
    released = {"at": "2026-01-01T00:00:00Z", "guards": ["AwaitingApproval"]}
    watched.put(ROWS, given.row_manifest("a", given.progressing(2, guards=AWAITS), given.with_spec(released=released)))
    assert watched.put(REJECTIONS, rejection_manifest("more", "v5")) == {OTHER}


def test_an_event_costs_the_same_with_a_thousand_apps() -> None:
    """The cost is counted in function calls, which do not depend on how busy the machine is."""
    costs = []
    for count in (10, 1000):
        watched, number = Watched(Cache()), itertools.count()
        for app in (f"app-{number}" for number in range(count)):
            watched.put(APPS, given.app_manifest(name=app))
            watched.put(ROWS, given.row_manifest(f"{app}-live", given.of_app(app), given.live(1)))
            watched.put(APPROVALS, approval_manifest(f"{app}-old", f"{app}-gone"))
        watched.put(ROWS, given.row_manifest("a", given.of_app("app-7"), given.progressing(2, guards=AWAITS)))
        approval, rejection = approval_manifest("yes", "a"), rejection_manifest("no", "v9")
        sys.setprofile(_counting(number))
        try:
            assert watched.put(APPROVALS, approval) == watched.put(REJECTIONS, rejection) == {(given.NAMESPACE, "app-7")}
        finally:
            sys.setprofile(None)
        costs.append(next(number))
    assert costs[0] == costs[1]


def _counting(number: Iterator[int]) -> Callable[[FrameType, str, Any], None]:
    def count(_frame: FrameType, event: str, _arg: Any) -> None:
        if event == "call":
            next(number)

    return count


def test_only_our_labels_of_a_namespace_are_cached() -> None:
    cache = Cache()
    Watched(cache).put(NAMESPACES, namespace_manifest("shop", tier="test"))
    kept = cache.get(NAMESPACES, "", "shop")
    assert kept is not None
    assert (set(kept), kept["metadata"]["labels"]) == ({"metadata"}, {f"{GROUP}/tier": "test"})


# Observed guards.


async def test_without_policies_no_guards_are_observed_and_no_request_is_sent(process: Process, watched: Watched, script: Script) -> None:
    watched.put(ROWS, given.row_manifest("live", given.live(1)))
    assert await observed(process) == ObservedGuards()
    assert script.sent == []


async def test_policies_approvals_and_rejections_of_its_own_are_observed(process: Process, watched: Watched, script: Script) -> None:
    watched.put(DEPLOY_POLICIES, policy_manifest("b"), policy_manifest("a", selector={}), policy_manifest("shops", selector=BY_TIER))
    watched.put(ROWS, given.row_manifest("row", given.progressing(1, guards=AWAITS)), given.row_manifest("live", given.live(1)))
    watched.put(
        APPROVALS, approval_manifest("second", "row", given.created(9), by="cy"), approval_manifest("first", "row", given.created(5))
    )
    watched.put(APPROVALS, approval_manifest("ended", "live"), approval_manifest("other", "another"))
    withdrawn = {"by": "bo", "reason": "it was the model"}
    watched.put(REJECTIONS, rejection_manifest("bad", "v2"), rejection_manifest("once", "v3", withdrawn=withdrawn))
    watched.put(REJECTIONS, rejection_manifest("elsewhere", "v4", given.in_namespace("shop")))
    approvals_stamped(script, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    script.on("GET", at(ROWS), listed())
    found = await observed(process)
    assert [policy.meta.name for policy in found.policies] == ["a", "b"]
    assert [approval.meta.name for approval in found.approvals] == ["first", "second"]
    assert {key: each.meta.name for key, each in found.rejections.items()} == {given.flow_hash("v2"): "bad"}
    assert found.stamped_since == parse_time("2026-01-02T00:00:00Z")
    assert not found.unknown
    assert [policy.meta.name for policy in (await observed(process, OTHER)).policies] == ["a", "shops"]


async def test_the_stamping_of_approvals_is_read_once_a_minute_while_one_names_an_open_row(
    process: Process, watched: Watched, script: Script
) -> None:
    watched.put(ROWS, given.row_manifest("row", given.progressing(1, guards=AWAITS)))
    script.on("GET", at(ROWS), listed())
    await observed(process)
    path = POLICIES[0].path("", names.APPROVAL_POLICY)
    watched.put(APPROVALS, approval_manifest("yes", "row"))
    approvals_stamped(script)
    for _ in range(3):
        assert (await observed(process)).stamped_since is None
    assert [sent.path for sent in script.sent].count(path) == 1
    process.clock.later(61)
    approvals_stamped(script, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    assert (await observed(process)).stamped_since is not None


async def test_a_promotion_meets_the_rejection_at_its_source_and_its_source_is_read_while_it_waits(
    process: Process, watched: Watched, script: Script
) -> None:
    def promotion(version: str) -> dict[str, Any]:
        return {"namespace": "shop", "app": "chat", "row": f"of-{version}", "hash": given.flow_hash(version)}

    watched.put(REJECTIONS, rejection_manifest("bad", "v2", given.in_namespace("shop")))
    watched.put(ROWS, given.row_manifest("bad", given.asking(promotedFrom=promotion("v2")), given.progressing(1, guards=SOAKS)))
    watched.put(ROWS, given.row_manifest("good", given.asking(promotedFrom=promotion("v3")), given.progressing(2, guards=AWAITS)))
    script.on("GET", at(ROWS), listed())
    script.on("GET", ROWS.path("shop", "of-v2"), stored(given.row_manifest("of-v2", given.live(1))))
    script.on("GET", ROWS.path("shop", "of-v3"), stored(given.row_manifest("of-v3", given.live(2, "v3"))))
    elsewhere = {**promotion("v2"), "cluster": "eu-staging"}
    watched.put(ROWS, given.row_manifest("far", given.asking(promotedFrom=elsewhere), given.progressing(3, guards=AWAITS)))
    snapshot = await process.observer.observe(APP)
    assert {row: each.meta.name for row, each in snapshot.guards.at_source.items()} == {"bad": "bad"}
    assert set(snapshot.sources.promotions) == {"bad", "good"}, "whatever it waits for"


async def test_a_version_is_live_at_its_source_by_a_row_that_only_scales_it(process: Process, watched: Watched, script: Script) -> None:
    promoted = {"namespace": "shop", "app": "chat", "row": "first", "hash": given.flow_hash("v1")}
    watched.put(ROWS, given.row_manifest("row", given.asking(promotedFrom=promoted), given.progressing(1, guards=SOAKS)))
    live = {"row": "second", "sequence": 2, "workflowVersion": "v1", "runtime": "1.0.0"}
    watched.put(APPS, given.app_manifest(given.in_namespace("shop"), given.with_status(live=live)))
    script.on("GET", at(ROWS), listed())
    script.on("GET", ROWS.path("shop", "first"), stored(given.row_manifest("first", given.superseded(1))))
    for version, phase in (("v1", "Live"), ("v2", "Superseded")):
        script.on("GET", ROWS.path("shop", "second"), stored(given.row_manifest("second", given.live(2, version))))
        snapshot = await process.observer.observe(APP)
        assert snapshot.sources.promotions["row"].phase == phase


async def test_approvals_without_effect_requeue_no_app_and_are_not_observed(process: Process, watched: Watched, script: Script) -> None:
    """Anybody who may create Approvals may create many; purpose Withdraw needs no other right."""
    watched.put(ROWS, given.row_manifest("row", given.with_spec(createdBy="ann"), given.progressing(1, guards=AWAITS)))
    other = "sha256:" + "b" * 64
    for number in range(300):
        flood = [
            approval_manifest(f"withdraw-{number}", "row", by="carl", purpose="Withdraw"),
            approval_manifest(f"other-{number}", "row", digest=other),
            approval_manifest(f"nobody-{number}", "row", by=""),
            approval_manifest(f"backup-{number}", "row", given.created(99), restored=True),
        ]
        assert watched.put(APPROVALS, *flood) == set()
    assert await observed(process) == ObservedGuards(), "and nothing is asked"
    script.on("GET", at(ROWS), listed())
    approvals_stamped(script, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    for number in range(300):
        watched.put(APPROVALS, approval_manifest(f"again-{number:03}", "row", given.created(number)))
        watched.put(
            APPROVALS, approval_manifest(f"robot-{number:03}", "row", given.created(number), by=f"robot-{number}", purpose="Resume")
        )
    assert watched.put(APPROVALS, approval_manifest("own", "row", by="ann", purpose="Withdraw")) == {APP}
    found = [each.meta.name for each in (await observed(process)).approvals]
    assert len(found) == 2 + APPROVALS_MAX
    assert {"own", "again-299", "robot-299"} <= set(found), "of each person and purpose the newest"


# Unknown guards.


@pytest.mark.parametrize(
    ("resource", "made", "says"),
    [
        (DEPLOY_POLICIES, policy_manifest("p", NEWER), "DeployPolicy p cannot be read"),
        (DEPLOY_POLICIES, policy_manifest("p", selector=NEWER_SELECTOR), "DeployPolicy p cannot be read"),
        (
            DEPLOY_POLICIES,
            policy_manifest("p", freezes=[{"name": "f", "cron": "0 25 * * 1", "duration": "1h"}]),
            "DeployPolicy p cannot be read",
        ),
        (DEPLOY_POLICIES, policy_manifest("p", NEWER, selector=BY_TIER), ""),
        (DEPLOY_POLICIES, {**policy_manifest("p"), "spec": None}, "DeployPolicy p cannot be read"),
        (APPROVALS, approval_manifest("a", "row", purpose="Ponder"), "Approval a cannot be read"),
        (APPROVALS, approval_manifest("a", "other", purpose="Ponder"), ""),
        (APPROVALS, {**approval_manifest("a", "row"), "spec": {}}, ""),
        (APPROVALS, approval_manifest("a", "row", purpose="Ponder", digest="sha256:" + "b" * 64), ""),
        (REJECTIONS, rejection_manifest("r", "v1", workflowHash=5), "Rejection r cannot be read"),
        (REJECTIONS, rejection_manifest("r", "v1", given.in_namespace("shop"), workflowHash=5), ""),
    ],
)
async def test_an_unreadable_policy_is_unknown_and_not_absent(
    process: Process, watched: Watched, script: Script, resource: ApiResource, made: Manifest, says: str
) -> None:
    """It concerns this App alone: a policy that visibly selects other namespaces does not make it unknown."""
    watched.put(ROWS, given.row_manifest("row", given.progressing(1, guards=AWAITS)))
    script.on("GET", at(ROWS), listed())
    watched.put(resource, made)
    found = await observed(process)
    assert found.unknown.startswith(says)
    assert bool(found.unknown) is bool(says)


async def test_labels_that_have_not_been_read_leave_open_whether_a_policy_selects(process: Process, script: Script) -> None:
    watched = Watched(process.cache)
    watched.put(APPS, given.app_manifest(given.public()))
    watched.put(DEPLOY_POLICIES, policy_manifest("by-name", selector={"matchLabels": {"kubernetes.io/metadata.name": "other"}}))
    assert not (await observed(process)).unknown, "a name is known"
    watched.put(DEPLOY_POLICIES, policy_manifest("by-label", selector=BY_TIER))
    assert "whether DeployPolicy by-label selects the namespace" in (await observed(process)).unknown
    process.denials.note(NAMESPACES, "", "no right")
    assert (await observed(process)).unknown.endswith("namespaces cannot be listed: no right")
    assert watched.put(NAMESPACES, namespace_manifest()) == {APP}
    process.denials.note(NAMESPACES, "", None)
    assert not (await observed(process)).unknown


async def test_rejections_at_the_source_of_a_promotion_that_cannot_be_listed_are_unknown(
    process: Process, watched: Watched, script: Script
) -> None:
    promoted = {"namespace": "shop", "app": "chat", "row": "a", "hash": given.flow_hash("v2")}
    watched.put(ROWS, given.row_manifest("p", given.asking(promotedFrom=promoted), given.progressing(1, guards=AWAITS)))
    script.on("GET", at(ROWS), listed())
    script.on("GET", ROWS.path("shop", "a"), stored(given.row_manifest("a", given.live(1, "v2"))))
    process.denials.note(REJECTIONS, "shop", "no right")
    assert (await observed(process)).unknown == "Rejections cannot be listed: no right"


@pytest.mark.parametrize("is_promotion", [True, False])
async def test_an_operator_of_some_namespaces_asks_for_the_rejection_at_the_source_of_a_promotion(
    client: Client, script: Script, is_promotion: bool
) -> None:
    """For a row that only claims to be a promotion nothing is read: it could wait forever for an unreadable namespace."""
    process = Process(client, script, frozenset({given.NAMESPACE}))
    watched, there = Watched(process.cache), REJECTIONS.path("shop")
    watched.put(APPS, given.app_manifest(given.public()))
    promoted = {"namespace": "shop", "app": "chat", "row": "a", "hash": given.flow_hash("v2")}
    pinned: dict[str, Any] = {"guards": AWAITS, "promotedFrom": {"row": "a", "verified": is_promotion}}
    watched.put(ROWS, given.row_manifest("p", given.asking(promotedFrom=promoted), given.progressing(1, **pinned)))
    script.on("GET", at(ROWS), listed())
    script.on("GET", ROWS.path("shop", "a"), stored(given.row_manifest("a", given.live(1, "v2"))))
    standing = stored(rejection_manifest("bad", "v2", given.in_namespace("shop")))
    withdrawn = stored(rejection_manifest("once", "v2", given.in_namespace("shop"), withdrawn={"by": "bo", "reason": "mended"}))
    script.on("GET", there, listed(withdrawn, standing))
    found = await observed(process)
    assert ({row: each.meta.name for row, each in found.at_source.items()}, found.unknown) == ({"p": "bad"} if is_promotion else {}, "")
    script.on("GET", there, failure(403, "Forbidden", "no right"))
    found = await observed(process)
    assert found.at_source == {}
    message = "Rejections in shop, from where a row promotes, cannot be listed: no right"
    assert found.unknown == (message if is_promotion else "")
    queries = [sent.query for sent in script.sent if sent.path == there]
    assert {query["fieldSelector"] for query in queries} == ({f"spec.workflowHash={given.flow_hash('v2')}"} if is_promotion else set())


@pytest.mark.parametrize("resource", [DEPLOY_POLICIES, APPROVALS, REJECTIONS])
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (failure(403, "Forbidden", "no right"), "no right"),
        (failure(404, "NotFound"), "kubectl apply -k crds"),
        (failure(500, "InternalError", "conversion webhook failed"), "conversion webhook failed"),
    ],
    ids=["no right", "older definitions", "it fails on and on"],
)
async def test_unlistable_policies_are_unknown_and_the_operator_starts_without_them(
    process: Process, script: Script, monkeypatch: pytest.MonkeyPatch, resource: ApiResource, answer: Any, says: str
) -> None:
    monkeypatch.setattr(informers, "FAILS_FOR", SOON * 10)
    monkeypatch.setattr(feed, "DENIED_AFTER", 0.1)
    monkeypatch.setattr(feed, "FAILED_AFTER", 0.1)
    empty_cluster(script).on("GET", APPS.path(), listed(stored(given.app_manifest(given.public())), version="7")).on(
        "GET", resource.path(), answer
    )
    lists = [asyncio.create_task(each.list()) for each in process.informers.feeds]
    await asyncio.wait_for(process.informers.until_synced(), SOON)
    found = await observed(process)
    assert "cannot be listed: " in found.unknown
    assert says in found.unknown
    assert found.outdated is ("crds" in says)
    script.on("GET", resource.path(), listed(version="8"))
    await asyncio.wait_for(asyncio.gather(*lists), SOON)
    assert not (await observed(process)).unknown
    assert await asyncio.wait_for(process.queue.get(), SOON) == APP, "what waits is looked at again"

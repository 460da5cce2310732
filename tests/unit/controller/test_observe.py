"""Observing an App: a snapshot of the cache, and the few reads that no watch covers, each as seldom as possible."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dynamiq_operator.desired.base import CONFIG_MAP, JOB, SECRET, SERVICE, child
from dynamiq_operator.desired.pod_template import CONTAINER
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, BY_KIND, JOBS, PODS, POLICIES, ROWS, RUNTIMES, SECRETS, SLICES, VERSIONS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.observed.endpoints import GateState
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason
from dynamiq_operator.plan.observed.secrets import KeysPresence
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given
from tests.support import slices
from tests.support.controller import Process, at, stored
from tests.support.scripted import Script, failure, listed

KEY = (given.NAMESPACE, given.NAME)
CHAT = given.an_app()
KEYS_PATH = at(SECRETS, names.access_keys(given.NAME))


@pytest.fixture
def script() -> Script:
    """Returns a script of a cluster whose App has its Secret of Access Keys."""
    return Script().on("GET", KEYS_PATH, stored(secret(), 40))


def secret() -> Manifest:
    return child(CHAT, SECRET, names.access_keys(given.NAME))


def cache(process: Process, resource: ApiResource, *manifests: Manifest) -> None:
    """Reports these objects as the watches do."""
    for made in manifests:
        process.informers.on_watch_event(
            resource, "ADDED", {**given.stored(made), "metadata": {"uid": "u", **given.stored(made)["metadata"]}}
        )


async def observe(process: Process) -> Snapshot:
    return await process.observer.observe(KEY)


def reads(script: Script) -> list[str]:
    return [sent.path for sent in script.sent]


async def test_app_that_is_missing_has_its_rows_and_asks_nothing(process: Process, script: Script) -> None:
    cache(process, ROWS, given.row_manifest("a"))
    snapshot = await observe(process)
    assert (snapshot.app, [row.name for row in snapshot.rows.observed]) == (None, ["a"])
    assert script.sent == []


NEWER = {"type": "quantum"}
"""A config of a type that this version does not know."""


async def test_app_of_a_newer_operator_is_not_taken_for_missing(process: Process) -> None:
    """The App's state is kept as well, and its rows are observed."""
    cache(process, APPS, given.app_manifest(given.with_spec(access={"type": "members"})))
    cache(process, ROWS, given.row_manifest("a"))
    process.states.of((given.NAMESPACE, given.NAME)).uid = "kept"
    snapshot = await observe(process)
    assert snapshot.unreadable_app is not None
    assert "access.type ('members')" in snapshot.unreadable_app.message
    assert [row.name for row in snapshot.rows.observed] == ["a"]
    assert process.states.of((given.NAMESPACE, given.NAME)).uid == "kept"


async def test_row_that_cannot_be_read_is_known_to_be_there(process: Process) -> None:
    cache(process, APPS, given.app_manifest())
    cache(process, ROWS, given.row_manifest("good", given.live(1)), given.row_manifest("odd", given.asking(config=NEWER)))
    snapshot = await observe(process)
    assert [row.name for row in snapshot.rows.observed] == ["good"]
    assert [(each.kind, each.meta.name, each.why.split(":")[0]) for each in snapshot.unreadable] == [
        ("Deployment", "odd", "config.type ('quantum')")
    ]


async def test_closed_row_that_is_named_and_cannot_be_read_is_known_to_be_there(process: Process, script: Script) -> None:
    cache(
        process,
        APPS,
        given.app_manifest(given.with_status(live={"row": "live", "sequence": 2, "workflowVersion": "v1", "runtime": "1.0.0"})),
    )
    script.on("GET", at(ROWS, "live"), stored(given.row_manifest("live", given.live(2), given.asking(config=NEWER))))
    assert [each.meta.name for each in (await observe(process)).unreadable] == ["live"]


async def test_releases_runtimes_and_sources_of_promotions_that_cannot_be_read_are_unknown(process: Process, script: Script) -> None:
    cache(process, APPS, given.app_manifest())
    promoted = {"namespace": "staging", "app": given.NAME, "row": "source", "hash": given.flow_hash("v1")}
    cache(process, ROWS, given.row_manifest("a", given.asking(promotedFrom=promoted)))
    cache(process, VERSIONS, given.version_manifest("v1"), given.version_manifest("w1"))
    cache(process, RUNTIMES, given.runtime_manifest(given.with_spec(port="many")))
    script.on("GET", at(ROWS), listed())
    script.on("GET", ROWS.path("staging", "source"), stored(given.row_manifest("source", given.asking(config=NEWER))))
    policies(script)
    snapshot = await observe(process)
    assert [version.version for version in snapshot.sources.versions] == ["v1"]
    assert snapshot.sources.runtimes == {}
    assert {kind for kind, _ in snapshot.sources.unknown} == {"WorkflowVersion", "Runtime", "Deployment"}
    assert not snapshot.unreadable, "an App that runs already does not wait for any of these"


async def test_snapshot_has_what_the_watches_reported(process: Process) -> None:
    cache(process, APPS, given.app_manifest())
    cache(process, ROWS, given.row_manifest("a", given.live(1)))
    cache(process, VERSIONS, given.version_manifest("v1"), given.version_manifest("v1", workflow="another"))
    cache(process, RUNTIMES, given.runtime_manifest())
    flow = child(CHAT, CONFIG_MAP, names.flow(given.NAME, given.flow_hash("v1")), data={"flow": given.flow("v1")}, immutable=True, spec={})
    foreign = {"metadata": {"name": "foreign", "namespace": given.NAMESPACE, "labels": {names.APP_LABEL: given.NAME}}, "spec": {}}
    cache(process, BY_KIND[SERVICE.kind], child(CHAT, SERVICE, given.NAME, spec={}), {**foreign, "kind": "Service"})
    cache(process, BY_KIND[CONFIG_MAP.kind], flow)
    snapshot = await observe(process)
    assert snapshot.app == CHAT
    assert [version.name for version in snapshot.sources.versions] == ["chat-v1"]
    assert set(snapshot.sources.runtimes) == {given.RUNTIME_NAME}
    assert set(snapshot.children.observed) == {("Service", given.NAME), ("ConfigMap", flow["metadata"]["name"])}
    assert snapshot.children.flows == {given.flow_hash("v1")}


async def test_pods_runs_and_callers_are_distinguished(process: Process) -> None:
    cache(process, APPS, given.app_manifest())
    pod: Manifest = {"kind": "Pod", "spec": {"containers": [{"image": "i"}]}}
    labels = names.labels(given.NAME)
    caller = names.caller_labels(given.NAME, "nightly") | {"batch.kubernetes.io/job-name": "run"}
    cache(process, PODS, pod | {"metadata": {"name": "chat-0", "namespace": "demo", "labels": labels}})
    cache(process, PODS, pod | {"metadata": {"name": "run-x", "namespace": "demo", "labels": caller}})
    run = {"name": "run", "namespace": "demo", "labels": names.run_selector(given.NAME, "nightly") | labels}
    other = {"name": "other", "namespace": "demo", "labels": labels}
    cache(process, JOBS, {"kind": JOB.kind, "metadata": run, "spec": {}}, {"kind": JOB.kind, "metadata": other, "spec": {}})
    snapshot = await observe(process)
    assert [found.name for found in snapshot.pods.observed] == ["chat-0"]
    assert [(found.job, found.pod is not None) for found in snapshot.children.runs] == [("run", True)]


# Reads without the cache.


async def test_the_result_of_an_evaluation_comes_from_its_own_pod(process: Process) -> None:
    """A pod may have any name and label: only its owner, the Job of the right name, identifies it."""
    cache(process, APPS, given.app_manifest())
    labels = {**names.labels(given.NAME), names.VERIFICATION_LABEL: "row"}
    job = child(CHAT, JOB, "judge", labels=labels, spec={"suspend": False})
    cache(process, JOBS, {**job, "metadata": {**job["metadata"], "uid": "of-judge"}})
    for name, owner, code in (("one", "of-judge", 3), ("two", "of-another", 0)):
        meta = {
            "name": name,
            "namespace": given.NAMESPACE,
            "uid": name,
            "labels": {**names.evaluation_labels(given.NAME), "batch.kubernetes.io/job-name": "judge"},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "judge", "uid": owner, "controller": True}],
        }
        status = {"containerStatuses": [{"name": "evaluation", "state": {"terminated": {"exitCode": code}}}]}
        cache(process, PODS, {"kind": "Pod", "metadata": meta, "spec": {"containers": []}, "status": status})
    (found,) = (await observe(process)).verification.evaluations
    assert found.pod is not None
    assert found.pod.exit_code == 3


async def test_access_keys_are_read_once_and_again_after_a_resync(process: Process, script: Script) -> None:
    cache(process, APPS, given.app_manifest())
    first = (await observe(process)).secrets.access_keys
    assert (first.presence, first.version) == (KeysPresence.PRESENT, "40")
    assert (await observe(process)).secrets.access_keys == first
    process.states.invalidate(KEY)
    again = (await observe(process)).secrets.access_keys
    assert again == first, "the same content is known since the same moment"
    assert reads(script) == [KEYS_PATH] * 2


def pod(uid: str, version: int, **status: Any) -> Manifest:
    meta = {"name": f"chat-{uid}", "namespace": given.NAMESPACE, "labels": names.labels(given.NAME), "uid": uid}
    return {
        "kind": "Pod",
        "metadata": {**meta, "resourceVersion": str(version)},
        "spec": {"containers": [{"image": "i"}]},
        "status": status,
    }


RUNS = {
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"name": CONTAINER, "ready": True, "state": {"running": {}}}],
}


async def test_access_keys_are_looked_at_when_something_points_at_them_and_not_otherwise(process: Process, script: Script) -> None:
    async def looks() -> int:
        script.sent.clear()
        await observe(process)
        return len(reads(script))

    def app(version: int, *modifiers: given.Modifier, generation: int = 1) -> None:
        meta = given.with_meta(resourceVersion=str(version), generation=generation)
        process.informers.on_watch_event(APPS, "MODIFIED", given.stored(given.app_manifest(meta, *modifiers)))

    def runs(uid: str, version: int, **status: Any) -> None:
        process.informers.on_watch_event(PODS, "MODIFIED", pod(uid, version, **status))

    app(1)
    assert await looks() == 1
    app(2, given.with_status(lastSequence=1))
    assert await looks() == 0, "a status says nothing of keys"
    app(3, given.annotated(**{names.KEYS_CHANGED_ANNOTATION: "once"}))
    assert (await looks(), await looks()) == (1, 0)
    app(4, given.annotated(**{names.KEYS_CHANGED_ANNOTATION: "again"}), generation=2)
    assert (await looks(), await looks()) == (1, 0)
    runs("a", 5)
    assert (await looks(), await looks()) == (1, 0), "a pod that cannot begin may lack the Secret"
    runs("a", 6, **RUNS)
    assert await looks() == 0
    runs("b", 7, containerStatuses=[{"name": CONTAINER, "state": {"waiting": {"reason": "ContainerCreating"}}}])
    assert (await looks(), await looks()) == (1, 0)
    runs("b", 8, containerStatuses=[{"name": CONTAINER, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}])
    assert await looks() == 0


async def test_access_keys_that_could_not_be_read_are_read_again(process: Process, script: Script) -> None:
    cache(process, APPS, given.app_manifest())
    await observe(process)
    process.informers.on_watch_event(PODS, "ADDED", pod("a", 5))
    script.on("GET", KEYS_PATH, failure(500, "InternalError"), stored(secret(), 41))
    with pytest.raises(errors.Unavailable):
        await observe(process)
    assert (await observe(process)).secrets.access_keys.version == "41"


CALLBACK_PATH = at(SECRETS, names.callback_key(given.NAME))


async def test_the_key_for_callbacks_is_read_only_with_a_journal_and_again_when_the_spec_changes_or_after_a_resync(
    client: Client, script: Script
) -> None:
    script.on("GET", CALLBACK_PATH, failure(404, "NotFound"), stored(child(CHAT, SECRET, names.callback_key(given.NAME)), 41))
    without, process = Process(client, script), Process(client, script, settings=Settings(journal="http://journal.journal.svc"))
    cache(without, APPS, given.app_manifest())
    assert (await observe(without)).secrets.callback_key.presence is KeysPresence.ABSENT
    assert CALLBACK_PATH not in reads(script)
    cache(process, APPS, given.app_manifest())
    read = [(await observe(process)).secrets.callback_key.presence for _ in range(3)]
    assert (read, reads(script).count(CALLBACK_PATH)) == ([KeysPresence.ABSENT, KeysPresence.PRESENT, KeysPresence.PRESENT], 2)
    meta = given.with_meta(resourceVersion="2", generation=2)
    process.informers.on_watch_event(APPS, "MODIFIED", given.stored(given.app_manifest(meta)))
    await observe(process)
    process.states.invalidate(KEY)
    await observe(process)
    assert reads(script).count(CALLBACK_PATH) == 4


async def test_a_key_for_callbacks_of_another_owner_is_not_the_apps(client: Client, script: Script) -> None:
    process = Process(client, script, settings=Settings(journal="http://journal.journal.svc"))
    script.on("GET", CALLBACK_PATH, stored({"metadata": {"name": "x", "labels": {}}}))
    cache(process, APPS, given.app_manifest())
    assert (await observe(process)).secrets.callback_key.presence is KeysPresence.FOREIGN


@pytest.mark.parametrize(
    ("answer", "presence"),
    [
        (failure(404, "NotFound"), KeysPresence.ABSENT),
        (stored({"metadata": {"name": "x", "labels": {}}}), KeysPresence.FOREIGN),
    ],
)
async def test_access_keys_that_are_absent_or_foreign_are_read_until_they_are_the_apps(
    process: Process, script: Script, answer: Any, presence: KeysPresence
) -> None:
    cache(process, APPS, given.app_manifest())
    script.on("GET", KEYS_PATH, answer, stored(secret(), 41))
    assert (await observe(process)).secrets.access_keys.presence is presence
    assert (await observe(process)).secrets.access_keys.presence is KeysPresence.PRESENT


async def test_public_app_needs_no_keys(process: Process, script: Script) -> None:
    cache(process, APPS, given.app_manifest(given.public()))
    assert (await observe(process)).secrets.access_keys.presence is KeysPresence.PRESENT
    assert script.sent == []


async def test_closed_rows_that_an_open_one_or_the_status_names_are_read(process: Process, script: Script) -> None:
    cache(
        process,
        APPS,
        given.app_manifest(given.with_status(live={"row": "live", "sequence": 2, "workflowVersion": "v1", "runtime": "1.0.0"})),
    )
    cache(process, ROWS, given.row_manifest("new", given.asking(restores="old"), given.numbered(9)))
    script.on("GET", at(ROWS), listed())
    script.on("GET", at(ROWS, "live"), stored(given.row_manifest("live", given.live(2))))
    script.on("GET", at(ROWS, "old"), failure(404, "NotFound"))
    policies(script)
    assert {row.name for row in (await observe(process)).rows.observed} == {"new", "live"}


async def test_history_is_read_once_when_a_row_is_open_and_kept_up(process: Process, script: Script) -> None:
    cache(process, APPS, given.app_manifest())
    assert not (await observe(process)).ledger.known
    doomed = given.row_manifest("before", given.with_meta(ownerReferences=[{"kind": "App", "uid": "another"}]))
    script.on("GET", at(ROWS), listed(stored(given.row_manifest("old", given.superseded(1))), stored(doomed)))
    policies(script)
    cache(process, ROWS, given.row_manifest("new"))
    first = (await observe(process)).ledger
    assert (first.known, sorted(row.name for row in first.all())) == (True, ["new", "old"])
    cache(process, ROWS, given.row_manifest("newer"))
    assert sorted(row.name for row in (await observe(process)).ledger.all()) == ["new", "newer", "old"]
    assert reads(script).count(at(ROWS)) == 1
    assert [sent.query["fieldSelector"] for sent in script.sent if sent.path == at(ROWS)] == ["spec.app=chat"]


async def test_history_of_an_app_that_was_deleted_and_created_again_is_read_anew(process: Process, script: Script) -> None:
    script.on("GET", at(ROWS), listed(stored(given.row_manifest("old", given.superseded(1)))), listed())
    deployed = given.with_deploy(workflowVersion="v1")
    cache(process, APPS, given.app_manifest(deployed))
    assert sorted(row.name for row in (await observe(process)).ledger.all()) == ["old"]
    cache(process, APPS, given.app_manifest(deployed, given.with_meta(uid="another", resourceVersion="2")))
    assert sorted(row.name for row in (await observe(process)).ledger.all()) == []


def policies(script: Script, *created: str) -> None:
    """Sets when the policy that stamps authors and its binding were created; without times, both are missing."""
    for number, policy in enumerate(POLICIES):
        path = policy.path("", names.AUTHOR_POLICY)
        if created:
            script.on("GET", path, {"metadata": {"name": names.AUTHOR_POLICY, "creationTimestamp": created[number]}})
        else:
            script.on("GET", path, failure(404, "NotFound"))


async def test_authors_are_stamped_since_policy_and_binding_exist(process: Process, script: Script) -> None:
    cache(process, APPS, given.app_manifest())
    cache(process, ROWS, given.row_manifest("new"))
    script.on("GET", at(ROWS), listed())
    policies(script, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
    assert (await observe(process)).sources.authors_stamped_since == parse_time("2026-01-02T00:00:00Z")
    policies(script)
    assert (await observe(process)).sources.authors_stamped_since is not None, "for a minute it is not read again"
    process.clock.later(61)
    assert (await observe(process)).sources.authors_stamped_since is None


async def test_source_of_a_promotion_is_read_where_it_may_be(process: Process, script: Script) -> None:
    cache(process, APPS, given.app_manifest())
    for name, source in (("yes", "a"), ("gone", "b"), ("denied", "c")):
        promoted = {"namespace": "test", "app": "chat", "row": source, "hash": given.UNSEALED}
        cache(process, ROWS, given.row_manifest(name, given.asking(promotedFrom=promoted)))
    script.on("GET", at(ROWS), listed())
    policies(script)
    script.on("GET", ROWS.path("test", "a"), stored(given.row_manifest("a", given.live(1))))
    script.on("GET", ROWS.path("test", "b"), failure(404, "NotFound")).on("GET", ROWS.path("test", "c"), failure(403, "Forbidden"))
    elsewhere = {"namespace": "test", "app": "chat", "row": "a", "hash": given.UNSEALED, "cluster": "eu-staging"}
    cache(process, ROWS, given.row_manifest("elsewhere", given.asking(promotedFrom=elsewhere)))
    assert set((await observe(process)).sources.promotions) == {"yes"}, "what has the name here is another row"


# Problems.


def hindered(process: Process, reason: ProblemReason, kind: str = "Service") -> tuple[str, str]:
    """Notes that a child could not be created just now."""
    name = (kind, given.NAME)
    process.states.of(KEY).keep_problem(name, ChildProblem(reason, "said", "digest"), process.clock())
    return name


@pytest.mark.parametrize("reason", [ProblemReason.DENIED, ProblemReason.REFUSED])
async def test_a_refused_child_stays_reported_and_is_retried_with_backoff_for_ever(process: Process, reason: ProblemReason) -> None:
    """A webhook, a quota or a right may have changed since."""
    cache(process, APPS, given.app_manifest())
    waited: list[float] = []
    for _ in range(80):
        name = hindered(process, reason)
        problem = (await observe(process)).children.problems[name]
        assert problem.retry_in is not None
        assert problem.holds_back("digest")
        assert not problem.holds_back("another"), "a manifest that was edited is sent at once"
        waited.append(problem.retry_in)
        process.clock.later(problem.retry_in)
        assert not (await observe(process)).children.problems[name].holds_back("digest")
    assert waited[0] == 1
    assert all(pause <= 1 + sum(waited[:number]) / 9 for number, pause in enumerate(waited)), "what is over is found out soon after"
    assert waited[-3:] == [300, 300, 300]


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        (failure(404, "NotFound"), False),
        (stored(child(CHAT, SERVICE, given.NAME)), False),
        (stored(child(given.an_app(given.with_meta(uid="former")), SERVICE, given.NAME)), False),
        (stored({"metadata": {"name": given.NAME}}), True),
    ],
)
async def test_name_that_was_taken_is_read_again_after_a_while(process: Process, script: Script, answer: Any, stays: bool) -> None:
    cache(process, APPS, given.app_manifest())
    taken = {hindered(process, ProblemReason.TAKEN, kind) for kind in ("Service", "NetworkPolicy")}
    for kind, name in taken:
        script.on("GET", at(BY_KIND[kind], name), answer)
    process.clock.later(14)
    assert taken & set((await observe(process)).children.problems) == (taken if stays else set())


# Keys that variables name.


def variable(name: str, key: str) -> Manifest:
    return {"name": key, "secret": {"name": name, "key": key}}


async def test_keys_that_variables_name_are_read_while_a_row_is_to_be_deployed(process: Process, script: Script) -> None:
    cache(process, APPS, given.app_manifest(given.with_variables(variable("tokens", "OPENAI"), variable("hidden", "X"))))
    cache(process, ROWS, given.row_manifest("new", given.progressing(1)))
    script.on(
        "GET", at(SECRETS, "tokens"), stored({"metadata": {"name": "tokens"}, "data": {"OPENAI": "c2VjcmV0"}}), failure(404, "NotFound")
    )
    script.on("GET", at(SECRETS, "hidden"), failure(403, "Forbidden"))
    assert dict((await observe(process)).secrets.named) == {("Secret", "tokens"): frozenset({"OPENAI"})}
    assert dict((await observe(process)).secrets.named) == {("Secret", "tokens"): frozenset({"OPENAI"})}, "for 2 s they are cached"
    process.clock.later(2)
    assert dict((await observe(process)).secrets.named) == {("Secret", "tokens"): None}


async def test_kind_that_may_not_be_listed_is_a_feature_that_is_off_unless_nothing_goes_without_it(
    process: Process, script: Script
) -> None:
    process.cache.update(APPS, stored(given.app_manifest(given.with_spec(access={"type": "public"}))))
    process.denials.note(BY_KIND["PodDisruptionBudget"], "", "no right")
    process.denials.note(BY_KIND["CronJob"], "another", "no right")
    assert (await process.observer.observe((given.NAMESPACE, given.NAME))).children.denied == {"PodDisruptionBudget": "no right"}
    process.denials.note(PODS, "", "no right")
    with pytest.raises(errors.Denied, match="cannot list pods"):
        await process.observer.observe((given.NAMESPACE, given.NAME))


async def test_row_that_cannot_be_read_holds_up_what_restores_it_and_nothing_else(process: Process, script: Script) -> None:
    """Otherwise a frozen App could not even be deployed again."""
    cache(process, APPS, given.app_manifest())
    cache(process, ROWS, given.row_manifest("c", given.asking(restores="a")), given.row_manifest("d"))
    script.on("GET", at(ROWS), listed())
    script.on("GET", at(ROWS, "a"), stored(given.row_manifest("a", given.asking(config=NEWER))))
    policies(script)
    snapshot = await observe(process)
    assert not snapshot.unreadable
    assert list(snapshot.sources.unknown) == [("Deployment", "c")]


async def test_problems_of_children_that_are_no_longer_desired_are_dropped(process: Process, script: Script) -> None:
    """Users choose these names, such as those of triggers, and may change them again and again."""
    cache(process, APPS, given.app_manifest(given.with_spec(access={"type": "public"})))
    state = process.states.of(("demo", given.NAME))
    for number in range(1000):
        state.keep_problem(("CronJob", f"t{number}"), ChildProblem(ProblemReason.REFUSED, "odd"), process.clock())
        state.keep_row_problem(f"r{number}", ChildProblem(ProblemReason.REFUSED, "odd"), process.clock())
    process.clock.later(601)
    snapshot = await observe(process)
    assert not snapshot.children.problems
    assert not snapshot.rows.problems


async def test_releases_that_may_not_be_listed_do_not_make_a_flow_missing(process: Process, script: Script) -> None:
    """A deploy whose flow is in no ConfigMap would otherwise fail at its deadline because the flow is missing."""
    cache(process, APPS, given.app_manifest(given.public()))
    cache(process, ROWS, given.row_manifest("a", given.progressing(1)))
    script.on("GET", at(ROWS), listed())
    process.denials.note(VERSIONS, "", "no right")
    with pytest.raises(errors.Denied, match="workflowversions"):
        await observe(process)
    process.cache.delete(ROWS, stored(given.row_manifest("a"), 90))
    cache(process, ROWS, given.row_manifest("b", given.live(1)))
    assert [row.name for row in (await observe(process)).rows.observed] == ["b"], "what serves needs no release"


async def test_very_many_releases_of_a_workflow_keep_no_other_app_waiting(process: Process) -> None:
    cache(process, APPS, given.app_manifest(given.public()))
    cache(process, VERSIONS, *(given.version_manifest(f"v{number}") for number in range(1, 3001)))
    turns, ended = 0, False

    async def another() -> None:
        nonlocal turns
        while not ended:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(another())
    snapshot = await observe(process)
    ended = True
    await beside
    assert len(snapshot.sources.versions) == 3000
    assert turns > 5


def see(process: Process, *manifests: Manifest) -> None:
    """Reports these slices as the watch of EndpointSlices does."""
    for made in manifests:
        process.informers.on_watch_event(SLICES, "ADDED", stored(made))


async def test_slices_of_the_apps_service_and_the_gates_are_observed_and_no_other_ones(process: Process) -> None:
    cache(process, APPS, given.app_manifest(given.public()))
    see(process, slices.service_slice(slices.endpoint("a"), slices.endpoint("b", ready=False)), slices.service_slice(app="other", name="o"))
    see(process, slices.gate_slice(slices.endpoint("gate-a"), port=20007), slices.gate_slice(app="other", port=20008))
    snapshot = await observe(process)
    assert [(each.name, each.is_gates, each.port) for each in snapshot.endpoints.slices] == [
        ("chat-gate", True, 20007),
        ("chat-x7z2p", False, 8080),
    ]
    assert [(each.pod, each.ready) for each in snapshot.endpoints.slices[1].endpoints] == [("a", True), ("b", False)]
    assert snapshot.endpoints.gate_ports == {20008}
    assert not snapshot.children.observed, "they are no children that are compared with a manifest"


async def test_slice_of_a_deleted_app_of_the_same_name_is_not_observed(process: Process) -> None:
    cache(process, APPS, given.app_manifest(given.public()))
    before = slices.gate_slice()
    before["metadata"]["ownerReferences"] = [{"kind": "App", "name": given.NAME, "uid": "of-before"}]
    see(process, before)
    assert (await observe(process)).endpoints.slices == ()


async def test_gate_is_absent_down_ready_or_unknown(process: Process) -> None:
    cache(process, APPS, given.app_manifest(given.public()))
    assert (await observe(process)).endpoints.gate.state is GateState.ABSENT
    see(process, slices.slice_of_gate(slices.endpoint("gate-a", ready=False)))
    assert (await observe(process)).endpoints.gate.state is GateState.DOWN
    process.informers.on_watch_event(SLICES, "MODIFIED", stored(slices.slice_of_gate(slices.endpoint("gate-a")), 2))
    assert ((await observe(process)).endpoints.gate.state, (await observe(process)).endpoints.gate.pods) == (
        GateState.READY,
        frozenset({"uid-of-gate-a"}),
    )
    process.denials.note(SLICES, names.GATE_NAMESPACE, "endpointslices is forbidden")
    assert (await observe(process)).endpoints.gate.state is GateState.UNKNOWN, "what was seen once may be gone"

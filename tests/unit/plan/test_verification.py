"""Verification before live: callers reach a version's pods only after they have passed, whatever happens and whenever the operator stops."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.base import JOB, SECRET, SERVICE, WORKLOAD
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.observed.verification import EvaluationPod
from dynamiq_operator.plan.operations import ApplyChild, CreateChild, VerifyRow
from tests.support import factories as given
from tests.support.world import VERIFICATION_KEY, World, a_world, serving
from tests.unit.support.switching import edit_app, of, selected

CASE: Manifest = {"name": "refund", "input": '{"q": "how much?"}', "expect": {"contains": "42"}}
ONE: Manifest = {"cases": [CASE]}
EVALUATION: Manifest = {"image": "registry.test/judge:1", "args": ["--least=0.9", "$(HOME)"]}
NOBODY = f"{given.NAME}-{names.UNVERIFIED}"
"""The selector value that matches no pod."""


def verifying(verify: Manifest, **rollout: Any) -> given.Modifier:
    return given.with_spec(rollout={"strategy": "Switch", "verify": verify, **rollout})


def verified_app(verify: Manifest | None = None) -> World:
    """Returns a world whose row `a` is live with v1. Later rows are verified."""
    world = serving("v1", given.with_spec(rollout={"strategy": "Switch"}))
    edit_app(world, verifying(verify or ONE))
    return world


def passes(world: World, calls: int = 1) -> None:
    """Lets the verified pods answer as expected."""
    world.answer(known=True, done=True, passed=1, calls=calls)
    world.run()


def succeeded(world: World, row: str) -> tuple[str, str]:
    """Returns reason and message of a row's condition."""
    (found,) = world.rows[row].status.conditions
    return found.reason, found.message


def verified_workloads(world: World) -> set[str]:
    """Returns the workloads of the pods that accept the key of a verification."""
    return {world._workload_of(pod) for pod in world.pods if ObservedPod.of(pod).verification == VERIFICATION_KEY}


def evaluation(world: World) -> str:
    """Returns the name of the Job that evaluates new pods."""
    (name,) = (name for (_, kind, name) in world.objects if kind == JOB.kind)
    return name


def reached_unverified(world: World) -> list[str]:
    """Returns a list that gets each pod that callers reach before its row has passed, from now on."""
    found: list[str] = []

    def look() -> None:
        if (SERVICE.api_version, SERVICE.kind, given.NAME) not in world.objects:
            return
        for pod in world.pods:
            rows = [row for row in world.rows.values() if row.pinned and of(world, row.name) == world._workload_of(pod)]
            passed = any(row.spec.verified or (row.pinned and row.pinned.verify is None) for row in rows)
            if not pod["metadata"]["labels"].get(names.PINS_LABEL):
                continue  # of strategy Rolling, which knows no verification
            if world.selector.items() <= pod["metadata"]["labels"].items() and ObservedPod.of(pod).ready and not passed:
                found.append(pod["metadata"]["name"])

    world.checks.append(look)
    return found


def test_callers_stay_until_the_new_pods_have_passed_and_go_on_at_once() -> None:
    world = verified_app()
    reached = reached_unverified(world)
    world.deploy("b", "v2")
    world.run()
    assert (selected(world), world.phases["b"]) == (of(world, "a"), "#2 Progressing")
    assert succeeded(world, "b") == ("Verifying", "0 of 1 cases passed")
    waits = world.rows["b"].status.waits
    assert waits is not None
    assert waits.reason == "Verifying"
    assert world.condition("Progressing") == ("True", "Verifying")
    assert world.condition("Ready")[0] == "True"
    assert verified_workloads(world) == {of(world, "b")}
    passes(world, calls=50)
    assert (selected(world), world.phases) == (of(world, "b"), {"a": "#1 Superseded", "b": "#2 Live"})
    verified = world.rows["b"].spec.verified
    assert verified is not None
    assert (verified.cases, verified.calls, verified.score) == (1, 50, None)
    assert verified_workloads(world) == set(), "its key is of no use any more"
    assert world.rows["b"].status.waits is None
    assert world.said() == ["Progressing", "Verifying", "Verified", "Live", "Superseded"]
    assert not reached


def test_a_version_that_fails_a_case_ends_so_and_what_served_serves_on() -> None:
    world = verified_app()
    reached = reached_unverified(world)
    world.deploy("b", "v2")
    world.run()
    name = of(world, "b")
    world.answer(known=True, failure='case refund failed: input {"q": "how much?"}; expected 42; got 41')
    world.run()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert (outcome.result, outcome.reason) == ("Failed", 'case refund failed: input {"q": "how much?"}; expected 42; got 41')
    assert (selected(world), world.phases["a"]) == (of(world, "a"), "#1 Live")
    assert name not in world.workloads, "its pods are gone"
    assert "VerificationFailed" in world.said()
    assert not reached


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        ({"known": True, "passed": 0}, "0 of 1 cases had passed"),
        ({"problem": "pod p gave no answer: TimeoutError"}, "pod p gave no answer: TimeoutError"),
    ],
)
def test_a_smoke_test_that_takes_too_long_fails_and_names_the_missing_part(answered: dict[str, Any], said: str) -> None:
    world = verified_app({**ONE, "timeoutSeconds": 60})
    world.deploy("b", "v2")
    world.run()
    world.answer(**answered)
    world.later(59)
    world.run()
    assert world.phases["b"] == "#2 Progressing"
    world.later(1)
    world.run()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert outcome.reason == f"its verification took longer than 60 s: {said}"


def test_the_first_version_of_an_app_is_verified_before_the_service_selects_anything() -> None:
    world = a_world(verifying(ONE))
    reached = reached_unverified(world)
    world.deploy("a", "v1")
    world.run()
    assert (selected(world), world.phases, verified_workloads(world)) == (NOBODY, {"a": "#1 Progressing"}, {of(world, "a")})
    world.answer(failure="case refund failed")
    world.run()
    assert (selected(world), world.phases, world.workloads) == (NOBODY, {"a": "#1 Failed"}, {})
    world.deploy("b", "v2")
    world.run()
    passes(world)
    assert (selected(world), world.phases["b"]) == (of(world, "b"), "#2 Live")
    assert not reached


def test_after_a_failed_first_version_strategy_rolling_reaches_none_of_its_pods() -> None:
    world = a_world(verifying(ONE))
    reached = reached_unverified(world)
    world.deploy("a", "v1")
    world.run()
    world.answer(failure="case refund failed")
    edit_app(world, given.with_spec(rollout=None))
    world.deploy("b", "v2")
    world.run()
    assert (selected(world), world.phases["b"]) == (given.NAME, "#2 Live")
    assert not reached


def test_a_rollback_waits_for_no_verification() -> None:
    world = verified_app()
    world.deploy("b", "v2")
    world.run()
    passes(world)
    world.deploy("c", "v3")
    world.run()
    assert verified_workloads(world) == {of(world, "c")}
    world.deploy("d", restores="a")
    world.run()
    assert (selected(world), verified_workloads(world)) == (of(world, "a"), set())
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Superseded", "c": "#3 Superseded", "d": "#4 Live"}
    assert of(world, "c") not in world.workloads


def test_a_rollback_is_smoke_tested_if_it_is_configured() -> None:
    world = verified_app({**ONE, "rollbacks": True})
    world.deploy("b", "v2")
    world.run()
    passes(world)
    world.deploy("c", restores="a")
    world.run()
    assert (selected(world), verified_workloads(world), succeeded(world, "c")[0]) == (of(world, "b"), {of(world, "a")}, "Verifying")
    passes(world)
    assert (selected(world), world.phases["c"]) == (of(world, "a"), "#3 Live")


@pytest.mark.parametrize("stops_after", range(14))
def test_wherever_the_operator_stops_no_pod_is_reached_before_it_has_passed(stops_after: int) -> None:
    world = verified_app()
    reached = reached_unverified(world)
    world.deploy("b", "v2")
    done = 0
    for _ in range(40):
        plan = world.plan().operations
        if not plan and world.phases["b"].endswith("Live"):
            break
        left = stops_after - done if done <= stops_after else len(plan)
        world.perform(plan[:left])
        done += min(left, len(plan)) + (left < len(plan))
        if left < len(plan):
            world.verification = None  # another operator asks again
        if not plan:
            world.roll()
            world.plan()
            if world.verification is not None:
                world.answer(known=True, done=True, passed=1, calls=1)
    assert (selected(world), world.phases["b"][2:]) == (of(world, "b"), " Live")
    assert sum(isinstance(each, VerifyRow) for each in world.written) == 1
    assert not reached


def test_a_service_that_somebody_leads_to_pods_before_they_have_passed_is_repaired() -> None:
    world = verified_app()
    world.deploy("b", "v2")
    world.run()
    label = of(world, "b").removeprefix(f"{given.NAME}-")
    service = world.child(SERVICE.kind)
    service["spec"]["selector"][names.PINS_LABEL] = label
    world.edited(service)
    world.run()
    assert (selected(world), world.phases["b"], verified_workloads(world)) == (of(world, "a"), "#2 Progressing", {of(world, "b")})
    assert "Repaired" in world.said("App")


def test_other_pods_are_smoke_tested_again() -> None:
    world = verified_app()
    world.deploy("b", "v2")
    world.run()
    world.answer(known=True, done=True, passed=1, calls=1)
    (pod,) = (pod for pod in world.pods if world._workload_of(pod) == of(world, "b"))
    pod["metadata"] = {**pod["metadata"], "uid": "another"}
    world.settle()
    assert (selected(world), world.rows["b"].spec.verified) == (of(world, "a"), None)
    passes(world)
    assert selected(world) == of(world, "b")


def test_one_that_has_begun_goes_on_though_its_pods_are_unready_for_a_moment() -> None:
    world = verified_app()
    world.deploy("b", "v2")
    world.run()
    world.answer(known=True, passed=0, calls=3)
    for pod in world.pods:
        if world._workload_of(pod) == of(world, "b"):
            pod["status"]["conditions"][1]["status"] = "False"
    world.settle()
    assert world.verification is not None
    assert world.verification.calls == 3
    world.answer(done=True, passed=1)
    world.settle()
    assert (selected(world), world.phases["b"]) == (of(world, "a"), "#2 Progressing"), "it has passed, and its pods are not ready"
    world.run()
    assert selected(world) == of(world, "b")


def test_another_verification_restarts_nothing() -> None:
    world = verified_app()
    world.run()
    world.written.clear()
    edit_app(world, verifying({"cases": [{**CASE, "repeat": 9}], "timeoutSeconds": 77}))
    world.run()
    edit_app(world, given.with_spec(rollout={"strategy": "Switch"}))
    world.run()
    changed = [each.manifest["kind"] for each in world.written if isinstance(each, (ApplyChild, CreateChild))]
    assert WORKLOAD.kind not in changed


def test_a_row_waits_until_its_app_has_come_to_strategy_switch() -> None:
    """With strategy Rolling each new pod would be reached at once."""
    world = serving("v1")
    reached = reached_unverified(world)
    edit_app(world, verifying(ONE))
    world.deploy("b", "v2")
    world.settle()
    assert (world.rows["b"].pinned, succeeded(world, "b")[0]) == (None, "Waiting")
    for _ in range(9):
        world.run()
    assert verified_workloads(world) == {of(world, "b")}
    passes(world)
    assert (selected(world), world.phases["b"]) == (of(world, "b"), "#2 Live")
    assert not reached


def test_a_job_evaluates_the_new_pods_once_they_know_its_key_and_have_passed_the_cases() -> None:
    world = verified_app({**ONE, "job": EVALUATION})
    world.deploy("b", "v2")
    world.run()
    job = world.objects[(JOB.api_version, JOB.kind, evaluation(world))]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert (job["spec"]["suspend"], env["DYNAMIQ_URL"], container["args"]) == (True, "http://10.0.0.1:8080/", ["--least=0.9", "$$(HOME)"])
    secret = world.objects[(SECRET.api_version, SECRET.kind, evaluation(world))]
    assert [each["uid"] for each in secret["metadata"]["ownerReferences"]] == [job["metadata"]["uid"]]
    assert (verified_workloads(world), job["spec"]["suspend"]) == ({of(world, "b")}, True)
    world.answer(known=True, done=True, passed=1, calls=1)
    world.run()
    assert (job["spec"]["suspend"], succeeded(world, "b")[1]) == (False, "1 of 1 cases passed, and its evaluation is under way")
    world.evaluators[evaluation(world)] = EvaluationPod(0, 'done\n{"score": 0.93, "message": "93 of 100"}')
    world.end_job(evaluation(world))
    world.run()
    verified = world.rows["b"].spec.verified
    assert verified is not None
    assert (selected(world), verified.score, verified.message) == (of(world, "b"), 0.93, "93 of 100")


def evaluated(world: World, pod: EvaluationPod | None, **ended: Any) -> str:
    """Lets the evaluation of a version end like this, and returns why the version failed."""
    world.deploy("b", "v2")
    world.run()
    world.answer(known=True)
    world.run()
    if pod is not None:
        world.evaluators[evaluation(world)] = pod
    if ended:
        world.end_job(evaluation(world), **ended)
        world.run()
        world.later(0 if pod is not None else 5)
    else:
        world.later(300)
    world.run()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert selected(world) == of(world, "a")
    return outcome.reason


@pytest.mark.parametrize(
    ("pod", "ended", "said"),
    [
        (
            EvaluationPod(3, '{"score": 0.4, "message": "40 of 100"}'),
            {"reason": "BackoffLimitExceeded"},
            "exit code 3, score 0.4: 40 of 100",
        ),
        (EvaluationPod(1, "Traceback\nKeyError:\x1b[31m 'x'\n"), {"reason": "BackoffLimitExceeded"}, "exit code 1: KeyError: [31m 'x'"),
        (None, {"reason": "DeadlineExceeded"}, "DeadlineExceeded"),
    ],
)
def test_a_failed_evaluation_has_its_exit_code_and_its_last_message(pod: EvaluationPod | None, ended: Any, said: str) -> None:
    assert evaluated(only_evaluated(), pod, **ended) == f"its evaluation failed with {said}"


def test_a_job_that_ends_before_its_pod_waits_for_the_exit_code_of_the_evaluation() -> None:
    world = only_evaluated()
    world.deploy("b", "v2")
    world.run()
    world.answer(known=True)
    world.run()
    world.end_job(evaluation(world), reason="BackoffLimitExceeded")
    world.run()
    assert world.phases["b"] == "#2 Progressing"
    assert 0 < (world.plan().requeue_after or 0) <= 5
    world.evaluators[evaluation(world)] = EvaluationPod(3, "too bad")
    world.run()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert outcome.reason == "its evaluation failed with exit code 3: too bad"


def test_an_evaluation_that_never_begins_reports_the_cause() -> None:
    waits = EvaluationPod(None, "", "ImagePullBackOff: Back-off pulling image")
    reason = evaluated(only_evaluated(), waits)
    assert reason.startswith("its verification took longer than 300 s: its evaluation, Job chat-verification-")
    assert reason.endswith("had not ended: it waits for ImagePullBackOff: Back-off pulling image")
    world = only_evaluated()
    world.deploy("b", "v2")
    world.run()
    world.later(300)
    world.run()
    assert world.rows["b"].outcome.reason.endswith("its evaluation could not begin")  # type: ignore[union-attr]


def test_the_job_of_a_version_that_was_overtaken_is_deleted() -> None:
    world = only_evaluated()
    world.deploy("b", "v2")
    world.run()
    world.answer(known=True)
    world.run()
    assert evaluation(world)
    world.deploy("c", restores="a")
    world.run()
    assert not [name for (_, kind, name) in world.objects if kind == JOB.kind]
    assert selected(world) == of(world, "a")


def forged(world: World, **meta: Any) -> Manifest:
    """Replaces the evaluation by a successful Job of its name and labels that tests nothing."""
    key = (JOB.api_version, JOB.kind, evaluation(world))
    made = world.objects.pop(key)["metadata"]
    world._collect(made["uid"], keep=False)
    job = {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {**{part: made[part] for part in ("name", "namespace", "labels")}, **meta},
        "spec": {"suspend": False, "template": {"spec": {"containers": [{"name": "evaluation", "image": "busybox"}]}}},
        "status": {
            "completionTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    }
    world.add(job)
    return world.objects[key]


@pytest.mark.parametrize("is_owned", [False, True])
def test_a_job_that_the_operator_did_not_make_verifies_nothing(is_owned: bool) -> None:
    """Anybody who may create Jobs chooses name, labels and owner; only the uid is the API server's."""
    world = only_evaluated()
    world.deploy("b", "v2")
    world.run()
    owners = world.objects[(JOB.api_version, JOB.kind, evaluation(world))]["metadata"]["ownerReferences"]
    other = forged(world, **({"ownerReferences": owners} if is_owned else {}))
    world.answer(known=True)
    world.run()
    assert (selected(world), world.rows["b"].spec.verified, world.phases["b"]) == (of(world, "a"), None, "#2 Progressing")
    there = world.objects[(JOB.api_version, JOB.kind, evaluation(world))]
    assert (there is not other) == is_owned, "one that says it is the App's is made anew; another is nobody's to delete"
    world.later(300)
    world.run()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    if not is_owned:
        assert outcome.reason.endswith(": it is not the one that the operator created")


def test_an_operator_that_starts_anew_makes_the_job_anew() -> None:
    world = only_evaluated()
    world.deploy("b", "v2")
    world.run()
    before = world.objects[(JOB.api_version, JOB.kind, evaluation(world))]["metadata"]["uid"]
    world.verification = None
    world.run()
    assert world.objects[(JOB.api_version, JOB.kind, evaluation(world))]["metadata"]["uid"] != before
    world.answer(known=True)
    world.run()
    world.evaluators[evaluation(world)] = EvaluationPod(0, "")
    world.end_job(evaluation(world))
    world.run()
    assert selected(world) == of(world, "b")


def test_the_time_is_over_whichever_operator_asks() -> None:
    world = verified_app({**ONE, "timeoutSeconds": 60})
    world.deploy("b", "v2")
    world.run()
    for _ in range(3):
        world.later(20)
        world.verification = None  # another operator
        world.run()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert outcome.reason.startswith("its verification took longer than 60 s")


def test_time_in_which_others_had_all_the_slots_does_not_count() -> None:
    world = verified_app({**ONE, "timeoutSeconds": 60})
    world.deploy("b", "v2")
    world.run()
    world.answer(known=True, waits_since=world.now)
    world.later(600)
    world.run()
    assert world.phases["b"] == "#2 Progressing"
    world.answer(waits_since=None, waited=600.0)
    world.later(59)
    world.run()
    assert world.phases["b"] == "#2 Progressing"
    world.later(1)
    world.run()
    assert world.phases["b"] == "#2 Failed"


def only_evaluated() -> World:
    return verified_app({"job": EVALUATION})

"""Asserts that no call of an App fails, and the right version answers each, while it is called by its hostname through the gateway.

Each test has one event: a deploy, a rollback, strategy Switch, verification by a Job, a killed operator, a revert, a promotion, or sleep.
The operator, the policies and the gate are as they are installed. tests/load repeats each many times, in any order.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from dynamiq_operator.actions.promote import PromotionRequest, perform_promotion, plan_promotion
from dynamiq_operator.model import names
from local import images
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.api import ActionClient, Manifest
from tests.support.cluster import REPOSITORY
from tests.support.flows import a_flow
from tests.support.gateway import answer, until_answer
from tests.support.load.callers import Timeline, calling
from tests.support.load.operated import Operated, operated
from tests.support.load.sleepers import call_at_once, host_of, is_asleep, patient, sleeping, until_asleep, wakes
from tests.support.load.switches import SHARE_OF_CPU, serving, until_alone, until_one_workload
from tests.support.load.watched import Watched, watching
from tests.support.stage import Stage, restarts, stage, uids
from tests.support.waiting import eventually

APP, SLEEPER = "shop", "nap"
VERSIONS = ("v1", "v2")
BAD, PROMOTED, VERIFIED, UNVERIFIED = "v3", "v4", "v5", "v6"
RATE = 10
"""Calls a second on new connections, and as many on kept ones."""
RATE_BY_SERVICE = 4
"""Calls a second by the Service's address, as other pods call: on new connections, since a kept one may end with its pod."""
COUNTED = 30
"""Calls after a change, all of which the new version must answer."""
WAKES = 1
SELDOM = 1 / 15
"""Calls a second of an App that sleeps after 5 s without one: some arrive exactly when it falls asleep."""
HELD_FOR = 120.0  # seconds
CHANGED_WITHIN = 240.0
FAILS_WHERE_ASKED = f"def run(inputs):\n    if inputs.get('bad'):\n        raise ValueError('a bad version')\n    return {BAD!r}\n"
THANKS_WHERE_ASKED = f"def run(inputs):\n    asked = inputs.get('question')\n    return asked + ': thank you' if asked else {VERIFIED!r}\n"
NEVER_ENDS = {
    "cases": [{"name": "any", "input": "{}", "expect": {"status": 200}}],
    "job": {"image": images.RUNTIME.reference, "command": ["python3", "-c", "import signal; signal.pause()"], "args": None},
}
REVERTS = {"seconds": 300, "maxFailedPercent": 20, "minRuns": 20}


@dataclass(frozen=True)
class Shop:
    """An App that is called, and the namespace from which versions are promoted."""

    made: Operated
    staging: Stage
    watched: Watched

    @property
    def on(self) -> Stage:
        return self.made.on

    @property
    def live(self) -> Manifest:
        """Returns the live row in the App's status."""
        live_status: Manifest = self.on.get("App", APP)["status"]["live"]
        return live_status

    @property
    def other(self) -> str:
        """Returns the one of the two versions that is not live."""
        return next(version for version in VERSIONS if version != self.live["workflowVersion"])

    def row_of(self, version: str) -> str:
        """Returns the newest row of a version that was live."""
        good = [row for row in self.on.rows(APP) if row["spec"]["outcome"]["result"] == "Succeeded"]
        return str([row["metadata"]["name"] for row in good if row["spec"]["pinned"]["workflowVersion"] == version][-1])

    @contextlib.contextmanager
    def called(self) -> Iterator[Timeline]:
        """Calls the App while the block runs, which records the allowed versions; asserts that no call fails, and no other version answers."""
        on, timeline = self.on, Timeline.of(self.live["workflowVersion"])
        host, key, service = host_of(on, APP), on.key(APP), (on.get("Service", APP)["spec"]["clusterIP"], 80)
        with (
            calling(on.cluster, host, key, new=RATE, kept=RATE) as answers,
            calling(on.cluster, host, key, new=RATE_BY_SERVICE, at=service) as by_service,
        ):
            yield timeline
        for each in (answers, by_service):
            print(f"\n{each}\n{dict(each.by_text)}")
            assert not each.failed, f"{each.why()}\n{self.watched.story(each.failed[0].sent)}"
            assert not timeline.wrong(each), (timeline.wrong(each)[:5], timeline.states)
        assert restarts(on.pods(APP)) == 0
        self.until_answers_alone(self.until_told()["workflowVersion"])

    def until_told(self) -> Manifest:
        """Returns the live row in the App's status, once it is the only row in phase Live: a row is updated before its App."""

        def told() -> Manifest | None:
            live = [row["metadata"]["name"] for row in self.on.rows(APP) if row["status"]["phase"] == "Live"]
            status_live = self.live
            return status_live if live == [status_live["row"]] else None

        return eventually("the App says which row is live", told)

    def until_answers_alone(self, version: str) -> None:
        """Waits until only this version answers: Envoy's threads switch one after another."""
        on, host, key = self.on, host_of(self.on, APP), self.on.key(APP)

        def answers() -> bool:
            with calling(on.cluster, host, key, new=RATE, kept=RATE, count=COUNTED) as answers:
                pass
            assert not answers.failed, answers.why()
            return set(answers.by_text) == {answer(version)[1]}

        eventually(f"{COUNTED} calls are answered by {version} alone", answers)

    @contextlib.contextmanager
    def rolling_out(self, **fields: Manifest) -> Iterator[None]:
        """Sets these fields of `spec.rollout` while the block runs."""
        self.on.change("App", APP, spec={"rollout": fields})
        try:
            yield
        finally:
            self.on.change("App", APP, spec={"rollout": dict.fromkeys(fields)})

    def switch(self) -> None:
        """Gives the App strategy Switch, unless it has it."""
        if names.PINS_LABEL not in serving(self.on, APP):
            self.on.change("App", APP, spec={"rollout": {"strategy": "Switch"}})
            until_one_workload(self.on, APP, CHANGED_WITHIN, pinned=True)


@pytest.fixture(scope="module")
def shop(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("no-call-fails")
    with stage(cluster, "staging") as staging, operated(cluster, at, "no-call-fails", folder, staging) as prepared:
        for each, environment in ((staging, "staging"), (prepared.on, "production")):
            _label(each, staging.namespace, environment)
            each.release(*VERSIONS)
            each.runtime("fast", by_default=True, drainSeconds=5, resources=SHARE_OF_CPU)
        prepared.on.release(BAD, text=a_flow(FAILS_WHERE_ASKED, answer="answer"))
        prepared.on.release(VERIFIED, text=a_flow(THANKS_WHERE_ASKED, answer="answer"))
        prepared.on.release(UNVERIFIED)
        prepared.on.app(APP)
        for version in VERSIONS:
            prepared.on.live(APP, version)
        until_answer(host_of(prepared.on, APP), at, VERSIONS[-1], prepared.on.key(APP))
        with watching(prepared.on.api, prepared.on.namespace) as watched:
            yield Shop(prepared, staging, watched)


def _label(on: Stage, project: str, environment: str) -> None:
    named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": on.namespace}}
    labelled = on.api.merge(named, {"metadata": {"labels": {names.PROJECT_LABEL: project, names.ENVIRONMENT_LABEL: environment}}})
    assert labelled.ok, labelled.message


def test_a_deploy_fails_no_call(shop: Shop) -> None:
    version = shop.other
    with shop.called() as timeline:
        timeline.begin(version)
        shop.on.live(APP, version)
        until_alone(shop.on, APP)
        timeline.end(version)


def test_a_rollback_fails_no_call(shop: Shop) -> None:
    version = shop.other
    with shop.called() as timeline:
        timeline.begin(version)
        restored = shop.row_of(version)
        row = shop.on.live(APP, restores=restored)
        until_alone(shop.on, APP)
        timeline.end(version)
    assert shop.live["row"] == row
    assert shop.on.row(row)["spec"]["pinned"]["restores"] == {"row": restored, "sequence": shop.on.row(restored)["spec"]["sequence"]}
    *before, last = shop.on.rows(APP)
    assert last["status"]["phase"] == "Live"
    for each in before:
        shop.on.until(each["metadata"]["name"], "Superseded")


def test_a_switch_and_its_rollback_to_the_standby_fail_no_call(shop: Shop) -> None:
    on, before, after = shop.on, shop.live["workflowVersion"], shop.other
    with shop.called() as timeline:
        shop.switch()
        timeline.begin(after)
        on.live(APP, after)
        shop.until_answers_alone(after)
        pods = uids(on.pods(APP))
        on.live(APP, restores=shop.row_of(before))
        shop.until_answers_alone(before)
        assert uids(on.pods(APP)) <= pods, "a warm rollback starts no pod"


def test_a_deploy_that_a_job_verifies_and_one_whose_verification_is_overtaken_fail_no_call(shop: Shop) -> None:
    """The first verification is that of the example. The second does not end while a user rolls back: no caller gets its version."""
    shop.switch()
    on, before = shop.on, shop.live
    verify = yaml.safe_load((REPOSITORY / "examples/verification/app.yaml").read_text())["spec"]["rollout"]["verify"]
    verify["job"]["image"] = images.RUNTIME.reference
    with shop.rolling_out(verify=verify), shop.called() as timeline:
        timeline.begin(VERIFIED)
        verified = on.row(on.live(APP, VERIFIED))["spec"]["verified"]
        assert (verified["cases"], verified["score"]) == (2, 1)
        on.change("App", APP, spec={"rollout": {"verify": NEVER_ENDS}})
        row = on.deploy(APP, UNVERIFIED)
        eventually("its Job runs", lambda: any(job["status"].get("active") for job in _jobs(on)))
        on.live(APP, restores=before["row"])
        on.until(row, "Superseded")
        eventually("its Job goes with it", lambda: not any("completionTime" not in job["status"] for job in _jobs(on)))
    assert on.row(row)["spec"]["outcome"]["result"] == "Overtaken"


def _jobs(on: Stage) -> list[Manifest]:
    jobs: list[Manifest] = on.api.get("Job", "", on.namespace, api_version="batch/v1").body["items"]
    return jobs


def test_an_operator_that_is_killed_in_a_deploy_fails_no_call(shop: Shop) -> None:
    version, operator = shop.other, shop.made.operator
    with shop.called() as timeline:
        timeline.begin(version)
        row = shop.on.deploy(APP, version)
        eventually("the operator works on it", lambda: "pinned" in shop.on.row(row)["spec"])
        operator.kill()
        operator.start()
        shop.on.until(row, "Live")
    assert shop.live["row"] == row


def test_a_revert_fails_no_call_of_those_that_the_bad_version_answers(shop: Shop) -> None:
    """The version fails runs of other callers, and is reverted for that."""
    shop.switch()
    on, before, selected = shop.on, shop.live, serving(shop.on, APP).items()
    pods = [pod for pod in on.pods(APP) if selected <= pod["metadata"]["labels"].items()]
    with shop.rolling_out(revert=REVERTS), shop.called() as timeline:
        with calling(on.cluster, host_of(on, APP), on.key(APP), new=RATE, input='{"bad": true}') as bad:
            timeline.begin(BAD)
            row = on.deploy(APP, BAD)
            back = names.revert_row(APP, row)
            eventually("a row takes it back", lambda: on.find("Deployment", back))
            on.until(back, "Live")
        assert uids(pods) <= uids(on.pods(APP)), "what ran before serves on in the pods that it had"
    assert {call.status for call in bad.failed} == {500}, bad.why()
    assert on.row(back)["spec"]["pinned"]["workflowVersion"] == before["workflowVersion"]
    eventually("it is told of the App", lambda: "Reverted" in on.events(APP))


def test_a_promotion_fails_no_call(shop: Shop) -> None:
    on, staging, acting = shop.on, shop.staging, ActionClient(shop.on.api)
    staging.release(PROMOTED)
    staging.app(APP)
    staging.live(APP, PROMOTED)
    with shop.called() as timeline:
        timeline.begin(PROMOTED)
        row = perform_promotion(acting, plan_promotion(acting, PromotionRequest(staging.namespace, APP))).made["metadata"]["name"]
        on.until(row, "Live")
    assert on.row(row)["spec"]["pinned"]["promotedFrom"] == {"verified": True, "sequence": 1}
    assert shop.live["workflowVersion"] == PROMOTED


def test_sleep_and_wake_fail_no_call(shop: Shop) -> None:
    on, at = shop.on, shop.made.at
    sleeping(on, at, [SLEEPER], VERSIONS[0], patient())
    host, key, since = host_of(on, SLEEPER), on.key(SLEEPER), time.time()
    service = (on.get("Service", SLEEPER)["spec"]["clusterIP"], 80)
    assert is_asleep(on, SLEEPER)
    assert call_at_once(at, [(host, key)] * 5, HELD_FOR) == [answer(VERSIONS[0])] * 5
    with (
        calling(on.cluster, host, key, new=SELDOM, timeout=HELD_FOR) as answers,
        calling(on.cluster, host, key, new=SELDOM, at=service, timeout=HELD_FOR) as by_service,
    ):
        eventually("it falls asleep and is woken", lambda: wakes(shop.watched, SLEEPER, since) >= 1 + WAKES, 300, 0.5)
    for each in (answers, by_service):
        print(f"\n{each}")
        assert not each.failed, each.why()
        assert set(each.by_text) == {answer(VERSIONS[0])[1]}
    until_asleep(on, SLEEPER)

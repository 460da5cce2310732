"""Tests triggers on real pods: they fire across deploys, each once, and the live version answers.

`SOAK=1`: 10 deploys across 5 minutes of a schedule of every minute, with a log in docs/measured/triggers.txt; a part of it otherwise.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import format_time, parse_time
from local import components
from local.clusters import Cluster
from tests.support.api import Manifest, path
from tests.support.cluster import REPOSITORY
from tests.support.flows import a_flow
from tests.support.stage import Stage, operator, stage, uids
from tests.support.waiting import IN_TIME, eventually

SOAK = bool(os.environ.get("SOAK"))
LOG = REPOSITORY / "docs" / "measured" / "triggers.txt"
MINUTES, DEPLOYS = (5, 10) if SOAK else (2, 2)
MINUTE = 60
RAN_WITHIN = IN_TIME  # seconds: a pod starts, imports, calls, and ends
DRAINED_WITHIN = timedelta(seconds=15)
"""A pod of the previous row may answer for so long after its successor is Live."""

FAILS = "def run(inputs):\n    if inputs['question'] == 'berta':\n        raise ValueError('what ' + inputs['question'] + ' was about')\n    return 'fine'\n"
SLOW = "import time\ndef run(inputs):\n    time.sleep(45)\n    return 'slept'\n"


@pytest.fixture(scope="module")
def on(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(cluster, "triggers") as staged, operator(staged, folder=tmp_path_factory.mktemp("triggers")):
        staged.release("v1", "v2")
        staged.runtime("fast", by_default=True)
        yield staged


@pytest.fixture(autouse=True)
def ends_its_apps(on: Stage) -> Iterator[None]:
    yield
    on.end_apps()


def runs(on: Stage, app: str) -> list[Manifest]:
    """Returns the runs of triggers in the App's status, newest first."""
    newest_first: list[Manifest] = on.get("App", app).get("status", {}).get("triggers", [])
    return newest_first


def until_ran(on: Stage, app: str, count: int = 1, seconds: float = RAN_WITHIN) -> list[Manifest]:
    """Returns the App's runs, once `count` of them have ended."""

    def ended() -> list[Manifest] | None:
        current = runs(on, app)
        return current if sum("endedAt" in run for run in current) >= count else None

    return eventually(f"{count} runs of App {app} have ended: {runs(on, app)}", ended, seconds, 0.5)


def callers(on: Stage, app: str) -> list[Manifest]:
    pods: list[Manifest] = on.api.get("Pod", "", on.namespace, labelSelector=f"{names.TRIGGER_OF_LABEL}={app}").body["items"]
    return pods


class Answered:
    """The runs that pods of an App have answered, by their logs, read all the time, since a log ends with its pod.

    Nobody calls a pod in its last seconds, so a log that is read every second is complete.
    """

    def __init__(self, on: Stage, app: str) -> None:
        self._on, self._app = on, app
        self.ids: set[str] = set()
        self._over = threading.Event()

    def __enter__(self) -> Answered:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._read()

    def _follow(self) -> None:
        while not self._over.wait(1):
            self._read()

    def _read(self) -> None:
        pods = self._on.api.get("Pod", "", self._on.namespace, labelSelector=f"{names.APP_LABEL}={self._app}").body["items"]
        for pod in pods:
            for line in self._on.api.text(f"{path(self._on.named('Pod', pod['metadata']['name']))}/log").splitlines():
                with contextlib.suppress(ValueError):
                    if run := json.loads(line).get("run_id"):
                        self.ids.add(run)


@pytest.mark.long(
    "minutes of a schedule across deploys; one run: test_a_run_of_a_moment_has_a_key_and_shows_no_answer, a schedule: docs/triggers.md"
)
@pytest.mark.full_count
@pytest.mark.timeout((MINUTES + 8) * MINUTE)
def test_every_minute_is_run_once_across_deploys(on: Stage) -> None:
    on.app("steady")
    on.live("steady", "v1")
    with Answered(on, "steady") as answered:
        trigger = {"name": "minutely", "schedule": "* * * * *"}
        on.change("App", "steady", spec={"triggers": [trigger]})
        name = names.trigger("steady", "minutely")
        cron_job = eventually("the schedule is there", lambda: on.find("CronJob", name))
        first = int(parse_time(cron_job["metadata"]["creationTimestamp"]).timestamp()) // MINUTE + 1
        for number in range(DEPLOYS):
            # A second before a run, and, with more deploys than runs, between them: a rollout is under way at each run.
            _until(first * MINUTE - 1 + number * MINUTES * MINUTE / DEPLOYS)
            on.live("steady", "v1" if number % 2 else "v2", seconds=90)
        runs_told = until_ran(on, "steady", MINUTES, (MINUTES + 3) * MINUTE)
        if time.time() % MINUTE > MINUTE / 2:  # the change must not coincide with the turn of a minute
            _until((time.time() // MINUTE + 1) * MINUTE)
            runs_told = until_ran(on, "steady", int(time.time()) // MINUTE - first + 1, 2 * MINUTE)
        on.change("App", "steady", spec={"triggers": [{**trigger, "suspend": True}]})
        eventually("the schedule is gone", lambda: on.find("CronJob", name) is None)
        ended = datetime.now(UTC)
        runs_told = eventually("each run has ended", lambda: _all_ended(runs(on, "steady")), RAN_WITHIN)
    due = [f"{name}-{minute}" for minute in range(first, int(ended.timestamp()) // MINUTE + 1)]
    _write(on, runs_told, due, answered.ids)
    assert sorted(run["job"] for run in runs_told) == due, "none is lost"
    assert len(due) >= MINUTES
    assert {run["outcome"] for run in runs_told} == {"Succeeded"}, runs_told
    assert len(answered.ids) <= len(due), "and none was answered twice"
    for run in runs_told:
        assert run["workflowVersion"] in _served(on, run), run
    events = on.api.get("Event", "", on.namespace, fieldSelector="involvedObject.name=steady,reason=TriggerSucceeded").body["items"]
    assert len(events) == len(due)


def _until(moment: float) -> None:
    """Waits for a moment, in seconds of the epoch: the test needs deploys spread over minutes."""
    time.sleep(max(moment - time.time(), 0))


def _all_ended(all_runs: list[Manifest]) -> list[Manifest] | None:
    return all_runs if all("endedAt" in run for run in all_runs) else None


def _served(on: Stage, run: Manifest) -> set[str]:
    """Returns the versions whose pods may have been ready during the run."""
    rows = on.rows("steady")
    successors = [*rows[1:], None]
    began, ended = parse_time(run["startedAt"]), parse_time(run["endedAt"])
    return {
        row["spec"]["pinned"]["workflowVersion"]
        for row, successor in zip(rows, successors, strict=True)
        if parse_time(row["spec"]["pinned"]["createdAt"]) <= ended
        and (successor is None or parse_time(successor["spec"]["outcome"]["at"]) + DRAINED_WITHIN >= began)
    }


def _write(on: Stage, ended_runs: list[Manifest], due: list[str], answered: set[str]) -> None:
    rows = on.rows("steady")
    lines = [
        f"make soak: Kubernetes {components.KUBERNETES.version}, real pods.",
        f"{len(rows) - 1} deploys across {MINUTES} minutes of the schedule * * * * *, of a private App: each run meets a rollout.",
        "",
        f"{len(due)} runs were due, {len(ended_runs)} are told, {sum(run['outcome'] == 'Succeeded' for run in ended_runs)} succeeded, "
        f"{len(set(due) - {run['job'] for run in ended_runs})} lost; the App's pods answered {len(answered)}.",
        f"Versions that answered: {', '.join(f'{version} {count}' for version, count in sorted(_versions(ended_runs).items()))}.",
        "",
        "The runs as the App's status tells them:",
        *(
            f"{run['startedAt']}  {run['job']}  {run['outcome']}  {run.get('workflowVersion', '-')}  {run.get('message', '')}"
            for run in reversed(ended_runs)
        ),
        "",
        "The rows: when the deploy began, from when it was live, and what:",
        *(
            f"{row['spec']['pinned']['createdAt']}  {row['spec']['outcome']['at']}  #{row['spec']['sequence']} {row['spec']['pinned']['workflowVersion']}"
            for row in rows
        ),
    ]
    print("\n".join(lines))
    if SOAK:
        LOG.write_text("\n".join(lines) + "\n")


def _versions(ended_runs: list[Manifest]) -> Counter[str]:
    return Counter(run.get("workflowVersion", "-") for run in ended_runs)


def by_trigger(some_runs: list[Manifest]) -> dict[str, Manifest]:
    return {run["trigger"]: run for run in some_runs}


def once(name: str, **more: object) -> Manifest:
    """Returns a trigger that runs in a second."""
    return {"name": name, "runAt": format_time(datetime.now(UTC) + timedelta(seconds=1)), **more}


def pod_of(on: Stage, app: str, trigger: str) -> Manifest:
    """Returns the pod that calls the App for a trigger."""
    return next((pod for pod in callers(on, app) if pod["metadata"]["labels"][names.TRIGGER_LABEL] == trigger), {})


def test_a_run_of_a_moment_has_a_key_and_shows_no_answer(on: Stage) -> None:
    on.release("v1", workflow="fails", text=a_flow(FAILS, answer="answer"))
    on.app("asked", workflow="fails")
    on.live("asked", "v1")
    callers_by_trigger = {"fine": "anna", "broken": "berta"}
    triggers = [
        once(name, input=json.dumps({"who": {"question": caller}}), inputTransformer={"path": "$.who"})
        for name, caller in callers_by_trigger.items()
    ]
    on.change("App", "asked", spec={"triggers": triggers})
    by_name = by_trigger(until_ran(on, "asked", len(callers_by_trigger)))
    fine, broken = by_name["fine"], by_name["broken"]
    assert (fine["outcome"], fine["workflowVersion"]) == ("Succeeded", "v1")
    assert fine["message"].startswith("the App answered 200 after ")
    assert broken["outcome"] == "Failed"
    assert broken["message"].startswith("the App answered 500 (node_failed) after ")
    pod = pod_of(on, "asked", "broken")
    assert pod["spec"]["automountServiceAccountToken"] is False
    log = on.api.text(f"{path(on.named('Pod', pod['metadata']['name']))}/log")
    assert log
    assert "berta" not in log + json.dumps(broken)
    assert on.key("asked") not in log
    eventually("it is told of the App", lambda: "TriggerFailed" in on.events("asked"))


def test_a_run_whose_pod_is_removed_is_not_repeated(on: Stage) -> None:
    """One run's pod may drain, and the other one's is killed, each while the App works on the run."""
    graces: dict[str, dict[str, int]] = {"drained": {}, "killed": {"gracePeriodSeconds": 0}}
    on.release("v1", workflow="slow", text=a_flow(SLOW, answer="answer"))
    on.app("slow", workflow="slow")
    on.live("slow", "v1")
    with Answered(on, "slow") as answered:
        triggers: list[Manifest] = []
        pods = {}
        for name, options in graces.items():
            triggers.append(once(name))
            on.change("App", "slow", spec={"triggers": triggers})
            eventually("the App is called", lambda: len(answered.ids) + on.runs_under_way("slow") == len(triggers), RAN_WITHIN)
            pods[name] = eventually("its pod is there", partial(pod_of, on, "slow", name))
            deleted = on.api.delete(on.named("Pod", pods[name]["metadata"]["name"]), **options)
            assert deleted.ok, deleted.message
        outcomes = {name: run["outcome"] for name, run in by_trigger(until_ran(on, "slow", len(graces))).items()}
        eventually("the App has ended the runs", lambda: len(answered.ids) >= len(graces), RAN_WITHIN)
    assert outcomes == {"drained": "Succeeded", "killed": "Failed"}
    assert len(answered.ids) == len(graces)
    assert uids(callers(on, "slow")) <= uids(list(pods.values()))

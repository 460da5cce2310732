"""Runs all checks of schemathesis over the document of the management API, against a real one: no server error, no undocumented answer.

`make soak` runs it in full, `make test` a part that is the same each time. Some values are ids of real objects, so that cases pass the
first checks. The caller may edit one namespace and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import urllib3

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import GROUP
from local import components
from local.clusters import Cluster
from tests.api.support import rest_rehearsal
from tests.api.support.journal_process import Journal, journaling
from tests.api.support.recorder_process import Recorder, a_pod, recording, runs_of
from tests.api.support.rest_rehearsal import Rehearsal
from tests.support import factories, history_stage, rest
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import REPOSITORY
from tests.support.history_stage import APP, counted
from tests.support.otlp_runs import run_id_of

LOG = REPOSITORY / "docs" / "measured" / "rest-fuzz.txt"
FULL = 5000
SEED = 20261124
KEPT, SPENT = 3, counted(40)
"""Numbers of Apps whose ids are drawn: by every call, and by calls that delete."""
OFTEN = 0.8
READERS = "tests-runtimes-readers"
WITHIN = 3000  # seconds
ANSWERS_WITHIN = 60  # seconds
"""Seconds until a call must be answered. schemathesis' own limit of 10 s is too short for a busy machine."""
ASKED_EVERY = 0.5
LATE = 2.0  # seconds from which on an API server that answers counts as away
SLOWEST = 5
MARKS = " ❌🚫"
"""Marks of a failed check and of an unanswered call."""
IN_FULL = ("--max-examples=320", f"--seed={SEED}", "--generation-database=none")
A_PART = ("--phases=examples,fuzzing", "--max-examples=2", "--generation-deterministic")
"""Options of the part that is the same each time: without the phases of coverage, which ignores the count, and of states."""
NEVER_GOOD = (
    "GET /v1/me",
    "POST /v1/apps/{app_id}/triggers/{trigger_id}/run",
    "GET /v1/apps/{app_id}/triggers/{trigger_id}/events/{event_id}",
    "GET /v1/apps/{app_id}/sessions/{session_id}/messages",
    "GET /v1/apps/{app_id}/deployments/{deployment_id}/pods/{pod}/logs",
    "POST /console/session",
    "DELETE /console/session",
    "GET /v1/apps/{app_id}/deployments/{deployment_id}/preview",
    "POST /v1/apps/{app_id}/deployments/{deployment_id}/approvals",
    "POST /v1/apps/{app_id}/rejections",
    "POST /v1/apps/{app_id}/rejections/{rejection_id}/withdraw",
    "GET /v1/deploy-policies",
)
"""Calls that never get a good answer here.

The caller is a service account and no user, no approver, and reads no policies (`test_guarded_surfaces` has one who does). Triggers do not
run yet, no kubelet has logs, only pages of the console sign in, no row waits, and no run has a session.
"""
UNBOUNDED = ("/watch", "/invoke", "/invoke/{path}")
"""Ends of paths that are not called: answers without an end, and those of Apps, which have no pods here."""
TRIGGERS, KEYS = counted(16), counted(24)
REFUSALS = ("2xx", "401", "403", "404", "409", "422", "429", "503")
"""Statuses that may answer a well-formed body. The contract has 422 for fields that contradict each other."""

NO_FAULTS = ("2xx", "3xx", "4xx", "503")
"""Statuses that are no fault. The test itself checks whether the API server was really away at a 503."""


@dataclass(frozen=True)
class Place:
    """A rehearsal whose project also has a production, to which its caller may promote."""

    at: Rehearsal
    production: str
    """The namespace's id."""

    recorder: Recorder
    journal: Journal


@pytest.fixture
def place(cluster: Cluster, account: Path, tmp_path: Path) -> Iterator[Place]:
    with (
        recording(cluster, tmp_path) as recorder,
        journaling(cluster, tmp_path) as journal,
        rest_rehearsal.rehearsal(cluster, account, tmp_path, "fuzz", recorder.url, journal.url) as at,
    ):
        api, home = at.stage.api, at.stage.namespace
        at.stage.runtime("newest", image=factories.IMAGE, by_default=True)  # for an App's first row in production
        labels = {names.PROJECT_LABEL: home, names.ENVIRONMENT_LABEL: "production"}
        with fresh_namespace(api, "fuzz production", labels) as production:
            staging = {"metadata": {"labels": {**labels, names.ENVIRONMENT_LABEL: "staging"}}}
            assert api.merge({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}}, staging).ok
            rest.bind(api, production, "anna", "dynamiq-promoter", home)
            # Runtimes belong to the cluster: a promoter must be allowed to read them.
            readers = {"apiGroups": [GROUP], "resources": ["runtimes"], "verbs": ["get", "list"]}
            assert api.apply({"apiVersion": f"{rest.RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": READERS}, "rules": [readers]}).ok
            rest.bind(api, "", "anna", READERS, home)
            yield Place(at, rest.uid(api, "Namespace", production), recorder, journal)


def configuration(place: Place) -> str:
    """Returns schemathesis.toml: the ids that are drawn, and the refusals that are allowed."""
    at = place.at
    kept = [at.new_app(f"Kept {number}") for number in range(KEPT)]
    for number in range(SPENT):
        at.stage.app(f"spent-{number}", workflow=APP)
    spent = [rest.uid(at.stage.api, kinds.APP.kind, f"spent-{number}", at.stage.namespace) for number in range(SPENT)]
    triggers = [_trigger(at, kept[0], number) for number in range(TRIGGERS)]
    rows = [row["id"] for app in kept for row in at.history(app)]
    at.stage.app("configured", workflow=APP)
    configured = rest.uid(at.stage.api, kinds.APP.kind, "configured", at.stage.namespace)
    version = at.caller.get(f"/v1/apps/{configured}/configuration")["object_version"]
    keys = [at.caller.post(f"/v1/apps/{kept[0]}/access-keys")["name"] for _ in range(KEYS)]
    runs, spent_runs = (_recorded(place, app, SPENT) for app in kept[:2])
    rows_of_first = [row["id"] for row in at.history(kept[0])]
    known = {
        "app": kept,
        "spent": spent,
        "workflow": [at.ids["workflow"]],
        "version": [at.ids[version] for version in ("v1", "v2", "v3")],
        "runtime": [at.ids["runtime"]],
        "project": [at.ids["project"]],
        "organisation": [at.caller.get("/v1/orgs")[0]["id"]],
        "production": [place.production],
        "environment": ["production"],
        "row": rows,
        "first_row": rows_of_first,
        "configured": [configured],
        "configuration": [version],
        "key": keys,
        "compared": [*rows_of_first, *(at.ids[version] for version in ("v1", "v2")), "draft"],
        "triggered": kept[:1],
        "trigger": triggers[: TRIGGERS // 2],
        "spent_trigger": triggers[TRIGGERS // 2 :],
        "run": runs,
        "spent_run": spent_runs,
        "recorded_before": kept[2:],
    }
    bound = {
        "path.app_id": "app",
        "path.workflow_id": "workflow",
        "path.project_id": "project",
        "path.org_id": "organisation",
        "path.version_id": "version",
        "path.deployment_id": "first_row",
        "path.run_id": "run",
        "query.with": "compared",
        "query.project_id": "project",
        "query.workflow_id": "workflow",
        "query.org_id": "organisation",
        "body.workflow_id": "workflow",
        "body.workflow_version_id": "version",
        "body.runtime_id": "runtime",
        "body.project_id": "project",
        "body.restores": "row",
        "body.environment": "environment",
    }
    lines = ["[dictionaries]", *(f"{name} = {{ values = {json.dumps(values)} }}" for name, values in known.items())]
    lines += ["[parameters]", *(_bound(parameter, name) for parameter, name in bound.items())]
    lines += ["[checks.positive_data_acceptance]", f"expected-statuses = {json.dumps(REFUSALS)}"]
    lines += ["[checks.not_a_server_error]", f"expected-statuses = {json.dumps(NO_FAULTS)}"]
    lines += _of("DELETE /v1/apps/{app_id}", {"path.app_id": "spent"})
    for method, path, _ in calls(at):
        if "{trigger_id}" in path:
            drawn = "spent_trigger" if method == "DELETE" else "trigger"
            lines += _of(f"{method} {path}", {"path.app_id": "triggered", "path.trigger_id": drawn})
        elif "/runs/{run_id}" in path and "{app_id}" in path:
            lines += _of(f"{method} {path}", {"path.app_id": "triggered", "path.run_id": "run"})
        elif (method, path) == ("DELETE", "/v1/runs/{run_id}"):
            lines += _of(f"{method} {path}", {"path.run_id": "spent_run"})
        elif (method, path) == ("DELETE", "/v1/apps/{app_id}/runs"):
            lines += _of(f"{method} {path}", {"path.app_id": "recorded_before"})
        elif path.endswith("/configuration"):
            lines += _of(f"{method} {path}", {"path.app_id": "configured", "body.object_version": "configuration"})
        elif path.endswith("/traces/{trace_id}"):
            lines += _of(f"{method} {path}", {"path.app_id": "triggered", "path.trace_id": "run"})
        elif path.endswith("/access-keys/{name}"):
            lines += _of(f"{method} {path}", {"path.app_id": "triggered", "path.name": "key"})
        elif "{deployment_id}" in path:
            lines += _of(f"{method} {path}", {"path.app_id": "triggered"})
        elif "/promote" in path:
            lines += _of(f"{method} {path}", {"body.project_id": "production"})
    return "\n".join(lines) + "\n"


def calls(at: Rehearsal) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Returns method, path and description of every call of the document."""
    document = at.caller("GET", "/openapi.json").json()
    return [(method.upper(), path, call) for path, methods in document["paths"].items() for method, call in methods.items()]


def _recorded(place: Place, app: str, count: int) -> list[str]:
    """Sends runs from a pod of an App, which were in the background, and returns their ids."""
    at = place.at
    pod = a_pod(at.stage.api, at.stage.namespace, at.named(app), "v1")
    made = runs_of(count, first=1, milliseconds=50.0)
    place.recorder.send(pod, *made, instance=str(uuid.uuid4()))
    ids = [run_id_of(each) for each in made]
    # They have ended, so that no request waits for an event.
    place.journal.accept(pod, app, *ids, ends=True)
    return ids


def _trigger(at: Rehearsal, app: str, number: int) -> str:
    body = {"name": f"nightly-{number}", "provider": "schedule", "config": {"timezone": "UTC", "schedule": "0 3 * * *"}}
    return str(at.caller.post(f"/v1/apps/{app}/triggers", body)["id"])


def _of(call: str, bound: Mapping[str, str]) -> list[str]:
    """Returns lines of the configuration that bind parameters of one call alone."""
    return ["[[operations]]", f'include-name = "{call}"', "[operations.parameters]", *(_bound(*each) for each in bound.items())]


def _bound(parameter: str, name: str) -> str:
    return f'"{parameter}" = {{ dictionary = "{name}", probability = {OFTEN} }}'


@dataclass(frozen=True)
class Cases:
    """The cases of a run of schemathesis: by phase, by status of their answers, and the calls with a good answer."""

    by_phase: Counter[str]
    by_status: Counter[int]
    good: Counter[str]
    took: dict[str, float]
    """Seconds of the slowest answer of each call."""

    @classmethod
    def of(cls, report: Path) -> Cases:
        found = cls(Counter(), Counter(), Counter(), {})
        for line in report.read_text().splitlines():
            scenario = json.loads(line).get("ScenarioFinished")
            if scenario is None:
                continue
            recorded = scenario["recorder"]
            for key, interaction in recorded.get("interactions", {}).items():
                answer, case = interaction["response"] or {}, recorded["cases"][key]["value"]
                status, call = answer.get("status_code", 0), f"{case['method']} {case['path']}"
                found.by_phase[scenario["phase"]] += 1
                found.by_status[status] += 1
                found.took[call] = max(found.took.get(call, 0.0), answer.get("elapsed", 0.0))
                if 200 <= status < 300:
                    found.good[call] += 1
        return found

    @property
    def total(self) -> int:
        return self.by_status.total()

    def lines(self, of: Sequence[str]) -> Iterator[str]:
        yield f"{self.total} cases: " + ", ".join(f"{count} {phase}" for phase, count in self.by_phase.most_common())
        yield "answers: " + ", ".join(f"{count} times {status or 'none'}" for status, count in sorted(self.by_status.items()))
        slowest = sorted(self.took, key=self.took.__getitem__, reverse=True)[:SLOWEST]
        yield "slowest answers: " + ", ".join(f"{self.took[call]:.2f} s {call}" for call in slowest)
        yield f"2xx: {self.good.total()} cases, {100 * self.good.total() // self.total} %; for each call of the document:"
        yield from (f"  {self.good[call]:5d}  {call}" for call in of)


def run(place: Place, folder: Path, *options: str) -> tuple[int, str, Path]:
    """Returns the exit code of schemathesis, its output, and its report."""
    config, report = folder / "schemathesis.toml", folder / "events.ndjson"
    config.write_text(configuration(place))
    at = place.at
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{at.url}/openapi.json", *options]
    command += [f"--header=Authorization: Bearer {at.token}", f"--report-ndjson-path={report}", "--no-color"]
    command += ["--checks=all", f"--max-response-time={ANSWERS_WITHIN}"]
    command += ["--continue-on-failure", "--suppress-health-check=all", f"--request-timeout={ANSWERS_WITHIN}", "--warnings=off"]
    command += [f"--exclude-path-regex=({'|'.join(map(re.escape, UNBOUNDED))})$"]
    done = subprocess.run(
        command, cwd=folder, env=rest_rehearsal.environment(), capture_output=True, text=True, timeout=WITHIN, check=False
    )
    return done.returncode, done.stdout + done.stderr, report


def found_wrong(said: str) -> str:
    """Returns the failures in schemathesis' output: a line of phases and kinds, for a run's summary, then the output."""
    named = [line.strip(MARKS) for line in said.splitlines() if line.startswith(("  ❌ ", "  🚫 "))]
    return "\n".join([", ".join(named) or "schemathesis did not end well", said])


@pytest.mark.full_count
@pytest.mark.timeout(WITHIN + 300)
def test_every_answer_is_documented_and_none_is_a_server_error(place: Place, tmp_path: Path) -> None:
    at = place.at
    in_full, began = history_stage.in_full(), time.monotonic()
    with asked_meanwhile(at.stage.api) as away:
        code, output, report = run(place, tmp_path, *(IN_FULL if in_full else A_PART))
    assert report.exists(), output
    cases = Cases.of(report)
    document = [f"{method} {path}" for method, path, _ in calls(at)]
    lines = [
        f"{'make soak' if in_full else 'make test'}: Kubernetes {components.KUBERNETES.version}, schemathesis {version('schemathesis')}, "
        f"all checks, against the API and an operator at work; {time.monotonic() - began:.0f} s",
        *cases.lines(document),
    ]
    print("\n".join(lines))
    if in_full:
        LOG.write_text("\n".join([*lines, "", _without_token(output, at).replace(f"{tmp_path}/", "")]))
    assert code == 0, found_wrong(output)
    assert not [status for status in cases.by_status if status >= 500 and status != 503]
    assert cases.by_status[503] == 0 or away, "the API said that the API server is away, which answered all the time"
    called = {call for call in document if not call.endswith(UNBOUNDED)}
    assert cases.took.keys() >= called
    if in_full:
        assert cases.total >= FULL
        assert not called - cases.good.keys() - {*NEVER_GOOD}, "no case reached what these calls do"


@contextlib.contextmanager
def asked_meanwhile(api: Api) -> Iterator[list[str]]:
    """Polls the API server itself while the block runs. The list gets its failures, and pauses of the whole machine."""
    away: list[str] = []
    ends = threading.Event()

    def ask() -> None:
        waits_since = time.monotonic()
        while not ends.wait(ASKED_EVERY):
            if time.monotonic() - waits_since > ASKED_EVERY + LATE:
                away.append("the machine stood still")
            try:
                began = time.monotonic()
                answer = api.request("GET", "/readyz")
                if not answer.ok or time.monotonic() - began > LATE:
                    away.append(answer.message or "late")
            except (OSError, urllib3.exceptions.HTTPError) as error:
                away.append(str(error))
            waits_since = time.monotonic()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield away
    finally:
        ends.set()
        asking.join(ANSWERS_WITHIN)


def _without_token(said: str, at: Rehearsal) -> str:
    """Returns the output without the token, trailing blanks and colours."""
    return "\n".join(line.rstrip() for line in said.replace(at.token, "TOKEN").splitlines()) + "\n"

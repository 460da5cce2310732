"""Verifies versions on real pods under load: no caller gets a bad one, no good one fails, and a rollback waits for no verification."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import yaml

from local import images
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support import factories
from tests.support.api import Manifest
from tests.support.cluster import REPOSITORY
from tests.support.flows import a_flow
from tests.support.gateway import until_answer
from tests.support.history_stage import counted
from tests.support.load.callers import calling
from tests.support.load.operated import Operated, operated
from tests.support.load.sleepers import host_of
from tests.support.load.switches import SHARE_OF_CPU, until_serving
from tests.support.measured import Figures
from tests.support.stage import Stage, said, took
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.long("many bad and good versions; the decisions: tests/unit/plan/test_verification.py"),
    pytest.mark.full_count,
    pytest.mark.timeout(3600),
]
KINDS = ("wrong", "slow", "error", "flaky")
EACH = 20
"""The number of bad versions, and of good ones."""
REPEAT = 50
RATE = 20
ANSWERED = 20
"""Seconds until an answer."""
APP = "shop"
FIGURES = Figures("verification")

BODIES = {
    "good": "return {name!r}",
    "wrong": "return {name!r}",
    "slow": "import time\n    time.sleep(30)\n    return 'yes ' + {name!r}",
    "error": "raise ValueError('a bad version')",
    "flaky": "import random\n    return ('yes ' if random.random() > 0.1 else '') + {name!r}",
}


@dataclass(frozen=True)
class Version:
    name: str
    kind: str

    def flow(self) -> str:
        answer = f"yes {self.name} good" if self.kind == "good" else f"{self.name} {self.kind}"
        return a_flow(f"def run(inputs):\n    {BODIES[self.kind].format(name=answer)}\n", answer="answer")


def verifying(**verify: Any) -> factories.Modifier:
    case = {"name": "says-yes", "input": "{}", "repeat": REPEAT, "seconds": ANSWERED, "expect": {"contains": "yes"}}
    return factories.with_spec(rollout={"strategy": "Switch", "verify": {"cases": [case], "timeoutSeconds": 300, **verify}})


@pytest.fixture
def prepared(cluster: Cluster, at: Gateway, tmp_path: Any) -> Iterator[Operated]:
    with operated(cluster, at, "verified", tmp_path) as running:
        running.on.runtime("fast", by_default=True, drainSeconds=5, resources=SHARE_OF_CPU)
        yield running


def first(prepared: Operated, *modifiers: factories.Modifier) -> Version:
    """Deploys the App's first version, which passes, and serves."""
    on, version = prepared.on, Version("v1", "good")
    on.app(APP, *(modifiers or (verifying(),)))
    release(on, version)
    row = on.live(APP, version.name, 180)
    assert on.row(row)["spec"]["verified"]["calls"] == REPEAT
    until_answer(host_of(on, APP), prepared.at, "yes v1 good", on.key(APP))
    return version


def release(on: Stage, version: Version) -> None:
    on.release(version.name, text=version.flow())


def ended(on: Stage, row: str) -> Manifest:
    def found() -> Manifest | None:
        now = on.row(row)
        return now if "outcome" in now["spec"] and now["status"].get("phase") in ("Live", "Failed") else None

    return eventually(f"row {row} has ended", found, 240, 0.2)


def test_no_caller_is_answered_by_a_bad_version_and_no_good_one_fails(prepared: Operated, cluster: Cluster) -> None:
    on, numbers = prepared.on, itertools.count(2)
    first(prepared)
    bad = max(counted(EACH), len(KINDS))
    kinds = [*itertools.islice(itertools.cycle(KINDS), bad), *["good"] * bad]
    random.Random(14).shuffle(kinds)  # noqa: S311 - no secret
    became: Counter[tuple[str, str]] = Counter()
    lines = []
    with calling(cluster, host_of(on, APP), on.key(APP), new=RATE, kept=RATE) as answers:
        for kind in kinds:
            version = Version(f"v{next(numbers)}", kind)
            release(on, version)
            row = ended(on, on.deploy(APP, version.name))
            result = row["spec"]["outcome"]["result"]
            became[(kind, result)] += 1
            lines.append(f"  {version.name} {kind}: {result} after {took(row):.1f} s: {row['spec']['outcome']['reason']}")
    wrong = Counter({text: number for text, number in answers.by_text.items() if not text.endswith('good"}')})
    FIGURES.note(f"{bad} bad versions of {KINDS} and {bad} good ones, each asked {REPEAT} times; {answers}", f"  {dict(became)}", *lines)
    flaky = sum(number for text, number in wrong.items() if "flaky" in text)
    assert became[("good", "Succeeded")] == bad, lines
    assert all(became[(kind, "Succeeded")] == 0 for kind in ("wrong", "slow", "error")), lines
    assert became[("flaky", "Succeeded")] <= 1, "one in two hundred passes by chance"
    assert flaky == 0 or became[("flaky", "Succeeded")] == 1
    assert not wrong - Counter({text: number for text, number in wrong.items() if "flaky" in text}), wrong
    assert not answers.failed, answers.why()


def test_a_rollback_during_a_verification_waits_for_none_of_it(prepared: Operated, cluster: Cluster) -> None:
    on = prepared.on
    first(prepared)
    good, slow = Version("v2", "good"), Version("v3", "slow")
    release(on, good)
    second = on.live(APP, good.name, 120)
    until_serving(on, APP, second)
    release(on, slow)
    with calling(cluster, host_of(on, APP), on.key(APP), new=RATE, kept=RATE) as answers:
        case = {"name": "a", "input": "{}", "seconds": 60, "expect": {"status": 200}}
        job = {"image": images.RUNTIME.reference, "command": ["python3", "-c", "import time; time.sleep(600)"]}
        on.change("App", APP, spec={"rollout": {"verify": {"cases": [case], "job": job}}})
        waiting_row = on.deploy(APP, slow.name)
        verifying_row(on, waiting_row)
        eventually("its Job is there", lambda: on.api.get("Job", "", on.namespace, api_version="batch/v1").body["items"])
        rollback = on.live(APP, None, restores=on.rows(APP)[0]["metadata"]["name"])
        until_answer(host_of(on, APP), prepared.at, "yes v1 good", on.key(APP))
    FIGURES.note(f"a rollback during a verification: Live after {took(on.row(rollback)):.2f} s; {answers}")
    assert on.row(waiting_row)["spec"]["outcome"]["result"] == "Overtaken"
    eventually("its Job goes with it", lambda: not on.api.get("Job", "", on.namespace, api_version="batch/v1").body["items"])
    assert not answers.failed, answers.why()
    assert not [text for text in answers.by_text if "slow" in text]


def verifying_row(on: Stage, row: str) -> Manifest:
    def seen() -> Manifest | None:
        current = on.row(row)
        return current if (current["status"].get("waits") or {}).get("reason") == "Verifying" else None

    return eventually(f"row {row} is being verified", seen, 60, 0.1)


def test_an_operator_that_is_killed_while_it_asks_asks_again_when_it_is_back(prepared: Operated, cluster: Cluster) -> None:
    on = prepared.on
    first(prepared)
    version = Version("v2", "slow")
    release(on, version)
    on.change("App", APP, spec={"rollout": {"verify": {"cases": [{"name": "a", "input": "{}", "seconds": 60, "expect": {"status": 200}}]}}})
    with calling(cluster, host_of(on, APP), on.key(APP), new=RATE, kept=RATE) as answers:
        row = on.deploy(APP, version.name)
        verifying_row(on, row)
        prepared.operator.kill()
        prepared.operator.start()
        assert ended(on, row)["spec"]["outcome"]["result"] == "Succeeded", said(on.row(row))
        verified_at = on.row(row)["spec"]["verified"]["at"]
    assert not [call for call in answers.calls if call.ok and "slow" in call.text and call.answered < seconds_of(verified_at)]


def seconds_of(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def test_the_example_is_verified_by_its_cases_and_by_its_job(prepared: Operated) -> None:
    on = prepared.on
    example = yaml.safe_load((REPOSITORY / "examples/verification/app.yaml").read_text())
    job = example["spec"]["rollout"]["verify"]["job"] | {"image": images.RUNTIME.reference}
    rollout = example["spec"]["rollout"] | {"verify": example["spec"]["rollout"]["verify"] | {"job": job}}
    on.app(APP, factories.with_spec(rollout=rollout, network={"ingressFrom": []}))
    for number, flow in enumerate(("support-v1", "support-v2"), 1):
        text = yaml.safe_load((REPOSITORY / f"examples/{flow}.yaml").read_text())["spec"]["flow"]
        on.release(f"v{number}", text=text)
    row = on.row(on.live(APP, "v1", 240))
    FIGURES.note(f"the example: {row['spec']['verified']}")
    assert row["spec"]["verified"]["score"] >= 0.8
    assert row["spec"]["verified"]["cases"] == 2
    assert "Verified" in on.events(row["metadata"]["name"])
    on.release("v3", text=a_flow("def run(inputs):\n    return 'thank you'\n", answer="answer"))
    failed = on.row(on.deploy(APP, "v3"))
    failed = ended(on, failed["metadata"]["name"])
    assert failed["spec"]["outcome"]["reason"] == "its evaluation failed with exit code 1, score 0.5: 3 questions"
    assert "VerificationFailed" in on.events(failed["metadata"]["name"])

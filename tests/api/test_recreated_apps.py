"""An App is deleted and recreated at once, repeatedly: the last one has its own rows, keys and children, and none of the others'."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import pytest

from dynamiq_operator.model import kinds, names, ownership
from dynamiq_operator.model.base import GROUP
from tests.support import admission, restores
from tests.support import factories as given
from tests.support.admission import made
from tests.support.api import Manifest
from tests.support.history_stage import APP, RELEASES, HistoryStage, in_full
from tests.support.looks import all_along
from tests.support.operator import Operator
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

FEW, TIMES = 8, 200
CHILDREN = ("Service", "Workload", "PodDisruptionBudget", "HorizontalPodAutoscaler")


@contextlib.contextmanager
def owners_seen(stage: HistoryStage) -> Iterator[dict[str, set[str]]]:
    """Yields the Apps that owned each row, Secret and flow, by uid, collected while the block runs."""
    seen: dict[str, set[str]] = {}

    def look() -> None:
        for each in owned_things(stage):
            seen.setdefault(each["metadata"]["uid"], set()).update(ownership.owners(each))

    with all_along(look):
        yield seen


def owned_things(stage: HistoryStage) -> Iterator[Manifest]:
    for kind in (kinds.ROW.kind, "Secret", "ConfigMap"):
        yield from stage.api.get(kind, "", stage.namespace).body["items"]


def uid_of(stage: HistoryStage) -> str:
    return str(stage.get(kinds.APP.kind, APP)["metadata"]["uid"])


def make(stage: HistoryStage, chance: random.Random, number: int) -> bool:
    """Makes the App again with rows from Git, manual rows, both or none, and returns True if it gets any row.

    A manual row has a unique name, or one that every App's row shares.
    """
    deploys, rows = chance.randint(0, 1), chance.sample([f"row-{number}", "row"], chance.randint(0, 2))
    stage.app(APP, *([given.with_deploy(workflowVersion=chance.choice(RELEASES), runtime=stage.default_runtime)] * deploys), workflow=APP)
    for name in rows:
        modifier = given.asking(workflowVersion=chance.choice(RELEASES), runtime=stage.default_runtime, message=str(number))
        row = given.row_manifest(name, given.in_namespace(stage.namespace), modifier)
        eventually(f"the name {name} is free", lambda row=row: stage.api.create(row).ok)  # type: ignore[misc]
    return bool(deploys or rows)


def wait(stage: HistoryStage, chance: random.Random) -> None:
    """Waits for nothing, or until a row of the App has a sequence or an outcome."""
    uid, part = uid_of(stage), chance.choice(["", "sequence", "outcome"])
    eventually(
        f"a row has its {part}",
        lambda: not part or any(part in row["spec"] for row in stage.rows(APP) if ownership.is_owned(row, uid)),
    )


@pytest.mark.full_count
@pytest.mark.timeout(1800)
def test_the_last_app_after_a_burst_of_deletes_has_its_own_ledger(stage: HistoryStage, operator: Operator) -> None:
    times, seed = TIMES if in_full() else FEW, random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    with owners_seen(stage) as owners:
        for number in range(times):
            if make(stage, chance, number):
                wait(stage, chance)
            stage.delete(kinds.APP.kind, APP)
        stage.app(APP, workflow=APP)
        own = stage.deploy(APP, "v3", row="last", runtime=stage.default_runtime)
        assert stage.until_served("v3", rows=1) == own
    uid, (row,) = uid_of(stage), stage.rows(APP)
    assert (row["spec"]["sequence"], ownership.owners(row)) == (1, (uid,))
    assert "previousDigest" not in row["spec"]["pinned"]
    assert owners
    assert [each for each, apps in owners.items() if len(apps) > 1] == [], "what was one App's became another one's"
    for kind in CHILDREN:
        assert ownership.owners(stage.get(kind, APP)) == (uid,)
    eventually(
        "what the others had is collected",
        lambda: {owner for each in owned_things(stage) for owner in ownership.owners(each)} == {uid},
    )
    stage.quiet()
    print(f"{times} times deleted and made again at once: 1 row, #1, and everything the last one's own")


def test_unnumbered_rows_are_deleted_with_the_app_of_their_time(stage: HistoryStage, operator: Operator) -> None:
    """A row only names its App until the operator has adopted it."""
    stage.app(APP, given.annotated(**{names.RESTORING_ANNOTATION: "true"}), workflow=APP)
    stage.deploy(APP, "v1", row="left", runtime=stage.default_runtime)
    stage.quiet_while_restoring()
    assert "sequence" not in stage.row("left")["spec"]
    stage.delete(kinds.APP.kind, APP)
    eventually("the row is gone with its App", lambda: stage.find(kinds.ROW.kind, "left") is None)
    stage.deploy(APP, "v2", row="early", runtime=stage.default_runtime)
    stage.until("early", "Pending")
    stage.app(APP, workflow=APP)
    assert stage.until_served("v2", rows=1) == "early", "one that is made before its App waits for it"


def test_a_record_of_settings_of_a_deleted_app_blocks_none_of_the_new_one(stage: HistoryStage, operator: Operator) -> None:
    """An AppChange of the deleted App, still being deleted, has the name of the next App's one."""
    stage.app(APP, workflow=APP)
    eventually("its settings are recorded", lambda: restores.changes(stage))
    (before,) = restores.changes(stage)
    hold(stage, before, ["example.com/held"])
    stage.delete(kinds.APP.kind, APP)
    eventually("its record is going", lambda: "deletionTimestamp" in restores.changes(stage)[0]["metadata"])
    stage.app(APP, workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    late = f"App {stage.namespace}/{APP}: a change of its settings is recorded later"
    eventually("the operator found the name in use", lambda: late in operator.log.read_text())
    assert [ownership.owners(each) for each in restores.changes(stage)] == [ownership.owners(before)]
    hold(stage, before, [])
    eventually("its own settings are recorded", lambda: [ownership.owners(each) for each in restores.changes(stage)] == [(uid_of(stage),)])


def hold(stage: HistoryStage, record: Manifest, finalizers: list[str]) -> None:
    """Sets finalizers as the operator, who alone may set them."""
    made(admission.operator(stage.api).merge(record, {"metadata": {"finalizers": finalizers}}))


def test_rows_that_are_left_on_purpose_are_the_next_apps(stage: HistoryStage, operator: Operator) -> None:
    """`--cascade=orphan` removes the owner from all objects of the App: the next App of the name is meant to adopt them."""
    stage.app(APP, workflow=APP)
    first = stage.live(APP, "v1", runtime=stage.default_runtime)
    before, running, key, mounted = stage.rows(APP), stage.workload(APP), stage.key(APP), stage.mounted()
    stage.kubectl("delete", f"apps.{GROUP}", APP, "--cascade=orphan", namespace=stage.namespace)
    eventually("nobody owns the row", lambda: ownership.is_nobodys(stage.row(first)))
    stage.app(APP, workflow=APP)
    assert stage.until_served("v1", rows=1) == first
    eventually("the row is the new App's", lambda: ownership.owners(stage.row(first)) == (uid_of(stage),))
    assert [row["spec"] for row in stage.rows(APP)] == [row["spec"] for row in before]
    assert stage.workload(APP)["metadata"]["uid"] == running["metadata"]["uid"]
    assert (stage.key(APP), stage.mounted()) == (key, mounted)

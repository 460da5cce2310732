"""Upgrades the operator from the previous commit and downgrades it again, with a hundred Apps on real pods that are called all the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import chain, kinds
from local import components
from local.clusters import Cluster
from tests.soak.support import upgrades
from tests.soak.support.upgrades import ELSEWHERE, Older, Scene
from tests.support.admission import RESTORERS, RESTORING
from tests.support.api import Manifest
from tests.support.cluster import CRDS, REPOSITORY, Kubectl, session_cluster
from tests.support.history_stage import counted, in_full
from tests.support.load import sleepers
from tests.support.operator import logged_in
from tests.support.plugin import Plugin
from tests.support.stage import Stage, stage
from tests.support.waiting import eventually

BEFORE = "451048d8"
"""The commit before conversations stayed on their row."""
APPS = 100
CALLED = 2
"""Apps of a kind that are called all the time."""
EVERY = 0.2  # seconds between two calls of one of them
JOURNAL = "http://127.0.0.1:9"
"""Nobody listens there: this operator never learns which background runs are open."""
OURS = ("-c", f"import sys; from dynamiq_operator.__main__ import main; sys.argv.append('--journal={JOURNAL}'); sys.exit(main())")
LIMITS = {"durable": {"keepSeconds": 3600, "callbackHosts": ["hooks.example.com"]}}
SESSIONS = {"idleSeconds": 600}
LOG = REPOSITORY / "docs" / "measured" / "upgrade.txt"


@pytest.fixture(scope="module")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Provides a separate cluster: its definitions are the older ones."""
    with session_cluster("node", pytestconfig) as started:
        yield started


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Older:
    return upgrades.older(BEFORE, tmp_path_factory.mktemp("before"))


@pytest.mark.timeout(5400)
def test_neither_an_upgrade_nor_the_way_back_is_noticed_by_anybody(cluster: Cluster, before: Older, tmp_path: Path) -> None:
    kubectl = Kubectl(cluster)
    upgrades.install_definitions_of(cluster, before)
    sleepers.install(cluster)
    upgrades.install(kubectl, before.manifests)
    account = logged_in(cluster, tmp_path, "dynamiq-system")
    theirs = (str(before.program),)
    with stage(cluster, "upgrade") as on, upgrades.operators(account, tmp_path, on.namespace, cluster) as replicas, ExitStack() as calls:
        scene = upgrades.prepare(on, counted(APPS), sleeps=True)
        replicas.leader.start(theirs)
        upgrades.settle(scene)
        scene.all_seen()
        sleepers.until_asleep(on, *scene.sleeping, seconds=upgrades.SETTLED_WITHIN)
        scene.until_quiet()
        for app in _called(scene):
            on.until_reached(app)
        calls_by_app = {app: calls.enter_context(on.load(app, every=EVERY)) for app in _called(scene)}
        was, verdicts = scene.state(), scene.verified()

        _definitions_and_manifests(kubectl, REPOSITORY)
        replicas.hand_over(OURS)
        _unchanged(scene, was, verdicts, "the upgrade")
        for app in scene.at_work:
            on.change("App", app, spec={"runs": LIMITS})
        for app in scene.switching:
            on.change("App", app, spec={"sessions": SESSIONS})
        _unchanged(scene, was, verdicts, "a change of runs.durable and of sessions")
        records = eventually("each App has its first record", lambda: _records(scene), upgrades.SETTLED_WITHIN, 1)
        meanwhile = _made_by_ours(on, scene)
        scene.until_quiet()
        was, verdicts = scene.state(), scene.verified()

        upgrades.install(kubectl, before.manifests)
        replicas.hand_over(theirs)
        _unchanged(scene, was, verdicts, "the way back")
        assert on.row(meanwhile)["spec"]["promotedFrom"]["cluster"] == ELSEWHERE["cluster"], "a field that it does not know"
        _kept(scene, records)
        by = _settings_changed(on, scene.plain[0])
        rolled = on.live(scene.plain[1], "v3")
        scene.until_quiet()
        was, verdicts = scene.state(), scene.verified()

        _definitions_and_manifests(kubectl, REPOSITORY)
        replicas.hand_over(OURS)
        eventually("what changed meanwhile is recorded", lambda: by in _authors(scene, scene.plain[0]), upgrades.SETTLED_WITHIN)
        _unchanged(scene, was, verdicts, "the second upgrade")
        assert on.row(rolled)["status"]["phase"] == "Live"
        _wakes(on, scene)
        _comes_back(on, scene)
        output = Plugin(cluster, on.namespace, tmp_path).said("verify", scene.plain[0])
        assert "rows fit" in output
        assert "records of its settings fit" in output
    _tell(scene, calls_by_app)


def _definitions_and_manifests(kubectl: Kubectl, of: Path) -> None:
    """Installs the definitions, then the manifests, in the order of docs/upgrading.md."""
    kubectl("apply", "--server-side", "-k", str(CRDS))
    upgrades.install(kubectl, of / "manifests")


def _called(scene: Scene) -> list[str]:
    """Returns some Apps of each kind, and the serverless one that stays awake because it is called. One is deployed during its calls."""
    of_kinds = (scene.plain[1:], scene.of_git, scene.switching, scene.rolling_out)
    return [*(app for each in of_kinds for app in each[: CALLED if in_full() else 1]), *scene.woken]


def _unchanged(scene: Scene, was: dict[str, Any], verdicts: dict[str, chain.Verdict], when: str) -> None:
    """Asserts, once the leader has acted on every App, that rows, pods, restarts, templates, and the results of `verify` are unchanged."""
    scene.all_seen()
    now = scene.state()
    for part, before in was.items():
        assert now[part] == before, f"{when}: {part}: {_differing(before, now[part])}"
    assert scene.verified() == verdicts, when
    for app in scene.sleeping:
        assert sleepers.is_asleep(scene.on, app), f"{when}: {app}"
    assert scene.on.find("Workload", scene.stopped) is None, f"{when}: an App that is being restored stands still"


def _differing(before: Any, now: Any) -> Any:
    """Returns the differing parts of two states, each before and after."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return before, now
    keys = before.keys() | now.keys()
    return {key: _differing(before.get(key), now.get(key)) for key in keys if before.get(key) != now.get(key)}


def _records(scene: Scene) -> dict[str, list[Manifest]] | None:
    records = scene.changes()
    return records if all(records.values()) else None


def _authors(scene: Scene, app: str) -> list[str]:
    return [each["spec"].get("by", "") for each in scene.changes()[app]]


def _kept(scene: Scene, records: dict[str, list[Manifest]]) -> None:
    """Asserts that each record of settings, and its note in the App's status, is unchanged: the older operator does not know them."""
    now = scene.changes()
    for app, before in records.items():
        assert now[app][: len(before)] == before
        assert chain.verify_changes(now[app]).misfits == ()
        assert scene.on.get("App", app)["status"]["settings"]["sequence"] == len(now[app])
        assert scene.on.get("App", app)["spec"]["settingsChangedBy"]


def _made_by_ours(on: Stage, scene: Scene) -> str:
    """Returns a row with a source in another cluster, once it is Live."""
    target = scene.plain[-1]
    flow_hash = on.rows(target)[-1]["spec"]["pinned"]["workflowHash"]
    row = on.deploy(target, "v1", promotedFrom={**ELSEWHERE, "hash": flow_hash})
    on.until(row, "Live", upgrades.SETTLED_WITHIN)
    return row


def _settings_changed(on: Stage, app: str) -> str:
    """Changes a variable as a user while the older operator works; returns the user.

    The API server stamps the change, whatever operator works.
    """
    user = "ada"
    changed = on.api.acting_as(user, "system:masters").merge(on.named("App", app), {"spec": {"description": "changed meanwhile"}})
    assert changed.ok, changed.message
    assert changed.body["spec"]["settingsChangedBy"] == user
    return user


def _wakes(on: Stage, scene: Scene) -> None:
    """Asserts that an App that slept the whole time answers its first call."""
    app = scene.sleeping[0]
    assert on.call(app, on.key(app)) == (200, '{"answer":"v1"}')


def _comes_back(on: Stage, scene: Scene) -> None:
    """Releases the App that was being restored; asserts that it serves its history's version."""
    app = on.named(kinds.APP.kind, scene.stopped)
    freed = on.api.acting_as("restorer", RESTORERS).merge(app, {"metadata": {"annotations": {RESTORING: None}}})
    assert freed.ok, freed.message
    eventually("it serves v1", lambda: upgrades.serves(on, scene.stopped, "v1"), upgrades.SETTLED_WITHIN)
    on.until_answer(scene.stopped, "v1", on.key(scene.stopped))


def _tell(scene: Scene, summaries: dict[str, Manifest]) -> None:
    """Prints the results of the calls, once all callers have ended; asserts that none was refused."""
    failed = {app: each["errors"] for app, each in summaries.items() if each["failed"]}
    sent = sum(each["sent"] for each in summaries.values())
    assert not failed
    text = (
        f"{'make soak' if in_full() else 'shortened'}: Kubernetes {components.KUBERNETES.version}, real pods: {len(scene.at_work) + 1} Apps with "
        f"{scene.rows} rows, {len(scene.sleeping)} asleep, {len(scene.switching)} of strategy Switch, {len(scene.rolling_out)} being rolled out, one "
        f"being restored.\nFrom {BEFORE}, back to it and from it again, each time with both operators side by side: {sent} calls of {len(summaries)} "
        "Apps, 0 failed; 0 rows changed, 0 pods restarted or replaced, what verify finds is the same. This operator has a journal that does not answer,\n"
        "and each App got other limits of background runs."
    )
    print("\n" + text)
    if in_full():
        LOG.write_text(text + "\n")

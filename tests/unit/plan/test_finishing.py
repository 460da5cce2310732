"""Background runs end on the version that they began with, whatever is deployed meanwhile."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from dynamiq_operator.desired.base import AUTOSCALER, CONFIG_MAP, DISRUPTION_BUDGET, NETWORK_POLICY, WORKLOAD
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.plan.observed.open_runs import OpenCount, OpenRuns
from dynamiq_operator.plan.operations import CreateChild, DeleteChild
from dynamiq_operator.plan.workloads import finishing_pods
from tests.support import factories as given
from tests.unit.support.finishing import (
    COLD,
    SOME,
    SWITCH,
    WAITING,
    deployed,
    finishing_names,
    finishing_of,
    journal_leaves,
    label_of,
    open_runs,
    queued,
    serving_with_journal,
    with_history,
    with_journal,
    with_runs,
    written_workloads,
)
from tests.unit.support.production import Production, tone

# When there is a workload, and when there is none.


@pytest.mark.parametrize("strategy", [None, SWITCH, COLD], ids=["Rolling", "Switch", "Switch, cold"])
@pytest.mark.parametrize("is_away", [False, True], ids=["known", "away"])
def test_an_app_that_never_used_background_runs_gets_no_workload(strategy: given.Modifier | None, is_away: bool) -> None:
    world = serving_with_journal(*([strategy] if strategy else []))
    if is_away:
        journal_leaves(world)
    deployed(world)
    assert (world.phases["b"], finishing_names(world)) == ("#2 Live", [])
    assert "Finishing" not in {each.type for each in world.app.status.conditions}
    assert world.app.status.finishing == ()


def test_nothing_is_made_while_the_version_with_the_runs_is_live() -> None:
    world = with_runs()
    assert (written_workloads(world), finishing_names(world)) == ([], [])


def test_a_rolling_deploy_replaces_no_pod_before_the_workload_that_finishes_its_runs_is_there() -> None:
    world = with_runs()
    deployed(world)
    fin = names.finishing(given.NAME, label_of(world, "a"))
    assert world.phases["b"] == "#2 Live"
    assert written_workloads(world)[:2] == [("CreateChild", fin), ("ApplyChild", given.NAME)]
    assert world.serving == "v2"
    made = world.workloads[fin]
    assert made["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] == names.flow(given.NAME, given.flow_hash("v1"))


@pytest.mark.parametrize("strategy", [given.with_spec(), SWITCH], ids=["Rolling", "Switch"])
def test_nothing_that_leads_callers_or_counts_pods_sees_pods_that_finish(strategy: given.Modifier) -> None:
    config = {**given.CONFIG, "autoscaling": {"minReplicas": 2, "maxReplicas": 3, "targetCPUUtilizationPercentage": 80}}
    world = deployed(with_runs(strategy))
    world.deploy("c", "v3", config=config)
    world.run()
    made = finishing_of(world, "a")
    assert made is not None
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert (labels[names.FINISHING_OF_LABEL], labels[names.MANAGED_BY]) == (given.NAME, names.FIELD_MANAGER)
    assert names.APP_LABEL not in labels
    assert made["spec"]["replicas"] == 1
    plain = world.workload
    selectors = [world.selector, world.child(DISRUPTION_BUDGET.kind)["spec"]["selector"]["matchLabels"]]
    selectors += [plain["spec"]["selector"]["matchLabels"]] if plain is not None else []
    assert not [each for each in selectors if each.items() <= labels.items()]
    assert made["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert world.child(AUTOSCALER.kind)["spec"]["scaleTargetRef"]["name"] != made["metadata"]["name"]
    owners = made["metadata"]["ownerReferences"]
    assert [each["uid"] for each in owners] == [world.app.meta.uid], "it goes with its App"


def test_under_switch_the_workload_is_there_before_the_old_one_goes() -> None:
    world = with_runs(COLD)
    deployed(world)
    old, fin = names.workload(given.NAME, label_of(world, "a")), names.finishing(given.NAME, label_of(world, "a"))
    done = written_workloads(world)
    assert done.index(("CreateChild", fin)) < done.index(("DeleteChild", old))
    assert fin in world.workloads


def test_a_standby_that_is_warm_finishes_its_runs_itself() -> None:
    world = deployed(with_runs(SWITCH))
    assert finishing_names(world) == []
    deployed(world, "c", "v3")
    assert finishing_of(world, "a") is not None, "now v2 is the standby"


def test_a_row_that_failed_finishes_the_runs_that_its_pods_took() -> None:
    world = serving_with_journal()
    world.deploy("b", "v2")
    world.settle()
    world.stall({"running": {}}, old=1)
    world.settle()
    open_runs(world, b=OpenCount(queued=1))
    world.later(700)
    world.written.clear()
    world.run()
    assert world.phases["b"] == "#2 Failed"
    fin = names.finishing(given.NAME, label_of(world, "b"))
    assert written_workloads(world)[:2] == [("CreateChild", fin), ("ApplyChild", given.NAME)], "before its pods are replaced again"


def test_it_goes_once_no_run_has_been_open_for_a_minute() -> None:
    world = deployed(with_runs())
    open_runs(world)
    world.run()
    assert finishing_names(world), "a run may be about to be accepted"
    after = world.plan().requeue_after
    assert after is not None
    assert after <= 60
    world.later(59)
    world.run()
    assert finishing_names(world)
    world.later(1)
    world.run()
    assert finishing_names(world) == []


def test_a_rollback_to_the_pins_takes_their_runs_over_once_its_pods_serve() -> None:
    world = deployed(with_runs())
    world.deploy("c", restores="a")
    world.settle()
    world.roll(names.finishing(given.NAME, label_of(world, "a")))
    world.settle()
    assert finishing_names(world), "its own pods are not there yet"
    world.run()
    assert (world.phases["c"], finishing_names(world)) == ("#3 Live", [])


@pytest.mark.parametrize("hold", ["suspended", "frozen"])
def test_runs_finish_while_nothing_may_be_deployed(hold: str) -> None:
    world = Production(given.with_variables(*tone("kind")))
    with_journal(world)
    world.deploy_approved("a")
    open_runs(world, a=SOME)
    world.deploy_approved("b", "v2")
    world.run()
    made = finishing_of(world, "a")
    assert made is not None
    if hold == "suspended":
        world.patch(suspend=True, variables=tone("rude"))
    else:
        world.freeze()
        world.patch(variables=tone("rude"))
    del world.objects[(WORKLOAD.api_version, WORKLOAD.kind, made["metadata"]["name"])]
    world.run()
    made = finishing_of(world, "a")
    assert made is not None
    env = {each["name"]: each.get("value") for each in made["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["TONE"] == "kind", "as it was approved"


def test_runs_that_wait_go_on_after_a_change_of_strategy() -> None:
    world = with_runs()
    open_runs(world, a=WAITING)
    deployed(world)
    world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]["spec"]["rollout"] = {"strategy": "Switch"}
    world.written_by_ours(world.objects[(API_VERSION, kinds.APP.kind, given.NAME)])
    world.run()
    assert finishing_names(world) == []
    open_runs(world, a=OpenCount(queued=1))
    world.run()
    assert finishing_of(world, "a") is not None


@pytest.mark.parametrize("hold", ["suspended", "frozen"])
def test_an_answer_is_taken_while_nothing_may_be_deployed(hold: str) -> None:
    world = Production(given.with_variables(*tone("kind")))
    with_journal(world)
    world.deploy_approved("a")
    open_runs(world, a=WAITING)
    world.deploy_approved("b", "v2")
    world.run()
    assert finishing_names(world) == []
    if hold == "suspended":
        world.patch(suspend=True)
    else:
        world.freeze()
    open_runs(world, a=OpenCount(queued=1, waiting=1))
    world.run()
    assert finishing_of(world, "a") is not None


# A deploy is never blocked.


def test_a_deploy_does_not_wait_for_a_workload_that_is_refused() -> None:
    world = with_runs()
    world.denied.add((WORKLOAD.kind, names.finishing(given.NAME, label_of(world, "a"))))
    deployed(world)
    assert (world.phases["b"], world.condition("Ready")[0]) == ("#2 Live", "True")
    assert world.condition("Finishing") == ("True", "NotMade")


def test_a_strangers_object_of_that_name_stays_and_blocks_no_deploy() -> None:
    world = with_runs()
    name = names.finishing(given.NAME, label_of(world, "a"))
    meta = {"name": name, "namespace": given.NAMESPACE}
    world.add(
        {
            "apiVersion": WORKLOAD.api_version,
            "kind": WORKLOAD.kind,
            "metadata": meta,
            "spec": {"replicas": 0, "selector": {}, "template": {"metadata": {"labels": {}}, "spec": {"containers": []}}},
        }
    )
    deployed(world)
    assert world.phases["b"] == "#2 Live"
    assert world.workloads[name]["spec"]["selector"] == {}
    open_runs(world)
    world.later(3600)
    world.run()
    assert name in world.workloads


def test_pods_that_finish_give_way_to_a_deploy_that_lacks_their_room() -> None:
    world = deployed(with_runs())
    world.deploy("c", "v3")
    world.settle()
    world.roll(names.finishing(given.NAME, label_of(world, "a")))
    world.refuse_pods(given.NAME, "pods is forbidden: exceeded quota: small")
    world.settle()
    made = finishing_of(world, "a")
    assert made is not None
    assert (made["spec"]["replicas"], world.condition("Finishing")) == (0, ("True", "NoRoom"))
    world.run()
    made = finishing_of(world, "a")
    assert made is not None
    assert (world.phases["c"], made["spec"]["replicas"]) == ("#3 Live", 1), "and come back after it"


def test_a_deploy_does_not_wait_for_a_network_policy_that_cannot_be_made_and_no_pod_runs_without_it() -> None:
    world = with_runs(given.with_spec(network={"egress": []}))
    world.denied.add((NETWORK_POLICY.kind, names.finishing_policy(given.NAME)))
    deployed(world)
    assert (world.phases["b"], finishing_names(world)) == ("#2 Live", [])
    assert world.condition("Finishing") == ("True", "NotMade")


def test_a_deploy_that_lacks_room_under_switch_is_not_held_up_by_what_finishes() -> None:
    world = deployed(with_runs(SWITCH))
    world.deploy("c", "v3")
    world.settle()
    world.refuse_pods(names.workload(given.NAME, label_of(world, "c")), "pods is forbidden: exceeded quota: small")
    world.settle()
    made = finishing_of(world, "a")
    assert made is not None, "the standby made room"
    assert made["spec"]["replicas"] == 0
    assert names.workload(given.NAME, label_of(world, "a")) not in world.workloads
    world.run()
    made = finishing_of(world, "a")
    assert made is not None
    assert (world.phases["c"], made["spec"]["replicas"]) == ("#3 Live", 1)


# Everything else of an App's objects.


def test_the_network_of_pods_that_finish_is_limited_before_there_is_one() -> None:
    peer = {"podSelector": {"matchLabels": {"team": "web"}}}
    world = with_runs(given.with_spec(network={"ingressFrom": [peer], "egress": []}))
    deployed(world)
    created = [each.manifest["metadata"]["name"] for each in world.written if isinstance(each, CreateChild)]
    fin, policy = names.finishing(given.NAME, label_of(world, "a")), names.finishing_policy(given.NAME)
    assert created.index(policy) < created.index(fin)
    spec = world.child(NETWORK_POLICY.kind, policy)["spec"]
    assert spec["podSelector"] == {"matchLabels": {names.FINISHING_OF_LABEL: given.NAME}}
    assert spec["egress"] == world.child(NETWORK_POLICY.kind)["spec"]["egress"]
    assert "team" not in str(spec["ingress"]), "nobody calls them"
    open_runs(world)
    world.later(60)
    world.settle()
    assert finishing_names(world) == []
    assert (NETWORK_POLICY.api_version, NETWORK_POLICY.kind, policy) in world.objects, "its pods may still run"
    world.roll()
    world.settle()
    assert (NETWORK_POLICY.api_version, NETWORK_POLICY.kind, policy) not in world.objects


def test_an_edit_of_the_workload_is_repaired() -> None:
    world = deployed(with_runs())
    made = finishing_of(world, "a")
    assert made is not None
    before = copy.deepcopy(made["spec"]["template"])
    made["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"
    world.edited(made)
    world.run()
    made = finishing_of(world, "a")
    assert made is not None
    assert made["spec"]["template"] == before


def test_retention_keeps_rows_and_flows_whose_runs_are_open() -> None:
    world = with_runs(given.with_spec(history={"limit": 10}))
    config = copy.deepcopy(given.CONFIG)
    for number in range(14):
        config["resources"]["requests"]["cpu"] = f"{100 + number}m"
        world.deploy(f"r{number}", "v2", config=config)
        world.run()
    assert len(world.rows) == 15
    assert (CONFIG_MAP.api_version, CONFIG_MAP.kind, names.flow(given.NAME, given.flow_hash("v1"))) in world.objects
    open_runs(world)
    world.later(60)
    world.run()
    assert "a" not in world.rows


def test_at_most_twenty_versions_finish_at_a_time_those_with_the_oldest_runs_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing_pods, "STARTING", 20)  # else it takes many passes
    world = with_history(22)
    open_runs(world, **{f"r{number}": queued(age=number) for number in range(1, 23)})
    world.run()
    assert [row for row in world.rows if row != "live" and finishing_of(world, row) is None] == ["r1", "r2"]
    assert world.condition("Finishing") == ("True", "TooManyVersions")
    assert len(world.app.status.finishing) == 20
    assert [each.sequence for each in world.app.status.finishing] == list(range(22, 2, -1)), "the newest first"


def test_the_status_shows_who_finishes_and_is_not_written_for_each_run() -> None:
    world = deployed(with_runs())
    (shown,) = world.app.status.finishing
    assert (shown.row, shown.version, shown.queued, shown.running, shown.waiting) == ("a", "v1", 2, 1, 1)
    assert world.condition("Finishing") == ("True", "RunsOpen")
    world.open_runs = replace(world.open_runs, shown_since=world.now)
    open_runs(world, a=OpenCount(queued=1))
    world.later(29)
    assert not world.plan().operations
    world.later(1)
    world.run()
    assert [each.queued for each in world.app.status.finishing] == [1]


def test_without_a_journal_nothing_differs() -> None:
    world = serving_with_journal()
    world.settings = world.settings.model_copy(update={"journal": None})
    world.open_runs = OpenRuns()
    deployed(world)
    assert {each.type for each in world.app.status.conditions}.isdisjoint({"Durable", "Finishing"})
    assert not [each for each in world.written if isinstance(each, DeleteChild)]

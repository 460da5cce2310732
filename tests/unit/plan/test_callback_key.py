"""The key for callbacks: made once, mounted by new pods, and no reason to replace a pod."""

from __future__ import annotations

import base64
import copy

import pytest

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.desired.callback_key import callback_key
from dynamiq_operator.desired.pod_template import signs_callbacks
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.plan.children import callback_key as plans
from dynamiq_operator.plan.operations import ApplyChild, CreateChild
from tests.support import factories as given
from tests.support.world import World, a_world, serving
from tests.unit.support.plan_lines import shown

JOURNAL = "http://dynamiq-journal.dynamiq-journal.svc"
NAME = names.callback_key(given.NAME)
SWITCH = given.with_spec(rollout={"strategy": "Switch"})


def restart_with(world: World, journal: str | None) -> World:
    """Restarts the operator with this journal, or without one."""
    world.settings = world.settings.model_copy(update={"journal": journal})
    return world


def with_journal(*modifiers: given.Modifier) -> World:
    """Returns an App whose operator has had a journal from the start, with one version that serves."""
    world = restart_with(a_world(*modifiers), JOURNAL)
    world.settle()
    world.deploy("a", "v1")
    world.run()
    return world


def secrets(world: World) -> list[str]:
    return [name for kind, name in ((key[-2], key[-1]) for key in world.objects) if kind == "Secret"]


def signs(world: World) -> bool:
    return signs_callbacks(world.child(WORKLOAD.kind)["spec"]["template"])


def written(world: World) -> list[Manifest]:
    """Returns the workloads that were created or applied since the world began."""
    wrote = (each.manifest for each in world.written if isinstance(each, ApplyChild | CreateChild))
    return [made for made in wrote if made["kind"] == WORKLOAD.kind]


def before_callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the operator be that of the version before, as far as callbacks are concerned."""
    monkeypatch.setattr(plans, "_is_needed", lambda _: False)
    monkeypatch.setattr("dynamiq_operator.plan.children.recording.signs_callbacks", lambda _: False)


@pytest.mark.parametrize("strategy", [(), (SWITCH,)], ids=["Rolling", "Switch"])
def test_the_first_pods_of_an_app_have_its_key(strategy: tuple[given.Modifier, ...]) -> None:
    world = with_journal(*strategy)
    made = [each for each in world.objects.values() if each["apiVersion"] == WORKLOAD.api_version and each["kind"] == WORKLOAD.kind]
    assert [signs_callbacks(each["spec"]["template"]) for each in made] == [True]
    assert len({each["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION] for each in written(world)}) == 1, "no pod is made twice"
    (text,) = world.child("Secret", NAME)["stringData"].values()
    assert len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) == 32
    assert callback_key(world.app, "another")["stringData"] != {"key": text}


@pytest.mark.parametrize(
    ("journal", "access"), [(None, "private"), (JOURNAL, "public"), (None, "public")], ids=["no journal", "public", "neither"]
)
def test_an_app_without_background_runs_has_no_key(journal: str | None, access: str) -> None:
    world = restart_with(a_world(given.with_spec(access={"type": access})), journal)
    world.deploy("a", "v1")
    world.run()
    assert NAME not in secrets(world)
    assert not signs(world)


def test_an_operator_that_begins_to_make_keys_restarts_no_pod_and_neither_does_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version before, this one, and the version before again."""
    with monkeypatch.context() as before:
        before_callbacks(before)
        world = with_journal()
        assert NAME not in secrets(world)
        world.deploy("b", "v2")
        world.run()
    old, pods = copy.deepcopy(world.child(WORKLOAD.kind)["spec"]), [pod["metadata"]["uid"] for pod in world.pods]
    world.written.clear()
    assert shown(world.plan()) == ["create callback key"]
    world.run()
    assert (written(world), world.child(WORKLOAD.kind)["spec"], [pod["metadata"]["uid"] for pod in world.pods]) == ([], old, pods)
    world.deploy("c", "v3")
    world.run()
    assert signs(world), "the pods of the next version have it"
    new, pods = copy.deepcopy(world.child(WORKLOAD.kind)["spec"]), [pod["metadata"]["uid"] for pod in world.pods]
    world.written.clear()
    with monkeypatch.context() as before:
        before_callbacks(before)
        world.later(3600)
        world.run()
    assert (written(world), world.child(WORKLOAD.kind)["spec"], [pod["metadata"]["uid"] for pod in world.pods]) == ([], new, pods)


def test_a_key_is_never_written_again_and_is_made_again_once_it_was_deleted() -> None:
    world = with_journal()
    secret = world.child("Secret", NAME)
    secret["stringData"] = {"key": "whsec_of-the-user"}
    world.edited(secret)
    world.later(3600)
    world.deploy("b", "v2")
    world.run()
    assert world.child("Secret", NAME)["stringData"] == {"key": "whsec_of-the-user"}
    world.written.clear()
    del world.objects[("v1", "Secret", NAME)]
    assert shown(world.plan()) == ["create callback key"]
    world.run()
    assert not written(world)


def test_pods_serve_without_a_key_that_nobody_may_create() -> None:
    world = restart_with(a_world(), JOURNAL)
    world.denied.add(("Secret", NAME))
    world.settle()
    world.deploy("a", "v1")
    world.run()
    assert (world.phases, signs(world)) == ({"a": "#1 Live"}, False)
    assert world.condition("Ready")[0] == "True"


def test_no_pod_mounts_a_secret_of_that_name_that_another_owns() -> None:
    world = restart_with(a_world(), JOURNAL)
    world.add({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": given.NAMESPACE}})
    world.settle()
    world.deploy("a", "v1")
    world.run()
    assert (world.phases, signs(world)) == ({"a": "#1 Live"}, False)


def test_a_workload_that_is_made_as_soon_as_the_operator_begins_has_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before_callbacks(before)
        world = with_journal(SWITCH)
    world.deploy("b", "v2")
    world.run()
    made = [each for each in world.objects.values() if each["apiVersion"] == WORKLOAD.api_version and each["kind"] == WORKLOAD.kind]
    assert sorted(signs_callbacks(each["spec"]["template"]) for each in made) == [False, True]


def restart_by_hand(world: World) -> None:
    made = world.child(WORKLOAD.kind)
    made["spec"]["template"]["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = format_time(world.now)
    world.edited(made)


def lacking(monkeypatch: pytest.MonkeyPatch) -> World:
    """Returns an App whose key was made after its pods."""
    with monkeypatch.context() as before:
        before_callbacks(before)
        world = with_journal()
    world.run()
    assert NAME in secrets(world)
    world.later(60)
    return world


def test_a_restart_by_hand_gives_pods_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    world = lacking(monkeypatch)
    restart_by_hand(world)
    world.run()
    assert signs(world)


def test_a_restart_of_before_the_operator_began_gives_pods_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an upgrade of the operator would restart them once more."""
    world = lacking(monkeypatch)
    with monkeypatch.context() as before:
        before_callbacks(before)
        restart_by_hand(world)
        world.run()
    world.later(3600)
    world.written.clear()
    world.run()
    assert (written(world), signs(world)) == ([], False)


def test_pods_of_an_app_that_was_scaled_to_none_have_the_key_when_they_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    world = lacking(monkeypatch)
    world.scale(0)
    world.roll()
    world.run()
    assert signs(world)


def test_the_journal_s_end_deletes_no_key_and_restarts_nothing() -> None:
    world = with_journal()
    world.written.clear()
    restart_with(world, None)
    world.run()
    assert (written(world), NAME in secrets(world), signs(world)) == ([], True, True)


def test_an_app_that_serves_without_a_journal_gets_its_key_when_one_is_installed() -> None:
    world = serving("v1")
    world.written.clear()
    restart_with(world, JOURNAL)
    assert shown(world.plan())[0] == "create callback key"
    world.run()
    assert (written(world), signs(world)) == ([], False)

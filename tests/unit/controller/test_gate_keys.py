"""Access Keys at the gate: digests instead of keys, for private serverless Apps alone, and none for deleted Apps."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from dynamiq_operator.controller.upkeep.gate_keys import GateKeys
from dynamiq_operator.desired.base import SECRET, child
from dynamiq_operator.desired.gate_keys import gate_keys
from dynamiq_operator.desired.gate_slice import gate_slice
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, ROWS, SECRETS, SLICES
from dynamiq_operator.model import names
from dynamiq_operator.model.gates import GateNote
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.observed.problems import ProblemReason
from tests.support import factories as given
from tests.support import slices
from tests.support.controller import NAMED, Process, at, execute, stored
from tests.support.scripted import Script, failure, listed, missing

APP = (given.NAMESPACE, given.NAME)
CHAT = given.an_app()
SOURCE = at(SECRETS, names.access_keys(given.NAME))
THERE = SECRETS.path(names.GATE_NAMESPACE)
NAME = names.gate_keys(*APP)
SLEEPY = {"type": "serverless", "idleSeconds": 60, "maxReplicas": 3, "holdSeconds": 30}
WRITE = operations.WriteGateKeys(CHAT, names.GATE_NAMESPACE, "40")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def keys(version: int = 40, **data: str) -> Manifest:
    made = child(CHAT, SECRET, names.access_keys(given.NAME), data={name: encoded(value) for name, value in data.items()})
    return stored(made, version)


def digests(manifest: Any) -> list[str]:
    return base64.b64decode(manifest["data"]["digests"]).decode().split("\n")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_digests_are_those_of_the_keys_that_the_runtime_accepts_and_name_their_app(process: Process, script: Script) -> None:
    script.on("GET", SOURCE, keys(a="one\n", b=" two ", c="", d=" \n"))
    script.on("POST", THERE, stored({"metadata": {"name": NAME}}))
    await execute(process, APP, WRITE)
    (sent,) = script.bodies("POST", THERE)
    assert digests(sent) == [sha("one"), sha("two")]
    assert (sent["metadata"]["name"], sent["metadata"]["namespace"]) == (NAME, names.GATE_NAMESPACE)
    assert sent["metadata"]["labels"] == {names.MANAGED_BY: names.FIELD_MANAGER}
    assert sent["metadata"]["annotations"][names.KEYS_OF_ANNOTATION] == f"demo/chat/{CHAT.meta.uid}"
    assert "one" not in str(sent), "no key leaves the App's namespace"
    assert process.states.of(APP).gate_keys == "40"


async def test_digests_that_are_there_are_replaced_as_they_were_seen(process: Process, script: Script) -> None:
    script.on("GET", SOURCE, keys(a="new"))
    script.on("POST", THERE, failure(409, "AlreadyExists"))
    script.on("GET", f"{THERE}/{NAME}", stored({"metadata": {"name": NAME}}, 12))
    script.on("PATCH", f"{THERE}/{NAME}", stored({"metadata": {"name": NAME}}, 13))
    await execute(process, APP, WRITE)
    (sent,) = script.bodies("PATCH", f"{THERE}/{NAME}")
    assert (sent["metadata"]["resourceVersion"], digests(sent)) == ("12", [sha("new")])


async def test_keys_that_changed_meanwhile_are_looked_at_again_first(process: Process, script: Script) -> None:
    script.on("GET", SOURCE, keys(version=41, a="newer"))
    with pytest.raises(errors.Conflict):
        await execute(process, APP, WRITE)
    assert script.writes() == []


def see(process: Process, config: Manifest, *modifiers: given.Modifier) -> None:
    process.informers.on_watch_event(APPS, "ADDED", stored(given.stored(given.app_manifest(*modifiers))))
    process.informers.on_watch_event(ROWS, "ADDED", stored(given.stored(given.row_manifest("a", given.live(1, config=config)))))


async def test_the_keys_of_the_gate_are_read_once_and_only_for_private_serverless_apps(process: Process, script: Script) -> None:
    script.on("GET", SOURCE, keys(a="one"))
    see(process, given.CONFIG)
    assert (await process.observer.observe(APP)).secrets.gate_keys is None
    see(process, SLEEPY, given.public())
    assert not [sent for sent in script.sent if sent.path.startswith(THERE)]

    process.informers.on_watch_event(APPS, "MODIFIED", stored(given.stored(given.app_manifest()), 5))
    process.informers.on_watch_event(ROWS, "MODIFIED", stored(given.stored(given.row_manifest("a", given.live(1, config=SLEEPY))), 5))
    script.on("GET", f"{THERE}/{NAME}", missing("secrets", NAME))
    for _ in range(2):
        assert (await process.observer.observe(APP)).secrets.gate_keys == ""
    assert len([sent for sent in script.sent if sent.path.startswith(THERE)]) == 1
    process.states.invalidate(APP)
    script.on("GET", f"{THERE}/{NAME}", stored(gate_keys(CHAT, names.GATE_NAMESPACE, "40", {}), 3))
    assert (await process.observer.observe(APP)).secrets.gate_keys == "40"
    process.states.invalidate(APP)
    script.on("GET", f"{THERE}/{NAME}", failure(403, "Forbidden"))
    assert (await process.observer.observe(APP)).secrets.gate_keys is None, "what may not be read is not absent"


async def test_the_keys_of_the_gate_are_read_again_if_an_app_is_serverless_again(process: Process, script: Script) -> None:
    """While the App was not serverless its digests were deleted. Without them no pod of the gate would answer for it."""
    script.on("GET", SOURCE, keys(a="one"))
    script.on("GET", f"{THERE}/{NAME}", stored(gate_keys(CHAT, names.GATE_NAMESPACE, "40", {}), 3), missing("secrets", NAME))
    see(process, SLEEPY)
    assert (await process.observer.observe(APP)).secrets.gate_keys == "40"
    for version, (config, known) in enumerate([(given.CONFIG, None), (SLEEPY, "")], 5):
        row = given.row_manifest("a", given.live(1, config=config))
        process.informers.on_watch_event(ROWS, "MODIFIED", stored(given.stored(row), version))
        assert (await process.observer.observe(APP)).secrets.gate_keys == known


async def test_a_gate_that_notes_a_refused_key_makes_the_operator_look_at_the_keys_once(process: Process, script: Script) -> None:
    script.on("GET", SOURCE, keys(40, a="one"), keys(41, a="two"))
    script.on("GET", f"{THERE}/{NAME}", missing("secrets", NAME))
    see(process, SLEEPY)
    process.informers.on_watch_event(SLICES, "ADDED", stored(slices.gate_slice(slices.endpoint("gate-a")), 1))
    assert (await process.observer.observe(APP)).secrets.access_keys.version == "40"
    noted = {**slices.endpoint("gate-a"), "hostname": "refused-58812345"}
    process.informers.on_watch_event(SLICES, "MODIFIED", stored(slices.gate_slice(noted), 2))
    for _ in range(3):
        assert (await process.observer.observe(APP)).secrets.access_keys.version == "41"
    assert len([sent for sent in script.sent if sent.path == SOURCE]) == 2


# Remains of deleted Apps.


def at_gate(app: str = given.NAME, uid: str = CHAT.meta.uid, namespace: str = given.NAMESPACE) -> Manifest:
    found = given.an_app(given.with_meta(name=app, uid=uid, namespace=namespace))
    return stored(gate_keys(found, names.GATE_NAMESPACE, "40", {}), 3)


async def swept(process: Process, script: Script, *there: Manifest) -> list[str]:
    """Returns the names of the digests that a sweep deletes."""
    script.on("GET", THERE, listed(*there))
    for each in there:
        script.on("DELETE", f"{THERE}/{each['metadata']['name']}", NAMED)
    before = len(script.sent)
    await GateKeys(process.client, process.cache, process.denials, names.GATE_NAMESPACE, process.namespaces).sweep()
    return [sent.path.rpartition("/")[2] for sent in script.sent[before:] if sent.method == "DELETE"]


async def test_digests_go_with_their_app_and_with_its_type(process: Process, script: Script) -> None:
    see(process, SLEEPY)
    gone, other = at_gate("gone", "uid-of-gone"), at_gate(uid="of-the-app-before")
    other["metadata"]["name"] = "other"
    assert await swept(process, script, at_gate(), gone, other) == [gone["metadata"]["name"], "other"]
    process.informers.on_watch_event(ROWS, "MODIFIED", stored(given.stored(given.row_manifest("a", given.live(1, config=given.CONFIG))), 9))
    assert await swept(process, script, at_gate()) == [NAME]


async def test_digests_stay_unless_the_app_is_known_to_be_deleted(process: Process, script: Script) -> None:
    process.namespaces = frozenset({given.NAMESPACE})
    assert await swept(process, script, at_gate("elsewhere", "u", "another")) == [], "Apps of that namespace are not read"
    process.denials.note(APPS, given.NAMESPACE, "apps is forbidden")
    assert await swept(process, script, at_gate("gone", "u")) == []
    process.denials.note(APPS, given.NAMESPACE, None)
    see(process, SLEEPY)
    process.informers.on_watch_event(ROWS, "DELETED", stored(given.row_manifest("a"), 99))
    assert await swept(process, script, at_gate()) == [], "rows that are not known say nothing of the type"


@pytest.mark.parametrize("answer", [failure(403, "Forbidden"), failure(404, "NotFound")])
async def test_without_a_gate_there_is_nothing_to_sweep(process: Process, script: Script, answer: Any) -> None:
    script.on("GET", THERE, answer)
    await process.gate_keys.sweep()
    assert len(script.sent) == 1


# The slice.


def of_app() -> Manifest:
    return gate_slice(CHAT, GateNote(workload="chat", app_id=CHAT.meta.uid, hold_seconds=9, private=True, port=8080), 20001, "IPv4")


async def test_a_slice_that_exists_is_left_as_it_is_with_the_endpoints_that_the_gate_has_written(process: Process, script: Script) -> None:
    path = at(SLICES, names.gate_slice(given.NAME))
    script.on("POST", at(SLICES), failure(409, "AlreadyExists"))
    script.on("GET", path, stored({**of_app(), "endpoints": [slices.endpoint("gate-a")]}, 7))
    await execute(process, APP, operations.CreateChild(CHAT, of_app(), "d"))
    assert len(script.writes()) == 1
    bare = stored(of_app(), 7)
    del bare["metadata"]["labels"][names.ENDPOINTS_LABEL]
    script.on("GET", path, bare)
    await execute(process, APP, operations.CreateChild(CHAT, of_app(), "d"))
    found = process.states.of(APP).problems[(SLICES.kind, names.gate_slice(given.NAME))].problem
    assert (found.reason, "lacks labels of ours" in found.message) == (ProblemReason.TAKEN, True)

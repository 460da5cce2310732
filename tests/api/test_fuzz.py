"""Thousands of requests to change rows, by a cluster administrator without an operator: none changes a row.

The same requests do change copies of the rows that neither the schema's rules nor the policies protect: the requests are not empty.
"""

from __future__ import annotations

import copy
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from dynamiq_operator.model import crd
from dynamiq_operator.model.base import API_VERSION, RULES
from dynamiq_operator.model.kinds import ROW
from local.clusters import Cluster
from tests.api.support.schema import fuzzing
from tests.api.support.schema.fuzzing import MANAGER, Attempt
from tests.support.admission import adopt, essence, made, owned_by, restorer
from tests.support.api import Answer, Api, Manifest
from tests.support.cluster import Kubectl
from tests.support.factories import app_manifest, in_namespace
from tests.support.history_stage import in_full
from tests.support.swarm import APPLY, MERGE, WORKERS, Request, Swarm, shared, swarm
from tests.support.waiting import eventually

pytestmark = [pytest.mark.usefixtures("guarded"), pytest.mark.timeout(1800)]

REQUESTS, AT_ONCE = (10_000, WORKERS) if in_full() else (400, 4)
"""Requests, and senders at once. Each sender has its own row of each shape."""
SEED = 2026
FREE_GROUP = "unguarded.test"
CHANGED_AT_LEAST = 0.8


@dataclass
class Tally:
    """The counted results of the requests."""

    changed: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    fields: set[fuzzing.Path] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    def count(self, attempt: Attempt, answer: Answer) -> None:
        self.ways[attempt.way] += 1
        self.answers[answer.status] += 1
        self.fields |= {change.path for change in attempt.changes}


def manifest(api_version: str, namespace: str, shape: str, worker: int) -> Manifest:
    meta = {"name": f"{shape}-{worker}", "namespace": namespace}
    return {"apiVersion": api_version, "kind": ROW.kind, "metadata": meta, "spec": fuzzing.shapes()[shape]}


def collection(api_version: str, namespace: str) -> str:
    return f"/apis/{api_version}/namespaces/{namespace}/{ROW.plural}"


@pytest.fixture
def owners(api: Api, namespace: str) -> tuple[Manifest, Manifest]:
    """Returns the App that owns the rows, and another existing object."""
    other = made(api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": namespace}}))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other["metadata"]["uid"]}
    return made(api.create(app_manifest(in_namespace(namespace)))), reference


def test_every_field_has_two_values() -> None:
    first, second = fuzzing.full(0), fuzzing.full(1)
    for path in fuzzing.fields():
        one, other = (fuzzing.at({"spec": spec}, path) for spec in (first, second))
        assert one != other, path


@pytest.mark.full_count
async def test_no_request_changes_a_row(cluster: Cluster, api: Api, namespace: str, owners: tuple[Manifest, Manifest]) -> None:
    app, other = owners
    rows: dict[tuple[str, int], Manifest] = {}
    for worker in range(AT_ONCE):
        for shape in fuzzing.shapes():
            row = made(restorer(api).apply(manifest(API_VERSION, namespace, shape, worker), manager=MANAGER))
            adopt(api, app, row)
            rows[shape, worker] = made(api.read(row))
    before = {row["metadata"]["name"]: essence(row) for row in rows.values()}
    tally, started = Tally(), time.monotonic()
    async with swarm(cluster) as flock:

        async def attempt(worker: int, tried: Attempt) -> None:
            row = rows[tried.shape, worker]
            answer = await flock.send(tried.request(row, collection(API_VERSION, namespace)))
            tally.count(tried, answer)
            if answer.ok:
                rows[tried.shape, worker] = answer.body
                if essence(answer.body) != before[row["metadata"]["name"]]:
                    tally.broken.append(f"{tried}: {answer.body}")

        await shared(fuzzing.attempts(REQUESTS, SEED, other), attempt, AT_ONCE)
    stored = made(api.request("GET", collection(API_VERSION, namespace)))["items"]
    assert tally.broken == []
    assert {row["metadata"]["name"]: essence(row) for row in stored} == before
    assert tally.fields == {*fuzzing.fields(), *fuzzing.METADATA}
    report("rows", tally, started, changed=0)


@pytest.fixture
def free(api: Api, kubectl: Kubectl) -> Iterator[str]:
    """Serves the rows' definition in another group without its rules, and yields the apiVersion."""
    made_of = without_rules(copy.deepcopy(crd.crd(ROW)))
    made_of["metadata"]["name"], made_of["spec"]["group"] = f"{ROW.plural}.{FREE_GROUP}", FREE_GROUP
    made_of["spec"]["names"].pop("shortNames")
    made_of["spec"]["names"].pop("categories")
    version = f"{FREE_GROUP}/{made_of['spec']['versions'][0]['name']}"
    made(api.create(made_of))
    eventually("the copy is served", lambda: api.request("GET", collection(version, "default")).ok)
    yield version
    api.delete(made_of)


def without_rules(node: Manifest) -> Manifest:
    return {
        name: without_rules(part) if isinstance(part, dict) else [without_rules(item) if isinstance(item, dict) else item for item in part] if isinstance(part, list) else part
        for name, part in node.items()
        if name != RULES
    }  # fmt: skip


def looks(row: Manifest) -> bytes:
    return essence(row) + json.dumps(row.get("status"), sort_keys=True).encode()


@pytest.mark.long("it measures the requests of `test_no_request_changes_a_row`, which `make test` runs: they do ask for something")
@pytest.mark.full_count
async def test_the_same_requests_change_what_nothing_holds(
    cluster: Cluster, api: Api, namespace: str, owners: tuple[Manifest, Manifest], free: str
) -> None:
    app, other = owners
    rows: dict[tuple[str, int], Manifest] = {}
    tally, started = Tally(), time.monotonic()
    async with swarm(cluster) as flock:

        async def attempt(worker: int, tried: Attempt) -> None:
            row = rows.get((tried.shape, worker)) or await fresh(flock, manifest(free, namespace, tried.shape, worker), app)
            rows[tried.shape, worker] = row
            answer = await flock.send(tried.request(row, collection(free, namespace)))
            tally.count(tried, answer)
            if not answer.ok:
                return
            if looks(answer.body) != looks(row):
                tally.changed += 1
            if looks(answer.body) != looks(row) or answer.body["metadata"]["resourceVersion"] != row["metadata"]["resourceVersion"]:
                await delete(flock, answer.body, collection(free, namespace))
                del rows[tried.shape, worker]

        await shared(fuzzing.attempts(REQUESTS, SEED, other), attempt, AT_ONCE)
    report("copies without rules and policies", tally, started, changed=tally.changed)
    assert tally.changed >= CHANGED_AT_LEAST * tally.ways.total()


async def fresh(flock: Swarm, sent: Manifest, app: Manifest) -> Manifest:
    """Returns a copy made like the rows of the first test: applied by the same manager, owned by the App."""
    url = f"{collection(sent['apiVersion'], sent['metadata']['namespace'])}/{sent['metadata']['name']}"
    made(await flock.send(Request("PATCH", url, sent, APPLY, {"fieldManager": MANAGER, "force": "true"})))
    owned = {"metadata": {"ownerReferences": [owned_by(app, controller=True)]}}
    return made(await flock.send(Request("PATCH", url, owned, MERGE, {"fieldManager": "dynamiq-operator"})))


async def delete(flock: Swarm, row: Manifest, where: str) -> None:
    url = f"{where}/{row['metadata']['name']}"
    if row["metadata"].get("finalizers"):
        made(await flock.send(Request("PATCH", url, {"metadata": {"finalizers": None}}, MERGE)))
    made(await flock.send(Request("DELETE", url)))


def report(what: str, tally: Tally, started: float, *, changed: int) -> None:
    total, seconds = tally.ways.total(), time.monotonic() - started
    print(
        f"{total} requests to change {what}, on {len(tally.fields)} fields: {changed} changed one ({changed / total:.1%}); {seconds:.0f} s"
    )
    print(f"  ways: {counted_text(tally.ways)}; answers: {counted_text(tally.answers)}")


def counted_text(counts: Mapping[str, int] | Mapping[int, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items(), key=lambda item: -item[1]))

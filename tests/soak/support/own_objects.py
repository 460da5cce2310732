"""Makes the objects of Apps that their users and their deploys wrote: Apps, releases and rows. Those of the first App are posted. Those of
all others are written into etcd, as a restore of etcd would.

Through the API server, 10,000 Apps of 20 rows would take half an hour. The form of every object is what etcd has of the first App's.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, RUNTIMES, VERSIONS, ApiResource
from dynamiq_operator.model import digests, kinds
from dynamiq_operator.model.base import API_VERSION
from local import state
from local.clusters import Cluster
from tests.soak.capacity_figures import Size
from tests.support import factories as given
from tests.support.api import Manifest
from tests.support.swarm import MERGE, Request, Swarm, shared, swarm

Place = tuple[str, str]
"""Namespace and name of an App."""
Objects = Sequence[tuple[ApiResource, Manifest]]
LIVE_SEQUENCE = 100_000
"""The sequence of the live row: later rows are inserted before it."""
PROJECTS = 10
NOTHING = Size(0, 0, 0)
CLOSED: Manifest = {"phase": "Superseded", "observedGeneration": 1}


def places(apps: int) -> Iterator[Place]:
    """Yields the place of each App."""
    return ((f"scale-{number % PROJECTS}", f"chat-{number}") for number in range(apps))


def grow(cluster: Cluster, before: Size, after: Size) -> None:
    """Creates the objects that `after` has and `before` has not, while no operator runs."""
    asyncio.run(_grow(cluster, before, after))


async def _grow(cluster: Cluster, before: Size, after: Size) -> None:
    async with swarm(cluster) as sending, _etcd(cluster) as etcd:
        if not before.apps:
            for number in range(PROJECTS):
                name = f"scale-{number}"
                await post(sending, NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            await post(sending, RUNTIMES, given.runtime_manifest())
        first, *others = places(after.apps)
        uid = await _post_first(sending, first, before, after)
        forms = {size: [await etcd.get(*each) for each in _objects(first, uid, size, after)] for size in {NOTHING, before}}

        async def of_app(_: int, numbered: tuple[int, Place]) -> None:
            number, place = numbered
            present = number < before.apps
            own = str((await get(sending, APPS, *place))["metadata"]["uid"]) if present else str(uuid.uuid4())
            size = before if present else NOTHING
            await etcd.copy(forms[size], _objects(place, own, size, after), uid, own)

        await shared(enumerate(others, 1), of_app)


async def _post_first(sending: Swarm, place: Place, before: Size, after: Size) -> str:
    """Posts the objects of the first App; returns its uid."""
    if not before.apps:
        await post(sending, APPS, _app(place))
    uid = str((await get(sending, APPS, *place))["metadata"]["uid"])
    for resource, raw in _objects(place, uid, before, after):
        if resource is not APPS:
            await post(sending, resource, {key: value for key, value in raw.items() if key != "status"})
        if resource is ROWS and "status" in raw:
            path = ROWS.path(place[0], raw["metadata"]["name"], "status")
            answer = await sending.send(Request("PATCH", path, {"status": raw["status"]}, MERGE))
            assert answer.ok, answer.message
    return uid


def flow(app: str, version: str, kib: int) -> str:
    """Returns a flow of this size that no other release has."""
    start = given.flow(f"{app} {version}")
    return start + "#" * (kib * 1024 - len(start) - 1) + "\n"


def _objects(place: Place, uid: str, before: Size, after: Size) -> Objects:
    """Returns what an App of this uid has at `after`, and had not at `before`."""
    return [*([] if before.apps else [(APPS, _app(place))]), *_releases(place, before, after), *_rows(place, uid, before, after)]


def _app(place: Place) -> Manifest:
    namespace, app = place
    return given.app_manifest(given.in_namespace(namespace), given.with_spec(workflow=app), name=app)


def _releases(place: Place, before: Size, after: Size) -> Iterator[tuple[ApiResource, Manifest]]:
    namespace, app = place
    releases = [(f"v{number}", after.flow_kib) for number in range(before.releases + 1, after.releases + 1)]
    releases += [(f"v{1000 + number}", after.large_kib) for number in range(before.large + 1, after.large + 1)]
    for version, kib in releases:
        spec = given.with_spec(flow=flow(app, version, kib))
        yield VERSIONS, given.version_manifest(version, given.in_namespace(namespace), spec, workflow=app)


def _rows(place: Place, uid: str, before: Size, after: Size) -> Iterator[tuple[ApiResource, Manifest]]:
    namespace, app = place
    pins = {"workflow": app, "workflowHash": digests.flow_hash(flow(app, "v1", after.flow_kib))}
    owner = given.with_meta(ownerReferences=[{"apiVersion": API_VERSION, "kind": kinds.APP.kind, "name": app, "uid": uid}])
    common = given.in_namespace(namespace), given.of_app(app)
    for number in range(max(before.rows, 1), after.rows):  # one of the rows is the live one
        row = given.row_manifest(f"{app}-r{number}", *common, given.superseded(number, "v1", **pins), owner)
        yield ROWS, {**row, "status": CLOSED}
    if not before.rows:
        row = given.row_manifest(f"{app}-live", *common, given.live(LIVE_SEQUENCE, "v1", **pins), owner)
        yield ROWS, {key: value for key, value in row.items() if key != "status"}


async def post(sending: Swarm, resource: ApiResource, raw: Manifest) -> None:
    answer = await sending.send(Request("POST", resource.path(raw["metadata"].get("namespace", "")), raw))
    assert answer.ok, answer.message


async def get(sending: Swarm, resource: ApiResource, namespace: str, name: str) -> Manifest:
    answer = await sending.send(Request("GET", resource.path(namespace, name)))
    assert answer.ok, answer.message
    return answer.body


@dataclass(frozen=True)
class _Etcd:
    """The cluster's etcd, by its JSON gateway."""

    session: aiohttp.ClientSession
    url: str

    async def get(self, resource: ApiResource, raw: Manifest) -> Manifest:
        """Returns an object as it is stored, without what an operator wrote into its status."""
        async with self.session.post(f"{self.url}/v3/kv/range", json={"key": _encoded(_key(resource, raw))}) as answer:
            found = await answer.json(content_type=None)
        stored: Manifest = json.loads(base64.b64decode(found["kvs"][0]["value"]))
        assert stored["spec"] == raw["spec"], "the API server adds something to what is written"
        if "status" not in raw:
            stored.pop("status", None)
            managed = stored["metadata"]["managedFields"]
            stored["metadata"]["managedFields"] = [each for each in managed if "subresource" not in each]
        return stored

    async def copy(self, forms: Sequence[Manifest], objects: Objects, former: str, uid: str) -> None:
        """Writes an App's objects in the form of another App's. `former`, `uid`: those of the two Apps."""
        for form, (resource, raw) in zip(forms, objects, strict=True):
            text = _copied(form, raw, uid if resource is APPS else str(uuid.uuid4())).replace(former, uid)
            # Each in a transaction of its own: a list may end between two objects of one revision, and no watch would report the second.
            put = {"key": _encoded(_key(resource, raw)), "value": _encoded(text)}
            async with self.session.post(f"{self.url}/v3/kv/put", json=put) as answer:
                assert answer.status == 200, await answer.text()


@asynccontextmanager
async def _etcd(cluster: Cluster) -> AsyncIterator[_Etcd]:
    record = state.load(cluster.name)
    assert record is not None, f"{cluster.name} is no cluster of this machine"
    login = ssl.create_default_context()
    # OpenSSL takes its certificate for self-signed: it has the name of its issuer.
    login.check_hostname, login.verify_mode = False, ssl.CERT_NONE
    login.load_cert_chain(record.folder / "pki" / "etcd-client.crt", record.folder / "pki" / "etcd-client.key")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=login)) as session:
        yield _Etcd(session, f"https://127.0.0.1:{record.ports['etcd']}")


def _copied(form: Manifest, raw: Manifest, uid: str) -> str:
    own = {key: raw["metadata"][key] for key in ("name", "namespace", "ownerReferences") if key in raw["metadata"]}
    return json.dumps({**form, "metadata": {**form["metadata"], **own, "uid": uid}, "spec": raw["spec"]}, separators=(",", ":"))


def _key(resource: ApiResource, raw: Manifest) -> str:
    return f"/registry/{resource.group}/{resource.plural}/{raw['metadata']['namespace']}/{raw['metadata']['name']}"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

"""Follows the Apps of the cluster: the place of each, if the content of its runs is recorded, and the limits of its background runs."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.informer import Informer, Listing
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import Manifest
from dynamiq_recorder.identity.tokens import NotNow
from dynamiq_recorder.store.results import Unavailable

RESOURCE = replace(APPS, label_selector="")


class Durable(msgspec.Struct, frozen=True):
    """App.spec.runs.durable: seconds for which ended background runs are kept, most open ones, and interruptions without progress.

    `wait`: seconds for which a question may be open.
    """

    keep: int = 86_400
    open_most: int = 10_000
    interruptions: int = 5
    wait: int = 2_592_000


class KnownApp(msgspec.Struct, frozen=True):
    """An App as the recorder and the journal know it.

    `records_content`: App.spec.runs.content. `redacts`: True if App.spec.runs.redact has rules, which its pods apply to their own runs.
    """

    uid: str
    namespace: str
    name: str
    records_content: bool
    redacts: bool = False
    durable: Durable = Durable()


class Apps:
    """All Apps, by uid and by name, as their list and watches deliver them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.informer = Informer(client, RESOURCE, self, also=(Unavailable,))
        self._by_uid: dict[str, KnownApp] = {}
        self._uids: dict[tuple[str, str], str] = {}

    @property
    def is_listed(self) -> bool:
        return self.informer.listed.is_set()

    def check_listed(self) -> None:
        """Raises NotNow before all Apps are known."""
        if not self.is_listed:
            raise NotNow("the recorder is starting")

    def get(self, uid: str) -> KnownApp | None:
        return self._by_uid.get(uid)

    def named(self, namespace: str, name: str) -> KnownApp | None:
        return self._by_uid.get(self._uids.get((namespace, name), ""))

    async def read(self, namespace: str, name: str) -> KnownApp | None:
        """Returns an App, which it reads if the watch has not delivered it yet; None if it is missing.

        Raises errors.ApiError.
        """
        if (known := self.named(namespace, name)) is None:
            try:
                await self.change(await self._client.get(APPS, namespace, name))
            except errors.NotFound:
                return None
            known = self.named(namespace, name)
        return known

    async def replace(self, listing: Listing) -> None:
        apps: dict[str, KnownApp] = {}
        async for objects in listing:
            apps |= {app.uid: app for app in map(_app, objects) if app is not None}
        self._by_uid, self._uids = apps, {(app.namespace, app.name): app.uid for app in apps.values()}

    async def change(self, raw: Manifest) -> None:
        if (app := _app(raw)) is not None:
            self._by_uid[app.uid] = app
            self._uids[app.namespace, app.name] = app.uid

    async def delete(self, raw: Manifest) -> None:
        app = self._by_uid.pop(str(raw["metadata"].get("uid")), None)
        if app is not None and self._uids.get((app.namespace, app.name)) == app.uid:
            del self._uids[app.namespace, app.name]


def _app(raw: Manifest) -> KnownApp | None:
    meta, spec = raw["metadata"], raw.get("spec")
    if not meta.get("uid") or not meta.get("namespace"):
        return None
    runs = _part(spec, "runs")
    redact = _part(runs, "redact")
    redacts = bool(redact.get("fields") or redact.get("patterns"))
    return KnownApp(meta["uid"], meta["namespace"], meta["name"], runs.get("content") is True, redacts, _durable(_part(runs, "durable")))


def _durable(raw: Manifest) -> Durable:
    """Reads the limits; a wrong value, which only an older schema lets through, counts as missing."""
    names = {"keep": "keepSeconds", "open_most": "maxOpen", "interruptions": "interruptions", "wait": "waitSeconds"}
    values = {field: raw.get(name) for field, name in names.items()}
    return Durable(**{field: value for field, value in values.items() if type(value) is int and value >= 0})


def _part(of: object, name: str) -> Manifest:
    value = of.get(name) if isinstance(of, dict) else None
    return value if isinstance(value, dict) else {}

"""Follows the Apps of the cluster: the place of each, if the content of its runs is recorded, and the limits of its background runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

    `wait`: seconds for which a question may be open. `callback_hosts`: those that callbacks may go to; empty for all public ones.
    """

    keep: int = 86_400
    open_most: int = 10_000
    interruptions: int = 5
    wait: int = 2_592_000
    callback_hosts: tuple[str, ...] = ()


class Sessions(msgspec.Struct, frozen=True):
    """App.spec.sessions: seconds after which a silent conversation ends, and seconds for which its pods stay without a turn.

    `when_unknown`: Live or Refuse, if a pod cannot find out whose a conversation is.
    """

    idle: int = 1_800
    warm: int = 300
    when_unknown: str = "Live"


class KnownApp(msgspec.Struct, frozen=True):
    """An App as the recorder and the journal know it.

    `records_content`: App.spec.runs.content. `redacts`: True if App.spec.runs.redact has rules, which its pods apply to their own runs.
    `limits_egress`: True if App.spec.network.egress limits where its pods may connect to. `counts_shapes`: False if App.spec.runs.shapes
    is. `triggers`: names of App.spec.triggers.
    """

    uid: str
    namespace: str
    name: str
    records_content: bool
    redacts: bool = False
    durable: Durable = Durable()
    sessions: Sessions | None = None
    """None: the App has none."""
    limits_egress: bool = False
    counts_shapes: bool = True
    triggers: frozenset[str] = frozenset()


class Apps:
    """All Apps, by uid and by name, as their list and watches deliver them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.informer = Informer(client, RESOURCE, self, also=(Unavailable,))
        self._by_uid: dict[str, KnownApp] = {}
        self._uids: dict[tuple[str, str], str] = {}
        self.sessions_changed: Callable[[str], None] = lambda _: None
        """Called with the uid of an App whose sessions are others than before."""

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

    def with_sessions(self) -> list[KnownApp]:
        return [each for each in self._by_uid.values() if each.sessions is not None]

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
        before, self._by_uid, self._uids = self._by_uid, apps, {(app.namespace, app.name): app.uid for app in apps.values()}
        for uid in before.keys() | apps.keys():
            self._note_sessions(before.get(uid), apps.get(uid))

    async def change(self, raw: Manifest) -> None:
        if (app := _app(raw)) is not None:
            before, self._by_uid[app.uid] = self._by_uid.get(app.uid), app
            self._uids[app.namespace, app.name] = app.uid
            self._note_sessions(before, app)

    async def delete(self, raw: Manifest) -> None:
        app = self._by_uid.pop(str(raw["metadata"].get("uid")), None)
        if app is not None and self._uids.get((app.namespace, app.name)) == app.uid:
            del self._uids[app.namespace, app.name]
        self._note_sessions(app, None)

    def _note_sessions(self, before: KnownApp | None, after: KnownApp | None) -> None:
        app = after or before
        if app is not None and (before.sessions if before is not None else None) != (after.sessions if after is not None else None):
            self.sessions_changed(app.uid)


def _app(raw: Manifest) -> KnownApp | None:
    meta, spec = raw["metadata"], raw.get("spec")
    if not meta.get("uid") or not meta.get("namespace"):
        return None
    runs = _part(spec, "runs")
    redact = _part(runs, "redact")
    redacts = bool(redact.get("fields") or redact.get("patterns"))
    return KnownApp(
        uid=meta["uid"],
        namespace=meta["namespace"],
        name=meta["name"],
        records_content=runs.get("content") is True,
        redacts=redacts,
        durable=_durable(_part(runs, "durable")),
        sessions=_sessions(spec),
        limits_egress=isinstance(_part(spec, "network").get("egress"), list),
        counts_shapes=runs.get("shapes") is not False,
        triggers=_triggers(spec),
    )


def _durable(raw: Manifest) -> Durable:
    """Reads the limits; a wrong value, which only an older schema lets through, counts as missing."""
    names = {"keep": "keepSeconds", "open_most": "maxOpen", "interruptions": "interruptions", "wait": "waitSeconds"}
    hosts = raw.get("callbackHosts")
    return Durable(
        **_counts(raw, names), callback_hosts=tuple(each for each in hosts if isinstance(each, str)) if isinstance(hosts, list) else ()
    )


def _sessions(spec: object) -> Sessions | None:
    raw = spec.get("sessions") if isinstance(spec, dict) else None
    if not isinstance(raw, dict):
        return None
    counts = _counts(raw, {"idle": "idleSeconds", "warm": "warmSeconds"})
    return Sessions(**counts, when_unknown="Refuse" if raw.get("whenUnknown") == "Refuse" else "Live")


def _triggers(spec: object) -> frozenset[str]:
    raw = spec.get("triggers") if isinstance(spec, dict) else None
    named = (each.get("name") for each in raw if isinstance(each, dict)) if isinstance(raw, list) else ()
    return frozenset(name for name in named if isinstance(name, str))


def _counts(raw: Manifest, names: Mapping[str, str]) -> dict[str, int]:
    """Returns the values of fields that are counts, by our names for them."""
    values = {field: raw.get(name) for field, name in names.items()}
    return {field: value for field, value in values.items() if type(value) is int and value >= 0}


def _part(of: object, name: str) -> Manifest:
    value = of.get(name) if isinstance(of, dict) else None
    return value if isinstance(value, dict) else {}

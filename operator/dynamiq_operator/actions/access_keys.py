"""Access Keys of an App: who may call it. They lie in a Secret, which is written under its resourceVersion, and the App is told of it.

A key that is there is never given out again: it is shown once, when it is made.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dynamiq_operator.actions.idempotency import TRIES, pause
from dynamiq_operator.actions.refusals import InvalidField, NotNow, Refusal, Taken, Unknown
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, Api
from dynamiq_operator.kube.app_objects import only_of_app
from dynamiq_operator.kube.resources import APPS, SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.text import plugin_command

SHOWN = 4
"""Letters of a key that tell it from others, and give nothing away."""
_NAME = re.compile(r"[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}")
"""Runtimes pass over files whose name begins with a dot: a kubelet has its own among them."""
_BYTES = 32


@dataclass(frozen=True)
class KnownKey:
    """A key as a list shows it: its name, and how it begins."""

    name: str
    begins: str


@dataclass(frozen=True)
class KeyPlan:
    """A key that would be made, or revoked where `value` is None. `others`: how many more there are. `uid`: the App's, where it is known."""

    namespace: str
    app: str
    name: str
    value: str | None
    others: int
    uid: str | None = None


class KeyPerformed(NamedTuple):
    """`is_announced`: the App was told; otherwise kubelets apply the change by themselves, after a while."""

    is_announced: bool


def known_keys(api: Api, namespace: str, app: str, uid: str | None = None) -> list[KnownKey]:
    """The keys by name. `uid`: the App's, where it is known. Raises NotNow where there are none yet, and kube.errors.ApiError."""
    found = values(_secret(api, namespace, app, uid))
    return [KnownKey(name, value[:SHOWN] if len(value) > 2 * SHOWN else "") for name, value in sorted(found.items())]


def values(secret: Manifest) -> Mapping[str, str]:
    """The keys of the Secret."""
    return {
        name: base64.b64decode(text).decode(errors="replace").strip()
        for name, text in (secret.get("data") or {}).items()
        if text is not None
    }


def key_of(api: Api, namespace: str, app: str, name: str | None, uid: str | None = None) -> str:
    """One key: the named one, else the first there is. `uid`: the App's, where it is known. Raises Unknown, NotNow and kube.errors.ApiError."""
    found = values(_secret(api, namespace, app, uid))
    if name is not None and name not in found:
        raise _no_key(app, name, found)
    chosen = name or next((each for each in ("default", *sorted(found)) if found.get(each) and not each.startswith(".")), None)
    if chosen is None:
        raise Unknown(f"App {app} has no Access Key: {plugin_command(f'keys create {app}', namespace)}")
    return found[chosen]


def plan_key(api: Api, namespace: str, app: str, name: str | None, uid: str | None = None) -> KeyPlan:
    """A new key, random. `uid`: the App's, where it is known. Raises InvalidField, Taken, NotNow and kube.errors.ApiError."""
    found = values(_secret(api, namespace, app, uid))
    name = name or f"key-{secrets.token_hex(3)}"
    if not _NAME.fullmatch(name):
        raise InvalidField("name", "a key's name has only letters, digits, '-', '_' and '.', and does not begin with '.'")
    if name in found:
        raise Taken(f"App {app} has a key {name} already: name another, or revoke it first", "name", "taken")
    return KeyPlan(namespace, app, name, secrets.token_urlsafe(_BYTES), len(found), uid)


def plan_revocation(api: Api, namespace: str, app: str, name: str, uid: str | None = None) -> KeyPlan:
    """A key that is no more. `uid`: the App's, where it is known. Raises Unknown, NotNow and kube.errors.ApiError."""
    found = values(_secret(api, namespace, app, uid))
    if name not in found:
        raise _no_key(app, name, found)
    return KeyPlan(namespace, app, name, None, len(found) - 1, uid)


def perform_key(api: Api, plan: KeyPlan) -> KeyPerformed:
    """Writes the Secret, then tells the App. Raises Taken, NotNow and kube.errors.ApiError."""
    encoded = base64.b64encode(plan.value.encode()).decode() if plan.value is not None else None
    for _ in range(TRIES):
        found = _secret(api, plan.namespace, plan.app, plan.uid)
        is_there = plan.name in (found.get("data") or {})
        if plan.value is None and not is_there:
            break  # another caller revoked it
        if plan.value is not None and is_there:
            raise Taken(f"App {plan.app} has a key {plan.name} already: name another", "name", "taken")
        meta = {"uid": found["metadata"]["uid"], "resourceVersion": found["metadata"]["resourceVersion"]}
        path = SECRETS.path(plan.namespace, found["metadata"]["name"])
        try:
            api.request("PATCH", path, body={"metadata": meta, "data": {plan.name: encoded}}, content_type=MERGE)
        except errors.Conflict:
            pause()
            continue
        break
    else:
        raise NotNow(f"others change the keys of App {plan.app} at this moment: try again")
    return KeyPerformed(_announce(api, plan))


def _announce(api: Api, plan: KeyPlan) -> bool:
    """Tells the operator, which may not watch Secrets. The key is there by now: what goes wrong here costs 60 to 90 s, and no more."""
    same = {"uid": plan.uid} if plan.uid is not None else {}
    body = {"metadata": {**same, "annotations": {names.KEYS_CHANGED_ANNOTATION: secrets.token_hex(8)}}}
    try:
        api.request("PATCH", APPS.path(plan.namespace, plan.app), body=body, content_type=MERGE)
    except errors.ApiError:
        return False
    return True


def _secret(api: Api, namespace: str, app: str, uid: str | None) -> Manifest:
    """The Secret of the App's keys; that of a deleted App of the same name is about to go, and a key in it would let nobody in."""
    try:
        found = requests.get(api, SECRETS, namespace, names.access_keys(app))
    except errors.NotFound:
        found = None
    if found is None or not only_of_app(api, namespace, app, [found], uid):
        raise NotNow(f"App {app} has no Access Keys in namespace {namespace} yet: they are made with its first deploy")
    return found


def _no_key(app: str, name: str, found: Mapping[str, str]) -> Refusal:
    return Unknown(f"App {app} has no key {name}; there are: {', '.join(sorted(found)) or 'none'}")

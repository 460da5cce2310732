"""Lists, creates and revokes the Access Keys of an App, which allow callers to call it. They are stored in a Secret.

It shows the whole value of a key once, when the key is created: lists have only its first characters.
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
"""First characters of a key that a list shows: enough to recognize it, too few to use it."""
# No leading dot: Runtimes skip such files, since a kubelet mounts its own under such names.
_NAME = re.compile(r"[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}")
_BYTES = 32


@dataclass(frozen=True)
class KnownKey:
    """A key in a list: its name and its first characters, empty for a key that is too short to show any."""

    name: str
    begins: str


@dataclass(frozen=True)
class KeyPlan:
    """A key that would be created, or revoked if `value` is None.

    `others`: the number of the App's other keys. `uid`: the App's, if known.
    """

    namespace: str
    app: str
    name: str
    value: str | None
    others: int
    uid: str | None = None


class KeyPerformed(NamedTuple):
    """The outcome of a change of keys.

    `is_announced`: the App was annotated. Otherwise kubelets apply the change by themselves, after 60 to 90 s.
    """

    is_announced: bool


def known_keys(api: Api, namespace: str, app: str, uid: str | None = None) -> list[KnownKey]:
    """Lists the keys, sorted by name. `uid`: the App's, if known.

    Raises NotNow if the App has no Secret of keys yet, and kube.errors.ApiError.
    """
    keys = values(_secret(api, namespace, app, uid))
    return [KnownKey(name, value[:SHOWN] if len(value) > 2 * SHOWN else "") for name, value in sorted(keys.items())]


def values(secret: Manifest) -> Mapping[str, str]:
    """Decodes the keys of the Secret, by name."""
    return {
        name: base64.b64decode(text).decode(errors="replace").strip()
        for name, text in (secret.get("data") or {}).items()
        if text is not None
    }


def key_of(api: Api, namespace: str, app: str, name: str | None, uid: str | None = None) -> str:
    """Returns the value of the named key; without a name that of `default`, else of the first key by name. `uid`: the App's, if known.

    Raises Unknown, NotNow and kube.errors.ApiError.
    """
    keys = values(_secret(api, namespace, app, uid))
    if name is not None and name not in keys:
        raise _no_key(app, name, keys)
    chosen = name or next((each for each in ("default", *sorted(keys)) if keys.get(each) and not each.startswith(".")), None)
    if chosen is None:
        raise Unknown(f"App {app} has no Access Key: {plugin_command(f'keys create {app}', namespace)}")
    return keys[chosen]


def plan_key(api: Api, namespace: str, app: str, name: str | None, uid: str | None = None) -> KeyPlan:
    """Plans a new key with a random value. `uid`: the App's, if known.

    Raises InvalidField, Taken, NotNow and kube.errors.ApiError.
    """
    keys = values(_secret(api, namespace, app, uid))
    name = name or f"key-{secrets.token_hex(3)}"
    if not _NAME.fullmatch(name):
        raise InvalidField("name", "a key's name has only letters, digits, '-', '_' and '.', and does not begin with '.'")
    if name in keys:
        raise Taken(f"App {app} has a key {name} already: name another, or revoke it first", "name", "taken")
    return KeyPlan(namespace, app, name, secrets.token_urlsafe(_BYTES), len(keys), uid)


def plan_revocation(api: Api, namespace: str, app: str, name: str, uid: str | None = None) -> KeyPlan:
    """Plans the revocation of a key. `uid`: the App's, if known.

    Raises Unknown, NotNow and kube.errors.ApiError.
    """
    keys = values(_secret(api, namespace, app, uid))
    if name not in keys:
        raise _no_key(app, name, keys)
    return KeyPlan(namespace, app, name, None, len(keys) - 1, uid)


def perform_key(api: Api, plan: KeyPlan) -> KeyPerformed:
    """Writes the Secret under its resourceVersion, then annotates the App.

    Raises Taken, NotNow and kube.errors.ApiError.
    """
    encoded = base64.b64encode(plan.value.encode()).decode() if plan.value is not None else None
    for _ in range(TRIES):
        secret = _secret(api, plan.namespace, plan.app, plan.uid)
        is_there = plan.name in (secret.get("data") or {})
        if plan.value is None and not is_there:
            break  # another caller has revoked it
        if plan.value is not None and is_there:
            raise Taken(f"App {plan.app} has a key {plan.name} already: name another", "name", "taken")
        meta = {"uid": secret["metadata"]["uid"], "resourceVersion": secret["metadata"]["resourceVersion"]}
        path = SECRETS.path(plan.namespace, secret["metadata"]["name"])
        try:
            api.request("PATCH", path, body={"metadata": meta, "data": {plan.name: encoded}}, content_type=MERGE)
        except errors.Conflict:
            pause()
            continue
        break
    else:
        raise NotNow(f"somebody else is changing the keys of App {plan.app}: try again")
    return KeyPerformed(_announce(api, plan))


def _announce(api: Api, plan: KeyPlan) -> bool:
    """Annotates the App, which triggers a reconcile; returns False if that failed."""
    # The operator may not watch Secrets. The key is written by now, so a failure here only delays it: kubelets need 60 to 90 s.
    same = {"uid": plan.uid} if plan.uid is not None else {}
    body = {"metadata": {**same, "annotations": {names.KEYS_CHANGED_ANNOTATION: secrets.token_hex(8)}}}
    try:
        api.request("PATCH", APPS.path(plan.namespace, plan.app), body=body, content_type=MERGE)
    except errors.ApiError:
        return False
    return True


def _secret(api: Api, namespace: str, app: str, uid: str | None) -> Manifest:
    """Returns the Secret of the App's keys. Raises NotNow if it is missing, or belongs to a deleted App of the same name."""
    # The Secret of a deleted App will be deleted, too: a key in it would not work.
    try:
        secret = requests.read_object(api, SECRETS, namespace, names.access_keys(app))
    except errors.NotFound:
        secret = None
    if secret is None or not only_of_app(api, namespace, app, [secret], uid):
        raise NotNow(f"App {app} has no Access Keys in namespace {namespace} yet: they are made with its first deploy")
    return secret


def _no_key(app: str, name: str, keys: Mapping[str, str]) -> Refusal:
    return Unknown(f"App {app} has no key {name}; there are: {', '.join(sorted(keys)) or 'none'}")

"""An idempotency key: the same request of the same user makes one row, and another request with the key is refused.

The name of what is made follows from the user, the object that the request is about, and the key, so that the API server itself refuses
a second one. What is made carries a hash of the request, by which a repeat is told from another request. Hashed is the action's
request and not what a surface was sent, so a key means the same on every surface.

A promotion's row lies in the target namespace, where its name collides with nothing in another target. Therefore a promotion notes its
key on the App that is promoted first (`note`), under that App's resourceVersion: of two promotions with one key and different targets,
the second one finds the note and is refused. That takes the right to patch the App, which `edit` has in the source namespace. A
caller without it promotes all the same: such a caller is certain to be able to write nothing but the row itself, so no object is
common to both promotions. A row that is in another target already is found and refused then, too; of two requests that
arrive at the same moment, each makes its row.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dynamiq_operator.actions.refusals import NotNow, Refusal, Unknown
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, Api
from dynamiq_operator.kube.resources import APPS, RECORDS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

HEADER = "Idempotency-Key"
NOTED_MOST = 32
"""Keys that are noted on an App: the newest."""
TRIES = 20
PAUSE = 0.25
"""Seconds at most between two tries: so that the same two writers do not meet again."""
ADDED = frozenset(("hold", "bypass_reason", "crossing"))
"""Fields of requests that earlier versions did not have."""
_NOTED_DIGITS = 16
_NOTED = re.compile(rf"[0-9a-f]{{{_NOTED_DIGITS + 64}}}")
"""Of a key's hash, as it is noted on an App."""


class Performed(NamedTuple):
    """What an action made. `is_replayed`: it was made before, under the same key."""

    made: Manifest
    is_replayed: bool = False


class KeyReused(Refusal):
    """The key came with another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request: use a new key", HEADER)


@dataclass(frozen=True)
class Key:
    """An idempotency key as a caller gives it."""

    user: str
    value: str

    def hash_for(self, *owner: str) -> str:
        """A hash of the key, with its user and what the request is about."""
        return _hash(self.user, *owner, self.value)


@dataclass(frozen=True)
class KeyClaim:
    """A request under a key: the name of its row, and hashes of the key, with its user and its owner, and of the request."""

    row: str
    key: str
    request: str

    @classmethod
    def of(
        cls, key: Key, action: str, owner: str, request: DataclassInstance, prefix: str, confirmed: Mapping[str, Any] | None = None
    ) -> KeyClaim:
        """`owner`: the uid of the App, or of the project where the App is yet to be made; `prefix` begins the row's name; `confirmed`: what of
        the preview somebody agreed to, since whoever confirms something else asks for something else.
        """
        hashed, given = key.hash_for(owner), _given(request)
        asked = [given] if confirmed is None else [given, dict(confirmed)]
        return cls(names.row_under_key(prefix, hashed), hashed, _hash(action, owner, *asked))

    @property
    def annotations(self) -> dict[str, str]:
        """Of an App that is made under the key."""
        return {names.KEY_ANNOTATION: self.key, names.REQUEST_ANNOTATION: self.request}

    def marked(self, record: Manifest) -> Manifest:
        """The record under the key's name."""
        meta = {"namespace": record["metadata"]["namespace"], "name": self.row, "annotations": {names.REQUEST_ANNOTATION: self.request}}
        return {**record, "metadata": meta}

    def check(self, found: Manifest) -> None:
        """Raises KeyReused where another request made the object."""
        if not self.is_of(found):
            raise KeyReused()

    def is_of(self, found: Manifest) -> bool:
        """Whether the same request made the object."""
        return _annotations(found).get(names.REQUEST_ANNOTATION) == self.request

    def has_made(self, app: Manifest) -> bool:
        """Whether the App was made under this key, by whatever request."""
        return _annotations(app).get(names.KEY_ANNOTATION) == self.key


def find_claimed_row(api: Api, namespaces: Iterable[str], claim: KeyClaim) -> Manifest | None:
    """The row that the request made in one of the namespaces; None where there is none. Raises KeyReused and kube.errors.ApiError."""
    for namespace in namespaces:
        try:
            found = requests.get(api, RECORDS, namespace, claim.row)
        except (errors.NotFound, errors.Denied) as error:
            if error.status == 401:
                raise
            continue
        claim.check(found)
        return found
    return None


def note(api: Api, namespace: str, app: str, claim: KeyClaim) -> None:
    """Notes the request on its App, so that no other one with the key is carried out, whatever its target.

    A caller who may not change the App leaves no note. Raises KeyReused, Unknown, NotNow and kube.errors.ApiError.
    """
    key = claim.key[:_NOTED_DIGITS]
    for _ in range(TRIES):
        try:
            found = requests.get(api, APPS, namespace, app)
        except errors.NotFound:
            raise Unknown(f"no App {app} in namespace {namespace}", "app") from None
        noted = _noted(found)
        if (known := noted.get(key)) is not None:
            if known != claim.request:
                raise KeyReused()
            return
        kept = dict([*noted.items(), (key, claim.request)][-NOTED_MOST:])
        meta = {
            "uid": found["metadata"]["uid"],
            "resourceVersion": found["metadata"]["resourceVersion"],
            "annotations": {names.PROMOTIONS_ANNOTATION: json.dumps(kept, separators=(",", ":"))},
        }
        try:
            api.request("PATCH", APPS.path(namespace, app), body={"metadata": meta}, content_type=MERGE)
        except errors.Conflict:
            pause()
            continue
        except errors.Denied as error:
            if error.status == 401:
                raise
        return
    raise NotNow(f"others change App {app} at this moment: try again")


def pause() -> None:
    """Waits for a moment, after another writer was faster with an object."""
    import random  # not at the top: the plugin starts without it

    time.sleep(random.uniform(0, PAUSE))  # noqa: S311 - no secret


def _given(request: DataclassInstance) -> dict[str, Any]:
    """The fields of a request; of those that came later what is given alone, so that a key means the same before an upgrade and after it."""
    return {field: value for field, value in asdict(request).items() if field not in ADDED or value is not None}


def _noted(app: Manifest) -> dict[str, str]:
    """The requests that are noted on an App, by their keys, oldest first; nothing where the annotation holds something else."""
    try:
        noted = json.loads(_annotations(app).get(names.PROMOTIONS_ANNOTATION, "{}"))
    except (ValueError, RecursionError):
        return {}
    # A caller who may patch the App may write anything: what is no hash is not carried along.
    known = noted.items() if isinstance(noted, dict) else ()
    return {key: request for key, request in known if isinstance(request, str) and _NOTED.fullmatch(key + request)}


def _annotations(found: Manifest) -> Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

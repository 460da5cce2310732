"""Claims idempotency keys: one request of a user makes one row, however often it is sent. Another request with the key is refused.

The row's name is derived from the user, the object of the request, and the key. Therefore the API server itself refuses a second row.
The row has a hash of the request, which distinguishes a repeat from another request. It is a hash of the action's request, not of a
surface's input, so a key means the same on every surface.

A promotion's row is in the target namespace, where its name cannot collide with a row in another target. Therefore a promotion first notes
its key on the promoted App (`note`), under that App's resourceVersion. A second promotion with the key and another target finds the note
and is refused.

The note needs the right to patch the App, which `edit` has in the source namespace. A caller without it promotes without a note: perhaps
such a caller can write only the row, so both promotions share no object. A row that exists in another target is still found and refused.
Two such requests at the same moment each make a row.
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
from dynamiq_operator.kube.resource import APPS, ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

HEADER = "Idempotency-Key"
NOTED_MOST = 32
"""Keys noted on an App at most: the newest."""
TRIES = 20
PAUSE = 0.25
"""Seconds between two tries at most. They are random, so the same two writers do not collide again."""
ADDED = frozenset(("hold", "bypass_reason", "crossing", "origins", "take_sessions"))
"""Fields of requests that earlier versions did not have."""
_NOTED_DIGITS = 16
_NOTED = re.compile(rf"[0-9a-f]{{{_NOTED_DIGITS + 64}}}")
"""A noted key and its request: the first digits of the key's hash, then the hash of the request."""


class Performed(NamedTuple):
    """The object that an action made. `is_replayed`: it was made before, under the same key."""

    made: Manifest
    is_replayed: bool = False


class KeyReused(Refusal):
    """A key that was used for another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request: use a new key", HEADER)


@dataclass(frozen=True)
class CallerKey:
    """An idempotency key of a caller."""

    user: str
    value: str

    def hash_for(self, *owner: str) -> str:
        """Hashes the key with its user and the object of the request."""
        return _hash(self.user, *owner, self.value)


@dataclass(frozen=True)
class KeyClaim:
    """A request under a key. `row`: the name of its row. `key`: the hash of user, owner and key. `request`: the hash of the request."""

    row: str
    key: str
    request: str

    @classmethod
    def of(
        cls, key: CallerKey, action: str, owner: str, request: DataclassInstance, prefix: str, confirmed: Mapping[str, Any] | None = None
    ) -> KeyClaim:
        """Claims a key for a request. `owner`: the uid of the App, or of the project if the App is not created yet.

        `prefix`: of the row's name. `confirmed`: the values of the preview that the caller confirmed; with others it is another request.
        """
        hashed, fields = key.hash_for(owner), _fields(request)
        parts = [fields] if confirmed is None else [fields, dict(confirmed)]
        return cls(names.row_under_key(prefix, hashed), hashed, _hash(action, owner, *parts))

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of an App that is created under the key."""
        return {names.KEY_ANNOTATION: self.key, names.REQUEST_ANNOTATION: self.request}

    @property
    def meta(self) -> Manifest:
        """The metadata of the object that the request makes: its name by the key, and the hash of the request."""
        return {"name": self.row, "annotations": {names.REQUEST_ANNOTATION: self.request}}

    def check(self, manifest: Manifest) -> None:
        """Raises KeyReused if another request made the object."""
        if not self.is_of(manifest):
            raise KeyReused()

    def is_of(self, manifest: Manifest) -> bool:
        """Returns True if the same request made the object."""
        return _annotations(manifest).get(names.REQUEST_ANNOTATION) == self.request

    def has_made(self, app: Manifest) -> bool:
        """Returns True if the App was created under this key, by any request."""
        return _annotations(app).get(names.KEY_ANNOTATION) == self.key


def find_claimed_row(api: Api, namespaces: Iterable[str], claim: KeyClaim) -> Manifest | None:
    """Finds the row that the request made in one of the namespaces; returns None without one.

    Raises KeyReused and kube.errors.ApiError.
    """
    for namespace in namespaces:
        try:
            row = requests.read_object(api, ROWS, namespace, claim.row)
        except (errors.NotFound, errors.Forbidden):
            continue
        claim.check(row)
        return row
    return None


def note(api: Api, namespace: str, app: str, claim: KeyClaim) -> None:
    """Notes the request on its App, so another request with the key is refused, whatever its target.

    A caller who may not patch the App leaves no note. Raises KeyReused, Unknown, NotNow and kube.errors.ApiError.
    """
    key = claim.key[:_NOTED_DIGITS]
    for _ in range(TRIES):
        try:
            raw = requests.read_object(api, APPS, namespace, app)
        except errors.NotFound:
            raise Unknown(f"no App {app} in namespace {namespace}", "app") from None
        earlier_notes = _notes_of(raw)
        if (earlier_request := earlier_notes.get(key)) is not None:
            if earlier_request != claim.request:
                raise KeyReused()
            return
        notes = dict([*earlier_notes.items(), (key, claim.request)][-NOTED_MOST:])
        meta = {
            "uid": raw["metadata"]["uid"],
            "resourceVersion": raw["metadata"]["resourceVersion"],
            "annotations": {names.PROMOTIONS_ANNOTATION: json.dumps(notes, separators=(",", ":"))},
        }
        try:
            api.request("PATCH", APPS.path(namespace, app), body={"metadata": meta}, content_type=MERGE)
        except errors.Conflict:
            pause()
            continue
        except errors.Forbidden:
            pass
        return
    raise NotNow(f"somebody else is changing App {app}: try again")


def pause() -> None:
    """Sleeps for a moment, after another writer was faster with an object."""
    import random  # not at the top: the plugin starts faster without it

    time.sleep(random.uniform(0, PAUSE))  # noqa: S311 - no secret


def _fields(request: DataclassInstance) -> dict[str, Any]:
    """Returns the fields of a request, without fields of ADDED that are None."""
    # With these, a request would have another hash after an upgrade, and its key would be refused.
    return {field: value for field, value in asdict(request).items() if field not in ADDED or value is not None}


def _notes_of(app: Manifest) -> dict[str, str]:
    """Returns the requests that are noted on an App, by their keys, oldest first; none if the annotation is malformed."""
    try:
        notes = json.loads(_annotations(app).get(names.PROMOTIONS_ANNOTATION, "{}"))
    except (ValueError, RecursionError):
        return {}
    # A caller who may patch the App may write anything into the annotation: only hashes are kept.
    pairs = notes.items() if isinstance(notes, dict) else ()
    return {key: request for key, request in pairs if isinstance(request, str) and _NOTED.fullmatch(key + request)}


def _annotations(manifest: Manifest) -> Mapping[str, str]:
    return manifest["metadata"].get("annotations") or {}


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

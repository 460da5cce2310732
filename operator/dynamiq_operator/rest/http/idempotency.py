"""The same POST twice makes one row: with an Idempotency-Key, a row's name follows from who asks, of which App, and the key.

The row carries a hash of what was asked: another request with the key finds the name taken, and is told so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.names import REQUEST_ANNOTATION
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import CallerSession

KEY_MAX = 255
REPLAYED = {"Idempotency-Replayed": "true"}
_SUFFIX = 16
"""More than the ten of a row that the operator makes for App.spec.deploy."""

KeyOf = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=KEY_MAX,
        description="The same request with the same key gives the same row; another request with it is refused with 422.",
    ),
]


@dataclass(frozen=True)
class KeyedRequest:
    """A request with a key: the name of its row, and hashes of the key, with its user and what it belongs to, and of what is asked."""

    row: str
    key: str
    request: str

    @classmethod
    def of(cls, session: CallerSession, key: str | None, call: str, owner: str, body: BaseModel, prefix: str) -> KeyedRequest | None:
        """None without a key. `owner`: the uid of the App, or of the project where the App is yet to be made; `prefix` begins the name."""
        if key is None:
            return None
        hashed = key_digest(session, owner, key)
        return cls(f"{prefix}-{hashed[:_SUFFIX]}", hashed, _hash(call, owner, body.model_dump(mode="json")))

    def marked(self, record: Manifest) -> Manifest:
        """The record under the key's name."""
        meta = {"namespace": record["metadata"]["namespace"], "name": self.row, "annotations": {REQUEST_ANNOTATION: self.request}}
        return {**record, "metadata": meta}

    def check(self, found: Manifest) -> None:
        """Raises HttpProblem 422 where another request made the object."""
        if (found["metadata"].get("annotations") or {}).get(REQUEST_ANNOTATION) != self.request:
            raise key_reused()


def create_row(session: CallerSession, record: Manifest, keyed: KeyedRequest | None) -> tuple[Manifest, bool]:
    """Creates the row; or, where it was created under the same key, returns it, and True. Raises HttpProblem 422 and errors.ApiError."""
    if keyed is None:
        return kube_api.create(session.api, RECORDS, record), False
    try:
        return kube_api.create(session.api, RECORDS, keyed.marked(record)), False
    except errors.AlreadyExists:
        found = kube_api.get(session.api, RECORDS, record["metadata"]["namespace"], keyed.row)
    keyed.check(found)
    return found, True


def find_row(session: CallerSession, namespaces: Iterable[str], keyed: KeyedRequest) -> Manifest | None:
    """The row that the request made in one of the namespaces; None where there is none. Raises HttpProblem 422 and errors.ApiError."""
    for namespace in namespaces:
        try:
            found = kube_api.get(session.api, RECORDS, namespace, keyed.row)
        except (errors.NotFound, errors.Denied) as error:
            if error.status == 401:
                raise
            continue
        keyed.check(found)
        return found
    return None


def key_digest(session: CallerSession, *parts: Any) -> str:
    """A hash of a key, with its user and what it belongs to."""
    return _hash(session.user.username, *parts)


def key_reused() -> HttpProblem:
    message = "this Idempotency-Key was used for another request: use a new key"
    return HttpProblem(422, message, {"Idempotency-Key": message})


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

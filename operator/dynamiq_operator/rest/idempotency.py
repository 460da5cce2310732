"""The same POST twice makes one row: with an Idempotency-Key, a row's name follows from who asks, of which App, and the key."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from fastapi import Header

from dynamiq_operator.actions import api as requests
from dynamiq_operator.cluster import errors
from dynamiq_operator.cluster.resources import RECORDS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import ASKED
from dynamiq_operator.rest.identity import Session
from dynamiq_operator.rest.problems import Problem

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


def digest(session: Session, *parts: Any) -> str:
    """A hash of the user and of what a key belongs to."""
    return hashlib.sha256(json.dumps([session.user.username, *parts], sort_keys=True).encode()).hexdigest()


def row_name(session: Session, app: str, uid: str, key: str | None) -> str | None:
    """The row's name under a key; None without one: the API server makes one up."""
    return f"{app}-{digest(session, uid, key)[:_SUFFIX]}" if key is not None else None


def create(session: Session, record: Manifest) -> tuple[Manifest, bool]:
    """Creates the row; or, where it was created under the same key, returns it, and True. Raises Problem 422 and errors.ApiError."""
    try:
        return requests.create(session.api, RECORDS, record), False
    except errors.AlreadyExists:
        meta = record["metadata"]
        found = requests.get(session.api, RECORDS, meta["namespace"], meta["name"])
    asked = [{field: each["spec"].get(field) for field in ASKED if field != "createdBy"} for each in (record, found)]
    if asked[0] != asked[1]:
        raise reused()
    return found, True


def made(session: Session, namespace: str, name: str, message: str | None) -> Manifest | None:
    """The row of this name and message; None where there is none. Raises Problem 422 and errors.ApiError."""
    try:
        found = requests.get(session.api, RECORDS, namespace, name)
    except (errors.NotFound, errors.Denied):
        return None
    if found["spec"].get("message") != message:
        raise reused()
    return found


def reused() -> Problem:
    message = "this Idempotency-Key was used for another request: use a new key"
    return Problem(422, message, {"Idempotency-Key": message})

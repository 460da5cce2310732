"""An App and its first row, both or neither."""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from dataclasses import replace
from typing import Any

from dynamiq_operator.actions.deploy import Deploy, record_of
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, RECORDS, RUNTIMES
from dynamiq_operator.model.base import API_VERSION, DNS_LABEL_MAX
from dynamiq_operator.model.names import KEY_ANNOTATION, REQUEST_ANNOTATION
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.apps.requests import NewApp
from dynamiq_operator.rest.apps.serialize import AUTHOR_ANNOTATION
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http import idempotency
from dynamiq_operator.rest.http.errors import HttpProblem, problem_of, unknown_id
from dynamiq_operator.rest.http.idempotency import KeyedRequest
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.id_index import Entry
from dynamiq_operator.rest.kube.visibility import may_read
from dynamiq_operator.rest.shared.parse import check_config, version_of, workflow_of

LOG = logging.getLogger(__name__)
FIRST = "first"
"""What the name of a first row under a key begins with: its App has no name yet, and another request with the key may name another."""
_SUFFIX = 6


def create_with_first_row(context: ApiContext, session: CallerSession, body: NewApp, key: str | None) -> tuple[Manifest, Manifest, bool]:
    """The App, its first row, and whether the App was made before under the same key. Raises HttpProblem and errors.ApiError."""
    project = context.find(NAMESPACES, body.project_id, "project_id")
    keyed = KeyedRequest.of(session, key, "create", project.uid, body, FIRST)
    try:
        wanted, asked = _wanted(context, session, project, body, keyed)
    except HttpProblem:
        # What does not fit the project would tell that there is one.
        if not may_read(session.api, project.name):
            raise unknown_id("project", body.project_id, "project_id") from None
        raise
    try:
        app, is_found = _app(context, session, wanted, body.name, asked, keyed)
    except errors.Denied as error:
        if error.status != 401 and not may_read(session.api, project.name):
            raise unknown_id("project", body.project_id, "project_id") from None
        raise
    try:
        row = _first_row(session, app, asked, keyed)
    except (errors.ApiError, HttpProblem) as error:
        # An App that was there before stays, whatever becomes of the row; so does one that the same request was faster with.
        found = _row_meanwhile(session, app, keyed)
        if found is None:
            raise error if is_found else _undone(session, app["metadata"], error) from None
        row, is_found = found, True
    context.index.of(RECORDS).put(row)
    return app, row, is_found


def _wanted(
    context: ApiContext, session: CallerSession, project: Entry, body: NewApp, keyed: KeyedRequest | None
) -> tuple[Manifest, Deploy]:
    workflow = workflow_of(context, project.name, body.workflow_id)
    version = version_of(context, workflow, body.workflow_version_id)
    runtime = context.find(RUNTIMES, body.runtime_id, "runtime_id").name if body.runtime_id else None
    check_config(session, body.deployment_config, None)
    config = body.deployment_config.as_record() if body.deployment_config else None
    annotations = {AUTHOR_ANNOTATION: session.user.username}
    if keyed is not None:
        annotations |= {KEY_ANNOTATION: keyed.key, REQUEST_ANNOTATION: keyed.request}
    spec = {
        "displayName": body.name,
        "description": body.description,
        "workflow": workflow.name,
        "access": {"type": body.access_control.access_type} if body.access_control else None,
    }
    wanted = {
        "apiVersion": API_VERSION,
        "kind": APPS.kind,
        "metadata": {"name": slug(body.name), "namespace": project.name, "annotations": annotations},
        "spec": {name: value for name, value in spec.items() if value is not None},
    }
    return wanted, Deploy(project.name, slug(body.name), version=version, runtime=runtime, config=config)


def _app(
    context: ApiContext, session: CallerSession, wanted: Manifest, name: str, asked: Deploy, keyed: KeyedRequest | None
) -> tuple[Manifest, bool]:
    """The App, and whether it was there. Raises HttpProblem and errors.ApiError."""
    there = kube_api.items(session.api, APPS, asked.namespace)
    if (known := next((app for app in there if _is_of_key(app, keyed)), None)) is not None:
        return _again(known, name, keyed), True
    if any(_is_known_as(app, name) for app in there):
        raise _is_taken(name)
    # Whether the row will be taken is known before the App is there.
    record = record_of(asked)
    try:
        kube_api.create(session.api, RECORDS, keyed.marked(record) if keyed else record, dry_run=True)
    except errors.AlreadyExists:
        if keyed is None:
            raise
        keyed.check(kube_api.get(session.api, RECORDS, asked.namespace, keyed.row))
        # The same request is carried out elsewhere at this moment; or its App was deleted, and its row is about to go.
    return _make(context, session, wanted, name, keyed)


def _is_of_key(app: Manifest, keyed: KeyedRequest | None) -> bool:
    return keyed is not None and (app["metadata"].get("annotations") or {}).get(KEY_ANNOTATION) == keyed.key


def _is_known_as(app: Manifest, name: str) -> bool:
    """Whether people know the App by this name."""
    return bool((app["spec"].get("displayName") or app["metadata"]["name"]) == name)


def _again(there: Manifest, name: str, keyed: KeyedRequest | None) -> Manifest:
    """An App that is there already, where the same request made it. Raises HttpProblem."""
    if keyed is None or not _is_of_key(there, keyed):
        raise _is_taken(name)
    keyed.check(there)
    return there


def _make(context: ApiContext, session: CallerSession, wanted: Manifest, name: str, keyed: KeyedRequest | None) -> tuple[Manifest, bool]:
    """Makes the App, and says whether it was there; under another object name where its own belongs to an App of another name."""
    for given in (slug(name), _suffixed(name)):
        manifest: dict[str, Any] = {**wanted, "metadata": {**wanted["metadata"], "name": given}}
        try:
            made = kube_api.create(session.api, APPS, manifest)
        except errors.AlreadyExists:
            found = session.api.request("GET", APPS.path(manifest["metadata"]["namespace"], given))
            if _is_of_key(found, keyed) or _is_known_as(found, name):
                return _again(found, name, keyed), True
            continue
        context.index.of(APPS).put(made)
        return made, False
    raise _is_taken(name)


def _first_row(session: CallerSession, app: Manifest, asked: Deploy, keyed: KeyedRequest | None) -> Manifest:
    meta = app["metadata"]
    row, _ = idempotency.create_row(session, record_of(replace(asked, app=meta["name"])), keyed)
    if not _may_be_of(meta, row):
        raise HttpProblem(409, "the App that this Idempotency-Key made was deleted a moment ago: use a new key, or try again")
    return row


def _may_be_of(app: Manifest, row: Manifest) -> bool:
    """Whether a row is not of an App of before that had the same name; `app` is metadata."""
    return Entry.of(RECORDS, row).group in ("", app["uid"])


def _row_meanwhile(session: CallerSession, app: Manifest, keyed: KeyedRequest | None) -> Manifest | None:
    """The row that the same request got elsewhere, at the moment at which it was refused here."""
    meta = app["metadata"]
    try:
        row = idempotency.find_row(session, [meta["namespace"]], keyed) if keyed is not None else None
    except (errors.ApiError, HttpProblem):
        return None
    return row if row is not None and _may_be_of(meta, row) else None


def _undone(session: CallerSession, meta: Manifest, why: errors.ApiError | HttpProblem) -> HttpProblem:
    """Deletes the App again; the answer says where that failed."""
    problem = why if isinstance(why, HttpProblem) else problem_of(why)
    left = f"App {meta['name']} is there without a deployment, and could not be deleted again: deploy or delete it"
    try:
        options = {"preconditions": {"uid": meta["uid"]}}
        session.api.request("DELETE", APPS.path(meta["namespace"], meta["name"]), body=options)
    except errors.NotFound:
        pass
    except errors.ApiError as error:
        LOG.warning("App %s/%s is left without a row: %s", meta["namespace"], meta["name"], error)
        return HttpProblem(problem.status, f"{problem}; {left}", {**problem.details, "app_id": meta["uid"]}, problem.headers)
    return problem


def _is_taken(name: str) -> HttpProblem:
    return HttpProblem(409, f"the project has an App named {name} already: use another name", {"name": "taken"})


def slug(name: str) -> str:
    """An object's name made of what people call an App: ASCII letters, digits and '-', at most 40 characters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not made:
        return f"app-{_hash(name)}"
    return (made if made[0].isalpha() else f"app-{made}")[:DNS_LABEL_MAX].rstrip("-")


def _suffixed(name: str) -> str:
    return f"{slug(name)[: DNS_LABEL_MAX - _SUFFIX - 1].rstrip('-')}-{_hash(name)}"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX]

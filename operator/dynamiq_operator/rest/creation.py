"""An App and its first row, both or neither."""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from dataclasses import replace
from typing import Any

from dynamiq_operator.actions import api as requests
from dynamiq_operator.actions.deploy import Deploy, record_of
from dynamiq_operator.cluster import errors
from dynamiq_operator.cluster.resources import APPS, NAMESPACES, RECORDS, RUNTIMES
from dynamiq_operator.model.base import API_VERSION, DNS_LABEL_MAX, GROUP
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest import asking, idempotency, problems, projects
from dynamiq_operator.rest.bodies import NewApp
from dynamiq_operator.rest.identity import Session
from dynamiq_operator.rest.index import Entry
from dynamiq_operator.rest.problems import Problem
from dynamiq_operator.rest.service import Service
from dynamiq_operator.rest.shapes import AUTHOR_ANNOTATION

LOG = logging.getLogger(__name__)
KEY_ANNOTATION = f"{GROUP}/idempotency-key"
"""On an App: hashes of the key under which it was made, with its user, and of what was asked."""
_SUFFIX = 6


def create(service: Service, session: Session, body: NewApp, key: str | None) -> tuple[Manifest, Manifest, bool]:
    """The App, its first row, and whether both were made before under the same key. Raises Problem and errors.ApiError."""
    project = service.find(NAMESPACES, body.project_id, "project_id")
    try:
        wanted, record = _wanted(service, session, project, body, key)
    except Problem:
        # What does not fit the project would tell that there is one.
        if not projects.may_read(session, project.name):
            raise problems.unknown("project", body.project_id, "project_id") from None
        raise
    try:
        taken = _of_name(session, project, body.name)
        if taken is None:
            # Whether the row will be taken is known before the App is there.
            requests.create(session.api, RECORDS, record_of(record), dry_run=True)
            app, is_replayed = _make(service, session, wanted, body.name), False
        else:
            app, is_replayed = _again(taken, wanted, body.name), True
    except errors.Denied as error:
        if error.status != 401 and not projects.may_read(session, project.name):
            raise problems.unknown("project", body.project_id, "project_id") from None
        raise
    try:
        row = _first_row(session, app, record, key)
    except (errors.ApiError, Problem) as error:
        # An App that was there before stays, whatever becomes of the row.
        raise error if is_replayed else _undone(session, app["metadata"], error) from None
    service.index.of(RECORDS).put(row)
    return app, row, is_replayed


def _wanted(service: Service, session: Session, project: Entry, body: NewApp, key: str | None) -> tuple[Manifest, Deploy]:
    workflow = asking.workflow_of(service, project.name, body.workflow_id)
    version = asking.version_of(service, workflow, body.workflow_version_id)
    runtime = service.find(RUNTIMES, body.runtime_id, "runtime_id").name if body.runtime_id else None
    asking.check_config(session, body.deployment_config, None)
    config = body.deployment_config.as_record() if body.deployment_config else None
    annotations = {AUTHOR_ANNOTATION: session.user.username}
    if key is not None:
        asked = body.model_dump(mode="json")
        annotations[KEY_ANNOTATION] = f"{idempotency.digest(session, project.uid, key)} {idempotency.digest(session, asked)}"
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


def _of_name(session: Session, project: Entry, name: str) -> Manifest | None:
    """The App that people know by this name."""
    found = requests.items(session.api, APPS, project.name)
    return next((app for app in found if (app["spec"].get("displayName") or app["metadata"]["name"]) == name), None)


def _again(taken: Manifest, wanted: Manifest, name: str) -> Manifest:
    """An App that is there already, where the same request made it. Raises Problem."""
    made_by = (taken["metadata"].get("annotations") or {}).get(KEY_ANNOTATION, "")
    asked_by = wanted["metadata"]["annotations"].get(KEY_ANNOTATION)
    if asked_by is None or made_by.partition(" ")[0] != asked_by.partition(" ")[0]:
        raise _is_taken(name)
    if made_by != asked_by:
        raise idempotency.reused()
    return taken


def _make(service: Service, session: Session, wanted: Manifest, name: str) -> Manifest:
    """Makes the App; under another object name where its own belongs to an App that people know by another name."""
    for given in (slug(name), _suffixed(name)):
        manifest: dict[str, Any] = {**wanted, "metadata": {**wanted["metadata"], "name": given}}
        try:
            made = requests.create(session.api, APPS, manifest)
        except errors.AlreadyExists:
            found = session.api.request("GET", APPS.path(manifest["metadata"]["namespace"], given))
            if (found["spec"].get("displayName") or given) == name:
                return _again(found, wanted, name)
            continue
        service.index.of(APPS).put(made)
        return made
    raise _is_taken(name)


def _first_row(session: Session, app: Manifest, asked: Deploy, key: str | None) -> Manifest:
    meta = app["metadata"]
    name = idempotency.row_name(session, meta["name"], f"first of {meta['uid']}", key)
    return idempotency.create(session, record_of(replace(asked, app=meta["name"]), name))[0]


def _undone(session: Session, meta: Manifest, why: errors.ApiError | Problem) -> Problem:
    """Deletes the App again; the answer says where that failed."""
    problem = why if isinstance(why, Problem) else problems.of(why)
    left = f"App {meta['name']} is there without a deployment, and could not be deleted again: deploy or delete it"
    try:
        options = {"preconditions": {"uid": meta["uid"]}}
        session.api.request("DELETE", APPS.path(meta["namespace"], meta["name"]), body=options)
    except errors.NotFound:
        pass
    except errors.ApiError as error:
        LOG.warning("App %s/%s is left without a row: %s", meta["namespace"], meta["name"], error)
        return Problem(problem.status, f"{problem}; {left}", {**problem.details, "app_id": meta["uid"]}, problem.headers)
    return problem


def _is_taken(name: str) -> Problem:
    return Problem(409, f"the project has an App named {name} already: use another name", {"name": "taken"})


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

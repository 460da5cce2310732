"""Scripts a namespace: its objects by name and in lists, and the API server's answers to POST."""

from __future__ import annotations

from collections.abc import Callable, Collection

from dynamiq_operator.actions.rights import REVIEWS
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.kube.api import TABLE
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROWS, SECRETS, VERSIONS, WORKFLOWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Reply, Script, Sent, failure, listed

CONFIG_MAPS = BY_KIND[CONFIG_MAP.kind]
KINDS = (APPS, ROWS, VERSIONS, WORKFLOWS, CONFIG_MAPS, SECRETS)
NOT_FOUND = failure(404, "NotFound", "not found")
UNAUTHORIZED = failure(401, "Unauthorized", "who are you")
FORBIDDEN = failure(403, "Forbidden", "you may not")
EXISTS = failure(409, "AlreadyExists", "it is there")
CONFLICT = failure(409, "Conflict", "the object has been modified")


def holding(*objects: Manifest, namespace: str = given.NAMESPACE, script: Script | None = None) -> Script:
    """Scripts these objects, as stored, in a namespace. POST returns the stored object; the caller may do everything."""
    script = script or permitting(Script())
    for resource in KINDS:
        of_kind = [given.stored(each) for each in objects if each["kind"] == resource.kind]
        script.on("GET", resource.path(namespace), _list_of(of_kind)).on("POST", resource.path(namespace), created)
        for each in of_kind:
            script.on("GET", resource.path(namespace, each["metadata"]["name"]), each)
    return script


def lacking(script: Script, *paths: str) -> Script:
    """Scripts a 404 at these paths."""
    for path in paths:
        script.on("GET", path, NOT_FOUND)
    return script


def environment(name: str, environment: str, project: str = "chat") -> Manifest:
    """Returns a namespace that is an environment of a project."""
    return {"metadata": {"name": name, "labels": {names.PROJECT_LABEL: project, names.ENVIRONMENT_LABEL: environment}}}


def hostnames(**of: str) -> Manifest:
    """Returns a page of Apps by their columns: the hostname of each, by `namespace__name`."""
    rows = [
        {"object": {"metadata": dict(zip(("namespace", "name"), key.split("__"), strict=True))}, "cells": [host]}
        for key, host in of.items()
    ]
    return {"metadata": {}, "columnDefinitions": [{"name": "Hostname"}], "rows": rows}


def flow_path(version: str, namespace: str = given.NAMESPACE) -> str:
    """Returns the path of the ConfigMap that holds a version's flow for an App."""
    return CONFIG_MAPS.path(namespace, names.flow(given.NAME, given.flow_hash(version)))


def created(sent: Sent) -> Reply:
    """Returns the object that a POST made; the API server completes a name that was only a prefix."""
    meta = sent.body["metadata"]
    return Reply(201, given.stored({**sent.body, "metadata": {**meta, "name": meta.get("name") or f"{meta['generateName']}new"}}))


def permitting(script: Script, *, but: Collection[tuple[str, str]] = ()) -> Script:
    """Allows the caller everything `but` these verbs on these resources."""

    def review(sent: Sent) -> Manifest:
        attributes = sent.body["spec"]["resourceAttributes"]
        return {"status": {"allowed": (attributes["verb"], attributes["resource"]) not in but}}

    return script.on("POST", REVIEWS.path(), review)


def _list_of(items: list[Manifest]) -> Callable[[Sent], Manifest]:
    def answer(sent: Sent) -> Manifest:
        if sent.headers["Accept"] != TABLE:
            return listed(*items)
        rows = [{"object": {"metadata": each["metadata"]}, "cells": [each["spec"].get("version")]} for each in items]
        return {"metadata": {}, "columnDefinitions": [{"name": "Version"}], "rows": rows}

    return answer

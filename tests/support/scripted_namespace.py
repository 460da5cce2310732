"""A namespace as a script answers for it: its objects by name and in lists, and what the API server says to a POST."""

from __future__ import annotations

from collections.abc import Callable, Collection

from dynamiq_operator.actions.rights import REVIEWS
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.kube.api import TABLE
from dynamiq_operator.kube.resources import APPS, BY_KIND, RECORDS, SECRETS, VERSIONS, WORKFLOWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Reply, Script, Sent, failure, listed

CONFIG_MAPS = BY_KIND[CONFIG_MAP.kind]
KINDS = (APPS, RECORDS, VERSIONS, WORKFLOWS, CONFIG_MAPS, SECRETS)
NOT_FOUND = failure(404, "NotFound", "not found")
UNAUTHORIZED = failure(401, "Unauthorized", "who are you")
FORBIDDEN = failure(403, "Forbidden", "you may not")
EXISTS = failure(409, "AlreadyExists", "it is there")
CONFLICT = failure(409, "Conflict", "the object has been modified")


def holding(*objects: Manifest, namespace: str = given.NAMESPACE, script: Script | None = None) -> Script:
    """A script with these objects, as stored, in a namespace. It answers a POST with what was sent, as stored; the caller may do everything."""
    script = script or permitting(Script())
    for resource in KINDS:
        found = [given.stored(made) for made in objects if made["kind"] == resource.kind]
        script.on("GET", resource.path(namespace), _list_of(found)).on("POST", resource.path(namespace), created)
        for made in found:
            script.on("GET", resource.path(namespace, made["metadata"]["name"]), made)
    return script


def lacking(script: Script, *paths: str) -> Script:
    """There is nothing at these paths."""
    for path in paths:
        script.on("GET", path, NOT_FOUND)
    return script


def environment(name: str, environment: str, project: str = "chat") -> Manifest:
    """A namespace that is an environment of a project."""
    return {"metadata": {"name": name, "labels": {names.PROJECT_LABEL: project, names.ENVIRONMENT_LABEL: environment}}}


def hostnames(**of: str) -> Manifest:
    """A page of Apps by their columns: the hostname of each, by `namespace__name`."""
    rows = [
        {"object": {"metadata": dict(zip(("namespace", "name"), key.split("__"), strict=True))}, "cells": [host]}
        for key, host in of.items()
    ]
    return {"metadata": {}, "columnDefinitions": [{"name": "Hostname"}], "rows": rows}


def flow_path(version: str, namespace: str = given.NAMESPACE) -> str:
    """The path of the ConfigMap that holds a version's flow for an App."""
    return CONFIG_MAPS.path(namespace, names.flow(given.NAME, given.flow_hash(version)))


def created(sent: Sent) -> Reply:
    """The object that a POST made, named by the API server where it had a prefix alone."""
    meta = sent.body["metadata"]
    return Reply(201, given.stored({**sent.body, "metadata": {**meta, "name": meta.get("name") or f"{meta['generateName']}new"}}))


def permitting(script: Script, *, but: Collection[tuple[str, str]] = ()) -> Script:
    """The caller may do everything `but` these verbs on these resources."""

    def review(sent: Sent) -> Manifest:
        asked = sent.body["spec"]["resourceAttributes"]
        return {"status": {"allowed": (asked["verb"], asked["resource"]) not in but}}

    return script.on("POST", REVIEWS.path(), review)


def _list_of(found: list[Manifest]) -> Callable[[Sent], Manifest]:
    def answer(sent: Sent) -> Manifest:
        if sent.headers["Accept"] != TABLE:
            return listed(*found)
        rows = [{"object": {"metadata": each["metadata"]}, "cells": [each["spec"].get("version")]} for each in found]
        return {"metadata": {}, "columnDefinitions": [{"name": "Version"}], "rows": rows}

    return answer

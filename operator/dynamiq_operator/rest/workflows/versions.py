"""Reads the releases of a workflow, and its draft. It compares none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dynamiq_operator.actions.reads import rejections_in_force
from dynamiq_operator.actions.rejections import by_hash
from dynamiq_operator.actions.rights import may
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import VERSIONS, WORKFLOWS
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.names import natural, workflow_and_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import hidden_as_unknown, unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.kube.workflow_table import read_workflow
from dynamiq_operator.rest.parts.responses import changed_at
from dynamiq_operator.rest.workflows.responses import FlowOf

DRAFT = "draft"
"""The version of the draft, which has neither an id nor a number."""


def released(api: Api, entry: Entry) -> list[Manifest]:
    """Returns the releases of a workflow, newest first, without their flows: metadata, version and description. Raises errors.ApiError."""
    pages = kube_api.pages(api, VERSIONS, entry.namespace, field=f"spec.workflow={entry.name}", accept=kube_api.TABLE)
    releases: list[Manifest] = [
        {"metadata": meta, "version": cells["VERSION"], "description": cells["DESCRIPTION"] or None}
        for page in pages
        for meta, cells in kube_api.table_rows(page)
    ]
    return sorted(releases, key=lambda each: natural(each["version"]), reverse=True)


def rejections_of(context: ApiContext, session: CallerSession, namespace: str, shown: Sequence[Manifest]) -> Mapping[str, Manifest]:
    """Returns the valid Rejection of each release's flow, by the uid of the release, under whatever name it was rejected."""
    rejections = rejected_flows(session, namespace)
    # Releases are read only if anything is rejected.
    if not rejections:
        return {}

    def hash_of(meta: Manifest) -> str | None:
        return context.flow_hashes.of(meta["uid"], lambda: _read_hash(session.api, meta))

    metas = [each["metadata"] for each in shown]
    hashes = context.map_parallel(hash_of, metas)
    return {meta["uid"]: rejections[each] for meta, each in zip(metas, hashes, strict=True) if each in rejections}


def rejected_flows(session: CallerSession, namespace: str) -> dict[str, Manifest]:
    """Returns the newest valid Rejection of each flow, by its hash; empty if the caller may not read them. Raises errors.ApiError."""
    return by_hash(rejections_in_force(session.api, namespace) or ())


def _read_hash(api: Api, meta: Manifest) -> str | None:
    """Returns the hash of a release's flow; None if another release has its name by now, or it may not be read."""
    try:
        raw = kube_api.read_object(api, VERSIONS, meta["namespace"], meta["name"])
    except (errors.NotFound, errors.Forbidden):
        return None
    return flow_hash(raw["spec"]["flow"]) if raw["metadata"]["uid"] == meta["uid"] else None


def one(context: ApiContext, session: CallerSession, workflow: Entry, uid: str, field: str = "") -> FlowOf:
    """Returns a release of the workflow. Raises errors.ApiError, and HttpProblem 404, also for another workflow's release."""
    entry = context.find(VERSIONS, uid, field)
    if (entry.namespace, workflow_and_version(entry.name)[0]) != (workflow.namespace, workflow.name):
        raise unknown_id("workflow version", uid, field)
    raw = context.read(session, VERSIONS, entry)
    spec = raw["spec"]
    return FlowOf(entry.uid, spec["version"], raw["metadata"]["creationTimestamp"], spec["flow"], spec.get("description"))


def newest_of(context: ApiContext, session: CallerSession, workflows: Sequence[Manifest]) -> Mapping[str, Entry]:
    """Returns the newest release of each workflow in the index, by the workflow's uid, for namespaces in which the caller may list
    releases.
    """
    namespaces = sorted({each["metadata"]["namespace"] for each in workflows})
    if not namespaces:
        return {}

    def is_shown(namespace: str) -> bool:
        return may(session.api, "list", VERSIONS, namespace)

    answers = [True] * len(namespaces) if is_shown("") else context.map_parallel(is_shown, namespaces)
    shown = {namespace for namespace, allowed in zip(namespaces, answers, strict=True) if allowed}
    by_uid: dict[str, Entry] = {}
    for meta in (each["metadata"] for each in workflows):
        entries = context.index.of(VERSIONS).group(f"{meta['namespace']}/{meta['name']}") if meta["namespace"] in shown else ()
        if entries:
            by_uid[meta["uid"]] = max(entries, key=_number)
    return by_uid


def before(context: ApiContext, session: CallerSession, workflow: Entry, version: FlowOf) -> FlowOf | None:
    """Returns the release before this one that still exists; None for the first. Raises as `one` does."""
    entries = context.index.of(VERSIONS).group(f"{workflow.namespace}/{workflow.name}")
    older = [entry for entry in entries if _number(entry) < natural(version.version)]
    return one(context, session, workflow, max(older, key=_number).uid) if older else None


class FlowToRelease(NamedTuple):
    """A flow to release. `description`: the workflow's; `object_version`: of the workflow as it was read."""

    text: str
    description: str | None
    object_version: str


def released_flow(context: ApiContext, session: CallerSession, workflow: Entry, flow: str | None) -> FlowToRelease:
    """Returns the given flow, else the draft, with the description of its workflow. Raises HttpProblem 404 and errors.ApiError."""
    if flow is None:
        raw = context.read(session, WORKFLOWS, workflow)
        return FlowToRelease(raw["spec"]["flow"], raw["spec"].get("description"), raw["metadata"]["resourceVersion"])
    with hidden_as_unknown("workflow", workflow.uid):
        current = read_workflow(session.api, workflow.namespace, workflow.name)
    if current["metadata"]["uid"] != workflow.uid:
        raise unknown_id("workflow", workflow.uid)
    return FlowToRelease(flow, current["description"], current["metadata"]["resourceVersion"])


def draft(context: ApiContext, session: CallerSession, workflow: Entry) -> FlowOf:
    """Returns the workflow's draft. Raises HttpProblem 404 and errors.ApiError."""
    raw = context.read(session, WORKFLOWS, workflow)
    return FlowOf(None, DRAFT, changed_at(raw["metadata"]), raw["spec"]["flow"])


def _number(entry: Entry) -> tuple[tuple[int, int, str], ...]:
    return natural(workflow_and_version(entry.name)[1])

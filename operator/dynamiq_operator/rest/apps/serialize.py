"""Serializes an App as the contract's JSON. Pure."""

from __future__ import annotations

from dynamiq_operator.desired import exposure
from dynamiq_operator.kube.resources import NAMESPACES, VERSIONS, WORKFLOWS
from dynamiq_operator.model.names import AUTHOR_ANNOTATION, workflow_version
from dynamiq_operator.model.objects import App, Manifest, Unreadable, read
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.shared.config_fields import FIRST_CONFIG
from dynamiq_operator.rest.shared.serialize import Data, Ids, author, changed_at, config


def app(raw: Manifest, row: Data | None, latest_id: str | None, described: str | None, ids: Ids, settings: Settings) -> Data:
    """An App. `row`: the serialized row that it serves, else its newest; `latest_id`: id of the newest; `described`: its workflow's description."""
    meta, spec = raw["metadata"], raw["spec"]
    hostname, is_private = _answered_at(raw, settings)
    namespace, workflow = meta["namespace"], spec["workflow"]
    workflow_id = ids.id_of(WORKFLOWS, namespace, workflow)
    creator = author((meta.get("annotations") or {}).get(AUTHOR_ANNOTATION))
    version = row["workflow_version"] if row else None
    return {
        "id": meta["uid"],
        "name": spec.get("displayName") or meta["name"],
        "description": spec.get("description"),
        "project_id": ids.id_of(NAMESPACES, "", namespace),
        "hostname": hostname,
        "runtime_id": row["runtime_id"] if row else None,
        "workflow_id": workflow_id,
        "workflow_version_id": row["workflow_version_id"] if row else None,
        "deployment_config": row["deployment_config"] if row else config(FIRST_CONFIG),
        "access_control": {"access_type": "private" if is_private else "public"},
        "created_at": meta["creationTimestamp"],
        "created_by": creator,
        "updated_at": max(changed_at(meta), row["created_at"] if row else ""),
        "updated_by": (row["created_by"] if row else None) or creator,
        "archived_at": None,
        "archived_by": None,
        "latest_deployment_id": latest_id,
        "runtime": row["runtime"] if row else None,
        "workflow": {"id": workflow_id, "name": workflow, "description": described},
        "workflow_version": {**version, "created_at": ids.created_at(VERSIONS, namespace, workflow_version(workflow, version["version"]))}
        if version
        else None,
    }


def _answered_at(raw: Manifest, settings: Settings) -> tuple[str, bool]:
    """What a client calls, and whether callers need a key. An App that this version cannot read is told as far as it can be: a list has others."""
    status = raw.get("status") or {}
    if isinstance(found := read(App, raw), Unreadable):
        return _called(status.get("hostname") or "", status.get("url")), (raw["spec"].get("access") or {}).get("type") != "public"
    hostname = found.status.hostname or exposure.hostname(found, settings)
    return _called(hostname, found.status.url or exposure.url(found, settings)), found.spec.is_private


def _called(hostname: str, url: str | None) -> str:
    """The hostname where `https://` before it is what to call, which clients put there; else the whole URL."""
    return hostname if url in (None, f"https://{hostname}") else str(url)

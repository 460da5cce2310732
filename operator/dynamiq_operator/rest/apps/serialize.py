"""Serializes an App as the contract's JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dynamiq_operator.actions.workloads import IdleWorkload
from dynamiq_operator.kube.resources import NAMESPACES, RECORDS, VERSIONS, WORKFLOWS
from dynamiq_operator.model.names import AUTHOR_ANNOTATION, workflow_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.rest.shared.address import answered_at
from dynamiq_operator.rest.shared.config_fields import FIRST_CONFIG
from dynamiq_operator.rest.shared.serialize import Data, Ids, author, changed_at, condition, config, guard, waits
from dynamiq_operator.views.app_state import app_state, is_as_declared, rows_under_way
from dynamiq_operator.views.history import HistoryRow
from dynamiq_operator.views.waiting import is_waiting, waits_of


def app(raw: Manifest, row: Data | None, latest_id: str | None, described: str | None, ids: Ids, settings: Settings) -> Data:
    """Serializes an App.

    `row`: the serialized row that it serves, else its newest. `latest_id`: id of the newest. `described`: its workflow's description.
    """
    meta, spec = raw["metadata"], raw["spec"]
    hostname, is_private = answered_at(raw, settings)
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
        **access(is_private),
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


def access(is_private: bool) -> Data:
    """Serializes the access of an App: private if callers need a key."""
    return {"access_control": {"access_type": "private" if is_private else "public"}}


def state(raw: Manifest, rows: Sequence[Manifest] | None, environment: str | None, ids: Ids) -> Data:
    """Serializes the App's state, what it serves and what is under way.

    `rows`: its live and undecided rows; None if the caller may read none.
    """
    meta = raw["metadata"]
    undecided = rows_under_way(rows or ())
    namespace, under_way = meta["namespace"], next((row for row in undecided if not is_waiting(row)), None)
    held = [row for row in undecided if is_waiting(row)]
    summary = app_state(raw, under_way, next(iter(held), None))
    return {
        "namespace": namespace,
        "resource_name": meta["name"],
        "environment": environment,
        "status": {"word": summary.state.value, "reason": summary.reason, "message": summary.message},
        "live": _live(raw, rows, ids),
        "under_way": _under_way(under_way) if under_way is not None else None,
        "waiting": [_under_way(row) | {"waits": waits(waits_of(row))} for row in held],
        "holds": (raw.get("status") or {}).get("holds"),
        "suspended": bool(raw["spec"].get("suspend")),
    }


def details(raw: Manifest, row: Manifest | None, warm: Iterable[IdleWorkload]) -> Data:
    """Serializes what an App has only when it is read by itself.

    `row`: the row that it serves; `warm`: standby workloads that are ready beside it.
    """
    deploy, status = raw["spec"].get("deploy"), raw.get("status") or {}
    git = (
        {
            "workflow_version": deploy.get("workflowVersion"),
            "runtime": deploy.get("runtime"),
            "message": deploy.get("message"),
            "changed_by": deploy.get("changedBy"),
            "is_live": row is not None and _is_live(raw, row) and is_as_declared(raw, row),
        }
        if deploy is not None
        else None
    )
    return {
        "conditions": [condition(each) for each in status.get("conditions") or ()],
        "git": git,
        "warm": [{"version": each.version, "pods_ready": each.ready} for each in warm],
        "guards": [guard(each) for each in status.get("guards") or ()],
    }


def _live(raw: Manifest, rows: Iterable[Manifest] | None, ids: Ids) -> Data | None:
    """Serializes the row that the App serves."""
    if (live := (raw.get("status") or {}).get("live")) is None:
        return None
    namespace, name = raw["metadata"]["namespace"], live["row"]
    row = next((HistoryRow.of(each) for each in rows or () if each["metadata"]["name"] == name), None)
    # A row that has just ended is not among `rows`, so the index is used, but only for callers who may read rows.
    uid, created_at = (ids.id_of(RECORDS, namespace, name), ids.created_at(RECORDS, namespace, name)) if rows is not None else (None, None)
    return {
        "deployment_id": row.uid if row is not None else uid,
        "name": name,
        "sequence": live["sequence"],
        "version": live["workflowVersion"],
        "created_at": row.date if row is not None else created_at,
    }


def _is_live(raw: Manifest, row: Manifest) -> bool:
    return bool(((raw.get("status") or {}).get("live") or {}).get("row") == row["metadata"]["name"])


def _under_way(raw: Manifest) -> Data:
    row = HistoryRow.of(raw)
    return {"deployment_id": row.uid, "name": row.name, "sequence": row.sequence, "version": row.version, "status": row.status}

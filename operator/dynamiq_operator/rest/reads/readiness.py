"""Counts the Ready pods of a row, beside what the App serves meanwhile."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.actions.running import workloads_of
from dynamiq_operator.actions.workloads import AppWorkloads
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import app_uid
from dynamiq_operator.model.row import CLOSED
from dynamiq_operator.rest.parts.responses import ReadyPodsResponse


def read_ready(api: Api, row: Manifest, app: Manifest | None) -> ReadyPodsResponse | None:
    """Returns the pods of a row, read with the caller's rights; None if it has ended, has no workload, or may not be read.

    `app`: the App, if it is known. Raises errors.ApiError.
    """
    if (row.get("status") or {}).get("phase") in CLOSED:
        return None
    return ready(workloads_of(api, row["metadata"]["namespace"], row["spec"]["app"], app_uid(row)), row, app)


def ready(workloads: AppWorkloads | None, row: Manifest, app: Manifest | None) -> ReadyPodsResponse | None:
    """Returns the pods of a row from workloads that were read, as `read_ready` does."""
    pods = workloads.ready_of(row) if workloads is not None else None
    if pods is None:
        return None
    live: dict[str, Any] = ((app or {}).get("status") or {}).get("live") or {}
    return ReadyPodsResponse(ready=pods.ready, wanted=pods.wanted, serving=live.get("workflowVersion"))

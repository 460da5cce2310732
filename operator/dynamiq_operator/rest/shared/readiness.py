"""How many pods of a row are Ready, told beside what the App serves meanwhile."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.actions.workloads import Workloads, workloads_of
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import app_uid
from dynamiq_operator.model.record import CLOSED
from dynamiq_operator.rest.shared.serialize import Data


def read_ready(api: Api, row: Manifest, app: Manifest | None) -> Data | None:
    """The pods of a row, with the caller's rights; None where it has ended, where there is no workload for it, or it may not be read.

    `app`: the App, where it is known. Raises errors.ApiError.
    """
    if (row.get("status") or {}).get("phase") in CLOSED:
        return None
    return ready(workloads_of(api, row["metadata"]["namespace"], row["spec"]["app"], app_uid(row)), row, app)


def ready(found: Workloads | None, row: Manifest, app: Manifest | None) -> Data | None:
    """The same of workloads that were read."""
    pods = found.ready_of(row) if found is not None else None
    if pods is None:
        return None
    live: dict[str, Any] = ((app or {}).get("status") or {}).get("live") or {}
    return {"ready": pods.ready, "wanted": pods.wanted, "serving": live.get("workflowVersion")}

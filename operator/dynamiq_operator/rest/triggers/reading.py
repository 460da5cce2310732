"""Reads the runs of a trigger with the caller's token: its Jobs, and the runs of the App that their pods name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import JOBS, PODS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.jobs import CallerPod
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.reads.rows import is_id


def jobs_of(session: CallerSession, namespace: str, app: str, trigger: str) -> list[Manifest]:
    """Lists the trigger's Jobs. Raises errors.ApiError."""
    return kube_api.items(session.api, JOBS, namespace, label=_selector(names.run_selector(app, trigger)))


def run_ids(session: CallerSession, namespace: str, app: str, trigger: str) -> Mapping[str, str]:
    """Returns the ids of the App's runs by the uid of their Job, as far as the pods of the Jobs name them.

    It is empty if the caller may not list pods. Raises other errors.ApiError.
    """
    try:
        pods = kube_api.items(session.api, PODS, namespace, label=_selector(names.caller_labels(app, trigger)))
    except errors.Forbidden:
        return {}
    named = ((owner["uid"], _run_id(CallerPod.of(pod).message)) for pod in pods for owner in pod["metadata"].get("ownerReferences") or ())
    return {uid: run_id for uid, run_id in named if run_id is not None}


def _run_id(message: str) -> str | None:
    """Returns the run that a pod's termination message names; None for the message of an older image, or of a call without an answer."""
    try:
        run_id: Any = json.loads(message)["runId"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return run_id.lower() if isinstance(run_id, str) and is_id(run_id) else None


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())

"""Deleting an App, and with it its history and triggers."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.actions.refusals import unknown_object
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS


@dataclass(frozen=True)
class DeletionPlan:
    """The App that would be deleted, and no other one that has its name by then."""

    namespace: str
    app: str
    uid: str


def plan_deletion(namespace: str, app: str, uid: str) -> DeletionPlan:
    """Sends no request: an App whose history is protected is refused when it is deleted."""
    return DeletionPlan(namespace, app, uid)


def perform_deletion(api: Api, plan: DeletionPlan) -> None:
    """Raises Unknown where the App is gone, or another one has its name, and kube.errors.ApiError."""
    options = {"preconditions": {"uid": plan.uid}, "propagationPolicy": "Background"}
    try:
        api.request("DELETE", APPS.path(plan.namespace, plan.app), body=options)
    except (errors.NotFound, errors.Conflict):
        raise unknown_object("App", plan.uid) from None

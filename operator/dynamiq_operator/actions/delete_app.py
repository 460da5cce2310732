"""Deletes an App, and with it its history and triggers."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.actions.refusals import unknown_object
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resource import APPS


@dataclass(frozen=True)
class DeletionPlan:
    """The App that would be deleted. `uid`: an App that was created again under the same name is kept."""

    namespace: str
    app: str
    uid: str


def plan_deletion(namespace: str, app: str, uid: str) -> DeletionPlan:
    """Plans the deletion without a request. The API server refuses the deletion itself if the App's history is protected."""
    return DeletionPlan(namespace, app, uid)


def perform_deletion(api: Api, plan: DeletionPlan) -> None:
    """Deletes the App.

    Raises Unknown if it was deleted already, or another App has its name, and kube.errors.ApiError.
    """
    options = {"preconditions": {"uid": plan.uid}, "propagationPolicy": "Background"}
    try:
        api.request("DELETE", APPS.path(plan.namespace, plan.app), body=options)
    except (errors.NotFound, errors.Conflict):
        raise unknown_object("App", plan.uid) from None

"""Suspends an App and resumes it. While it is suspended, nobody can deploy it; its workload keeps running."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, STRICT, Api
from dynamiq_operator.kube.resource import APPS
from dynamiq_operator.model.objects import Manifest


@dataclass(frozen=True)
class SuspensionPlan:
    """A change of `App.spec.suspend`. `app`: as it was read."""

    app: Manifest
    suspend: bool

    @property
    def is_no_op(self) -> bool:
        """True if the App is in this state already."""
        return bool(self.app["spec"].get("suspend")) is self.suspend

    def lines(self) -> list[str]:
        """Describes the plan in lines of text."""
        meta = self.app["metadata"]
        title = f"{meta['name']} in {meta['namespace']}"
        if self.is_no_op:
            return [f"{title} is {'suspended' if self.suspend else 'not suspended'} already: nothing changes"]
        if self.suspend:
            return [f"suspend {title}", "  while suspended, nobody can deploy it, not even with a bypass; it keeps running"]
        return [f"end the suspension of {title}", "  rows that wait only for it are deployed"]


def plan_suspension(api: Api, namespace: str, app: str, *, suspend: bool) -> SuspensionPlan:
    """Reads the App for a suspension, or for its end.

    Raises Unknown and kube.errors.ApiError.
    """
    try:
        return SuspensionPlan(requests.read_object(api, APPS, namespace, app), suspend)
    except errors.NotFound:
        raise Unknown(f"no App {app} in namespace {namespace}", "app") from None


def perform_suspension(api: Api, plan: SuspensionPlan) -> Manifest:
    """Suspends the App, or ends the suspension, and returns the App.

    Raises Unknown if it was deleted, and kube.errors.ApiError.
    """
    if plan.is_no_op:
        return plan.app
    meta = plan.app["metadata"]
    patch = {"metadata": {"uid": meta["uid"]}, "spec": {"suspend": True if plan.suspend else None}}
    try:
        return api.request("PATCH", APPS.path(meta["namespace"], meta["name"]), query=STRICT, body=patch, content_type=MERGE)
    except (errors.NotFound, errors.Conflict):
        raise Unknown(f"App {meta['name']} in namespace {meta['namespace']} was deleted or replaced", "app") from None

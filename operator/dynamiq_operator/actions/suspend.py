"""Suspending an App: nothing of it is deployed until that is taken off. What runs is kept in order."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, STRICT, Api
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import Manifest


@dataclass(frozen=True)
class SuspensionPlan:
    """A change of `App.spec.suspend`. `app`: as it was read."""

    app: Manifest
    suspend: bool

    @property
    def is_no_op(self) -> bool:
        """Whether the App is so already."""
        return bool(self.app["spec"].get("suspend")) is self.suspend

    def lines(self) -> list[str]:
        """The plan as text."""
        meta = self.app["metadata"]
        title = f"{meta['name']} in {meta['namespace']}"
        if self.is_no_op:
            return [f"{title} is {'suspended' if self.suspend else 'not suspended'} already: nothing changes"]
        if self.suspend:
            return [f"suspend {title}", "  nothing of it is deployed until this is taken off, a bypass included; what runs goes on"]
        return [f"take the suspension of {title} off", "  what waits for that alone is deployed"]


def plan_suspension(api: Api, namespace: str, app: str, *, suspend: bool) -> SuspensionPlan:
    """Raises Unknown and kube.errors.ApiError."""
    try:
        return SuspensionPlan(requests.get(api, APPS, namespace, app), suspend)
    except errors.NotFound:
        raise Unknown(f"no App {app} in namespace {namespace}", "app") from None


def perform_suspension(api: Api, plan: SuspensionPlan) -> Manifest:
    """Suspends the App, or takes that off; returns it. Raises Unknown where it is gone by now, and kube.errors.ApiError."""
    if plan.is_no_op:
        return plan.app
    meta = plan.app["metadata"]
    patch = {"metadata": {"uid": meta["uid"]}, "spec": {"suspend": True if plan.suspend else None}}
    try:
        return api.request("PATCH", APPS.path(meta["namespace"], meta["name"]), query=STRICT, body=patch, content_type=MERGE)
    except (errors.NotFound, errors.Conflict):
        raise Unknown(f"App {meta['name']} in namespace {meta['namespace']} is gone, or another one by now", "app") from None

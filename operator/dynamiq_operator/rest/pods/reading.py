"""Reads the pods of a row and their Events with the caller's token: a few requests, however many pods there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from dynamiq_operator.actions.pods import RowPods, pods_of_row
from dynamiq_operator.actions.running import selected_label
from dynamiq_operator.desired.pin_labels import PLAIN
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, EVENTS, PODS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.pagination import newest
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.pods.responses import PodResponse
from dynamiq_operator.rest.reads.rows import read_row

PODS_MOST = 50
EVENT_PAGES_MOST = 4
"""Pages of the Events of a namespace's pods that are read, at most: 2,000 Events, which are kept for an hour."""


def read_pods(context: ApiContext, session: CallerSession, app_id: str, row_id: str) -> list[PodResponse]:
    """Returns the row's pods, newest first. Raises HttpProblem 404, Denied if the caller may not list pods, and other errors.ApiError."""
    app, row = _app_and_row(context, session, app_id, row_id)
    pods = newest(pods_of_row(session.api, app, row))[:PODS_MOST]
    if not pods:
        return []
    namespace, name = app["metadata"]["namespace"], app["metadata"]["name"]
    calls: list[Callable[[], Any]] = [partial(_selected, session, namespace, name), partial(_events, session, namespace)]
    selected, events = context.in_parallel(*calls)
    return [PodResponse.of(raw, selected, events.get(raw["metadata"]["uid"], ())) for raw in pods]


def read_pod(context: ApiContext, session: CallerSession, app_id: str, row_id: str, name: str) -> Manifest:
    """Returns a pod, which must be one of the row's.

    Raises HttpProblem 404, Denied if the caller may not get pods, and other errors.ApiError.
    """
    app, row = _app_and_row(context, session, app_id, row_id)
    try:
        pod = session.api.request("GET", PODS.path(app["metadata"]["namespace"], name))
    except errors.NotFound:
        raise unknown_pod(name) from None
    if not RowPods(app, row).has(pod):
        raise unknown_pod(name)
    return pod


def unknown_pod(name: str) -> HttpProblem:
    return HttpProblem(404, f"the deployment has no pod {name}")


def _app_and_row(context: ApiContext, session: CallerSession, app_id: str, row_id: str) -> tuple[Manifest, Manifest]:
    entry, app = context.open(session, APPS, app_id)
    return app, read_row(context, session, entry, row_id)[1]


def _selected(session: CallerSession, namespace: str, app: str) -> str:
    """Returns the label by which the App's Service selects pods. If that may not be read, every Ready pod counts as serving."""
    try:
        return selected_label(session.api, namespace, app) or PLAIN
    except errors.Denied:
        return PLAIN


def _events(session: CallerSession, namespace: str) -> dict[str, list[Manifest]]:
    """Returns the Events of the namespace's pods, by the uid of each pod."""
    by_pod: dict[str, list[Manifest]] = defaultdict(list)
    try:
        # One list: with a selector by pod, the API server would go through all Events for each pod.
        for event in _listed_events(session, namespace):
            by_pod[event["involvedObject"].get("uid") or ""].append(event)
    except errors.Forbidden:
        pass
    return by_pod


def _listed_events(session: CallerSession, namespace: str) -> Iterator[Manifest]:
    pages = kube_api.pages(session.api, EVENTS, namespace, field="involvedObject.kind=Pod")
    for page in islice(pages, EVENT_PAGES_MOST):
        yield from page["items"] or ()

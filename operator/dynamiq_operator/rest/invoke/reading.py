"""Reads where an App is called, and by which key, with the caller's own token. It calls no App."""

from __future__ import annotations

import ipaddress

from dynamiq_operator.actions import reads, rights
from dynamiq_operator.actions.access_keys import key_of
from dynamiq_operator.actions.refusals import NotAllowed, NotNow
from dynamiq_operator.desired.exposure import HTTP
from dynamiq_operator.desired.job import ANSWER_SECONDS, RUN_SECONDS
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.app_objects import only_of_app
from dynamiq_operator.kube.resource import SERVICES
from dynamiq_operator.kube.resources import APPS, SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.invoking import Target
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.views.sleep import is_asleep

HOLD_MOST = 3600
"""Most seconds for which a call waits for an App to wake."""


def target_of(context: ApiContext, session: CallerSession, app_id: str) -> Target:
    """Returns where the App is called. Raises HttpProblem 404, NotAllowed, NotNow, Unknown, and errors.ApiError."""
    _, raw = context.open(session, APPS, app_id)
    app = reads.app_as_served(session.api, reads.typed(App, raw))
    key = _key(session, app)
    address, port = _address(session, app)
    within = HOLD_MOST + RUN_SECONDS if is_asleep(raw.get("status") or {}) else ANSWER_SECONDS
    return Target(address, port, f"{names.service(app.meta.name)}.{app.meta.namespace}.svc", key, within)


def _key(session: CallerSession, app: App) -> str | None:
    """Returns an Access Key; None for a public App. Who may not read the App's keys may call neither."""
    meta = app.meta
    denied = NotAllowed(
        f"you may not read the Access Keys of App {meta.name}, which a call through this API needs: "
        "the role dynamiq-keys has the right. Or call the App at its hostname with a key of yours"
    )
    if not app.spec.is_private:
        if not rights.may(session.api, "get", SECRETS, meta.namespace, names.access_keys(meta.name)):
            raise denied
        return None
    try:
        key = key_of(session.api, meta.namespace, meta.name, None, meta.uid)
    except errors.Forbidden:
        raise denied from None
    if not key.isascii() or not key.isprintable():
        raise NotNow(f"the Access Key of App {meta.name} has letters that a header cannot have: create a key named default")
    return key


def _address(session: CallerSession, app: App) -> tuple[str, int]:
    """Returns the address of the App's Service in the cluster, and its port."""
    # Not its name: as an ExternalName, a Service would lead this API anywhere that its network reaches.
    meta, name = app.meta, names.service(app.meta.name)
    missing = NotNow(f"App {meta.name} has no Service in namespace {meta.namespace} yet: it is made with its first deploy")
    try:
        service: Manifest = kube_api.read_object(session.api, SERVICES, meta.namespace, name)
    except errors.NotFound:
        raise missing from None
    except errors.Forbidden:
        raise NotAllowed(f"you may not read the Service {name}, by which App {meta.name} is called: dynamiq-view has the right") from None
    if not only_of_app(session.api, meta.namespace, meta.name, [service], meta.uid):
        raise missing
    spec = service["spec"]
    port = next((each["port"] for each in spec.get("ports") or () if each.get("name") == HTTP), None)
    if spec.get("type") == "ExternalName" or port is None or not _is_address(spec.get("clusterIP")):
        raise NotNow(f"the Service {name} has no address in the cluster: somebody has changed it")
    return str(spec["clusterIP"]), int(port)


def _is_address(text: str | None) -> bool:
    try:
        ipaddress.ip_address(text or "")
    except ValueError:
        return False
    return True

"""Checks the target of a promotion before anything is made there: its namespace, labels and hostname, as far as the caller may read them.

It does not find the target (`promote.find_target`), and decides nothing about its policies.
"""

from __future__ import annotations

from collections.abc import Mapping

from dynamiq_operator.actions.refusals import Refusal, Taken, Unknown
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS, NAMESPACES
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest


def check_namespace(api: Api, target: str, environment: str, own: Mapping[str, str] | None) -> tuple[str, ...]:
    """Returns warnings on what could not be read. `own`: the labels of the source's namespace, None if they are unknown.

    Raises Unknown if the namespace does not exist, Refusal if it is of another environment or project, and kube.errors.ApiError.
    """
    try:
        labels = labels_of(requests.read_object(api, NAMESPACES, "", target))
    except errors.NotFound:
        raise Unknown(f"namespace {target} does not exist: create and label it first", "target_namespace") from None
    except errors.Forbidden:
        return (f"cannot check that namespace {target} is {environment}: you may not read namespaces there",)
    actual, project = labels.get(names.ENVIRONMENT_LABEL), labels.get(names.PROJECT_LABEL)
    if actual is None:
        raise Refusal(
            f"namespace {target} is of no environment, so no policy for {environment} would apply there: "
            f"`kubectl label namespace {target} {names.ENVIRONMENT_LABEL}={environment}`",
            "target_namespace",
        )
    if actual != environment:
        raise Refusal(f"namespace {target} is {actual}, not {environment}", "target_namespace")
    if own is None:
        return (f"cannot check that namespace {target} is of the same project: you may not read the source namespace",)
    own_project = own.get(names.PROJECT_LABEL)
    if own_project and project and own_project != project:
        raise Refusal(f"namespace {target} belongs to project {project}, not to {own_project}", "target_namespace")
    return ()


def check_hostname(api: Api, target: str, app: str, hostname: str) -> tuple[str, ...]:
    """Returns a warning if the caller may not list all Apps.

    Raises Taken if another App has the hostname, and kube.errors.ApiError.
    """
    warnings: tuple[str, ...] = ()
    try:
        holder = _holder(api, "", target, app, hostname)
    except errors.Forbidden:
        warnings = (f"cannot check that hostname {hostname} is free: you may not list Apps of other namespaces there",)
        try:
            holder = _holder(api, target, target, app, hostname)
        except errors.Denied:
            holder = None
    if holder is not None:
        raise Taken(f"App {holder} has hostname {hostname} already: choose another", "hostname")
    return warnings


def _holder(api: Api, namespace: str, target: str, app: str, hostname: str) -> str | None:
    """Returns another App that has the hostname, as namespace/name; None without one. It reads columns, not whole Apps."""

    def first_other(field: str) -> str | None:
        for page in requests.pages(api, APPS, namespace, field=field, accept=requests.TABLE):
            for meta, cells in requests.table_rows(page):
                if cells.get("HOSTNAME") == hostname and (meta["namespace"], meta["name"]) != (target, app):
                    return f"{meta['namespace']}/{meta['name']}"
        return None

    try:
        return first_other(f"status.hostname={hostname}")
    except errors.Invalid:
        return first_other("")  # the CRD of an older version knows no such field


def labels_of(namespace: Manifest) -> Mapping[str, str]:
    """Returns the labels of a Namespace as stored."""
    return namespace["metadata"].get("labels") or {}

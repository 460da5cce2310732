"""Reads what the preview of a deploy or a rollback needs, while its models are imported. Decides nothing: the plan reads what is missing.

Each function is a part of `Transport.reading_ahead`. The plan's requests get its responses if they are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dynamiq_operator.actions import rights, running
from dynamiq_operator.kube.resource import REJECTIONS, ROWS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.manifests import Phase

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext
    from dynamiq_operator.kube.api import Api


def of_deploy(context: CommandContext, version: str | None) -> Iterator[Callable[[Api], object]]:
    """Yields the reads of a deploy of this version; without one, of the newest release."""
    yield lambda api: _read_release(context, api, version)
    yield lambda api: _read_live_flow(context, api)
    yield from (_right(context, verb) for verb in ("create", rights.DEPLOY))


def of_rollback(context: CommandContext) -> Iterator[Callable[[Api], object]]:
    """Yields the reads of a rollback."""
    yield lambda api: running.app_manifest(api, context.namespace, context.options.app)
    yield lambda api: _read_live_flow(context, api)
    yield lambda api: running.rows(api, context.namespace, context.options.app, None)
    yield lambda api: running.listed(api, REJECTIONS, context.namespace)
    yield _right(context, "create")


def _right(context: CommandContext, verb: str) -> Callable[[Api], object]:
    return lambda api: rights.may(api, verb, ROWS, context.namespace)


def _read_release(context: CommandContext, api: Api, version: str | None) -> None:
    namespace = context.namespace
    workflow = running.app_manifest(api, namespace, context.options.app)["spec"]["workflow"]
    name = names.workflow_version(workflow, version) if version is not None else running.releases(api, namespace, workflow)[-1].name
    if (release := running.find(api, VERSIONS, namespace, name)) is not None:
        running.listed(api, REJECTIONS, namespace, f"spec.workflowHash={flow_hash(release['spec']['flow'])}")


def _read_live_flow(context: CommandContext, api: Api) -> None:
    rows = running.undecided(api, context.namespace, context.options.app, None)
    for pinned in (row["spec"]["pinned"] for row in rows if (row.get("status") or {}).get("phase") == Phase.LIVE):
        version = names.workflow_version(pinned["workflow"], pinned["workflowVersion"])
        running.flow_text(api, context.namespace, context.options.app, pinned["workflowHash"], version)

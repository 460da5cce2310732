"""Turns a request about an App's runs into one to the recorder, or the journal.

It checks that the caller may see the App, and replaces ids by names.
"""

from __future__ import annotations

from functools import partial

import anyio.to_thread

from dynamiq_operator.actions import triggers
from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube.resources import APPS, VERSIONS
from dynamiq_operator.model.names import workflow_and_version
from dynamiq_operator.rest.context import KIND_NAMES, ApiContext
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.recorder import RecorderClient
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.reads.rows import is_id
from dynamiq_operator.rest.runs.filters import Pairs, RunFilters

NO_FILTERS = RunFilters([], None, None)


async def path_of(context: ApiContext, session: CallerSession, app_id: str, server: RecorderClient | None = None) -> str:
    """Returns the App's path at a server, the recorder if none is given.

    Raises HttpProblem: 501 without that server, 404 if the caller cannot see the App.
    """
    path, _ = await filtered(context, session, app_id, NO_FILTERS, server)
    return path


async def path_of_run(context: ApiContext, session: CallerSession, app_id: str, run_id: str) -> str:
    """Returns a background run's path at the journal. Raises HttpProblem: 501 without a journal, and 404."""
    path = await path_of(context, session, app_id, context.journal)
    if not is_id(run_id):
        raise unknown_id("run", run_id)
    return f"{path}/runs/{run_id.lower()}"


async def filtered(
    context: ApiContext, session: CallerSession, app_id: str, conditions: RunFilters, server: RecorderClient | None = None
) -> tuple[str, Pairs]:
    """Returns the App's path, and the filters as the recorder takes them.

    Raises as `path_of` does, also for the id of an unknown version or trigger.
    """
    server = server or context.recorder
    server.require()
    return await anyio.to_thread.run_sync(partial(_filtered, context, session, app_id, conditions), limiter=server.threads)


def _filtered(context: ApiContext, session: CallerSession, app_id: str, conditions: RunFilters) -> tuple[str, Pairs]:
    entry, app = context.open(session, APPS, app_id, kube_api.METADATA_ONE if conditions.trigger_id is None else kube_api.PLAIN)
    pairs = list(conditions.pairs)
    if conditions.version_id is not None:
        version = context.find(VERSIONS, conditions.version_id, "workflow_version_id")
        if version.namespace != entry.namespace:
            raise unknown_id(KIND_NAMES[VERSIONS], conditions.version_id, "workflow_version_id")
        pairs.append(("workflow_version", workflow_and_version(version.name)[1]))
    if conditions.trigger_id is not None:
        pairs.append(("trigger", triggers.find(app, conditions.trigger_id)["name"]))
    return f"/v1/apps/{entry.uid}", pairs

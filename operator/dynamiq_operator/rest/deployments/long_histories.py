"""Reads the ended rows of long histories before a caller asks for them: a page would read each of its rows by itself otherwise.

It reads with this program's own account. A caller gets a row from it only after having listed rows of the namespace with their own token.
"""

from __future__ import annotations

import logging
import threading

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import rows
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.reads.rows import groups_of

LOG = logging.getLogger(__name__)
PERIOD, READY_PERIOD = 60.0, 0.5
"""Seconds between searches for histories that became long, and until the index has been listed."""
WORTH_A_LIST = 100
"""Ended rows of one App that are not cached, from which its history is listed. Fewer are read when somebody asks for them."""


def keep(context: ApiContext, ends: threading.Event) -> None:
    """Reads long histories ahead until `ends` is set."""
    while not ends.wait(PERIOD if context.index.is_ready else READY_PERIOD):
        if context.index.is_ready:
            read_ahead(context, ends)


def read_ahead(context: ApiContext, ends: threading.Event) -> None:
    """Reads the ended rows of each long history once, until the cache is full."""
    for app in context.index.of(APPS).all():
        if ends.is_set() or context.rows.is_full:
            return
        if context.index.of(ROWS).count(groups_of(app)) > rows.LISTED_MOST and _uncached(context, app) >= WORTH_A_LIST:
            try:
                _read(context, app, ends)
            except errors.ApiError as error:
                LOG.info("the history of %s/%s is not read ahead: %s", app.namespace, app.name, error)
            except Exception:
                LOG.exception("the history of %s/%s is not read ahead", app.namespace, app.name)


def _uncached(context: ApiContext, app: Entry) -> int:
    members = context.index.of(ROWS).members(groups_of(app), newest_first=True)
    return sum(entry.is_closed and not context.rows.has(entry) for entry in members)


def _read(context: ApiContext, app: Entry, ends: threading.Event) -> None:
    token = ""
    while not ends.is_set() and not context.rows.is_full:
        _, token = rows.listed_page(context, context.server.own, app, token)
        if not token:
            return

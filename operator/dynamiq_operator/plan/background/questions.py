"""Lists the notifications that background runs ask a person. It knows counts and no texts, and sends none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from dynamiq_operator.model import names
from dynamiq_operator.model.app_status import FinishingVersion
from dynamiq_operator.model.objects import App, format_time
from dynamiq_operator.model.text import plugin_command
from dynamiq_operator.plan.background.notifications import RUN_WAITING, Notification
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.open_runs import OpenCount
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.workloads.finishing import version_of

AGAIN = timedelta(minutes=5)
"""The least time between two notifications about one version, while it always has an open question."""


class Noted(NamedTuple):
    """The last notification about pins: when the oldest question was `asked`, and when it was sent."""

    asked: datetime
    at: datetime


def questions_of(snapshot: Snapshot, noted: Mapping[str, Noted]) -> tuple[tuple[Notification, ...], dict[str, Noted]]:
    """Returns the notifications about new questions of an App, and what is noted after them, by the label of pins.

    A version that had no open question has one, or its oldest one is a later one than noted. Questions from before the counts were known are
    noted only: the operator before has sent them.
    """
    open_runs = snapshot.open_runs
    if snapshot.app is None or open_runs.known_since is None:
        return (), dict(noted)
    found: list[Notification] = []
    after: dict[str, Noted] = {}
    for label, count in open_runs.counts.items():
        if not count.questions or count.asked is None:
            continue
        before = noted.get(label)
        is_new = count.asked > before.asked if before is not None else count.asked >= open_runs.known_since
        if before is not None and (not is_new or snapshot.now - before.at < AGAIN):
            after[label] = before
            continue
        after[label] = Noted(count.asked, snapshot.now if is_new else snapshot.now - AGAIN)
        version = version_of(Context.of(snapshot, snapshot.app), label)
        if is_new and version is not None:
            found.append(_notification(snapshot.app, version, count, count.asked, snapshot.now))
    return tuple(found), after


def _notification(app: App, version: FinishingVersion, count: OpenCount, asked: datetime, now: datetime) -> Notification:
    since, one = format_time(asked), count.questions == 1
    questions = "a question of a background run" if one else f"{count.questions} questions of background runs"
    see = plugin_command(f"questions {app.meta.name}", app.meta.namespace)
    return Notification(
        id=names.event(app.meta.uid, RUN_WAITING, f"{version.pins}-{since}"),
        reason=RUN_WAITING,
        namespace=app.meta.namespace,
        app=app.meta.name,
        row=version.row,
        at=now,
        message=f"{questions} on {version.title} wait{'s' if one else ''} for a person, {'' if one else 'the oldest '}since {since}: {see}",
        sequence=version.sequence,
        version=version.version,
        questions=count.questions,
        oldest=since,
    )

"""Keeps the features of an App's runtimes, as their pods reported them, by image. A pod without a report changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from dynamiq_operator.model.app_status import RUNTIMES_MOST, RuntimeReport
from dynamiq_operator.model.objects import App
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.snapshot import Snapshot


def runtimes(context: Context) -> tuple[RuntimeReport, ...]:
    """Returns the known reports, with those of the pods of now. Pods of one image that differ change nothing."""
    reported: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for pod in context.snapshot.pods.observed:
        activity = context.snapshot.pods.activity.get(pod.uid)
        if activity is not None and pod.container is not None:
            reported[pod.container.image].add(activity.capabilities)
    known = {each.image: each for each in context.app.status.runtimes}
    for image, answers in reported.items():
        if len(answers) == 1:
            known[image] = RuntimeReport(image=image, capabilities=next(iter(answers)))
    return tuple(known.values())[-RUNTIMES_MOST:]


def readings_due(snapshot: Snapshot, app: App) -> Iterator[tuple[str, datetime]]:
    """Yields a ready pod of each image without a report, to read it once. An image with a silent pod is not read again."""
    pods = snapshot.pods
    known = {each.image for each in app.status.runtimes}
    known |= {pod.container.image for pod in pods.observed if pod.uid in pods.silent and pod.container is not None}
    for pod in pods.observed:
        is_unread = pod.ready and not pod.deleting and pod.uid not in pods.activity
        if is_unread and pod.container is not None and pod.container.image not in known:
            known.add(pod.container.image)
            yield pod.uid, snapshot.now

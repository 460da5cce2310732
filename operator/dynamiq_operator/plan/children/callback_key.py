"""Plans the Secret of an App's key for callbacks: created once, then the user's. It does not read the Secret.

Pods mount it if it is there, and start without it: an App serves its callers although nobody may create the Secret. Pods made before it
lack the mount until something else replaces them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from dynamiq_operator.desired.base import SECRET, ChildKey
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.children import access_keys
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.secrets import KeysPresence
from dynamiq_operator.plan.operations import CreateCallbackKey
from dynamiq_operator.plan.workloads import environment

RESTARTED_WITHIN = timedelta(minutes=10)
"""The most that a restart by a person is old when it gives pods the key. An older one may be of before an upgrade of the operator."""


def is_read(app: App, workloads: Iterable[Manifest], journal: str | None) -> bool:
    """Returns True if the Secret has to be read: the App's pods take background runs, or will."""
    return journal is not None and access_keys.are_read(app, workloads)


def creation(context: Context) -> Iterator[CreateCallbackKey]:
    """Yields the creation of the Secret if it is missing."""
    if _is_needed(context) and _is_missing(context) and not context.snapshot.children.holds_back(_key(context), ""):
        yield CreateCallbackKey(context.app)


def is_awaited(context: Context) -> bool:
    """Returns True if the Secret is created first, and the workload in the next plan. Pods wait for no Secret that cannot be made."""
    return _is_needed(context) and _is_missing(context) and _key(context) not in context.snapshot.children.problems


def is_mounted(context: Context) -> bool:
    """Returns True if new pods mount the Secret: it is the App's. With a matching name, an App would make another's readable."""
    return _is_needed(context) and context.snapshot.secrets.callback_key.presence is KeysPresence.PRESENT


def _is_needed(context: Context) -> bool:
    return context.snapshot.settings.journal is not None and environment.needs_keys(context)


def _is_missing(context: Context) -> bool:
    return context.snapshot.secrets.callback_key.presence is KeysPresence.ABSENT


def _key(context: Context) -> ChildKey:
    return SECRET.kind, names.callback_key(context.app.meta.name)

"""Decides which pins have a Service of their own, by which turns of conversations reach their pods.

It is there before the Service of the App goes to other pins, and never for pins that may have no conversation.
"""

from __future__ import annotations

from dynamiq_operator.desired.base import SERVICE
from dynamiq_operator.desired.pin_labels import PLAIN
from dynamiq_operator.model import names
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.workloads.conversations import holds_conversations, is_closed, keeps_conversations, pins_of
from dynamiq_operator.plan.workloads.wanted import wanted_workloads


def labels(context: Context) -> tuple[str, ...]:
    """Returns the labels of the pins that have such a Service: those whose workload stays; none for an App without conversations."""
    if not keeps_conversations(context):
        return ()
    wanted = {each.label: each.pins for each in wanted_workloads(context)}
    # Callers never reach pods that are not verified yet.
    wanted = {label: pins for label, pins in wanted.items() if label not in (PLAIN, context.unverified) and not is_closed(context, pins)}
    held = {label: pins_of(context, label) for label in context.workloads.of_pins if holds_conversations(context, label)}
    return tuple(sorted(wanted | held))


def are_made(context: Context, *pins: str) -> bool:
    """Returns True if each of these pins has its Service, as far as it is to have one."""
    observed, app = context.snapshot.children.observed, context.app.meta.name
    wanted = labels(context)
    return all((SERVICE.kind, names.turns(app, label)) in observed for label in pins if label in wanted)

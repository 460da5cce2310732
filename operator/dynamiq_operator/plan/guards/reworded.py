"""Recognizes messages of the previous operator version in a waiting row, so that an upgrade does not rewrite rows only for new wording."""

from __future__ import annotations

import re

from dynamiq_operator.model.needs import in_order, needs_of
from dynamiq_operator.model.row import RowStatus

_COMMAND = r"`kubectl dynamiq (?P<command>(?:resume|approve|suspend) \S+?(?: --off)?)`"
_FREEZE = r"freeze (?P<window>\S+) of policy (?P<policy>\S+)"
_RUNS = "`kubectl dynamiq {command} -n {namespace}`"
_BEFORE = (
    (
        rf"App (?P<app>\S+) is suspended: nothing of it is deployed before {_COMMAND}",
        "App {app} is suspended: someone who may deploy runs " + _RUNS,
    ),
    (
        rf"nothing is deployed before (?P<until>\S+) \({_FREEZE}\), and then it waits until somebody resumes it",
        "Frozen until {until} (freeze {window} of policy {policy}), then someone who may deploy runs `kubectl dynamiq resume {app} -n {namespace}`",
    ),
    (rf"nothing is deployed before (?P<until>\S+) \({_FREEZE}\)", "Frozen until {until} (freeze {window} of policy {policy})"),
    (
        rf"{_FREEZE} was over at (?P<until>\S+): it waits until somebody resumes it, by {_COMMAND}",
        "Freeze {window} of policy {policy} ended at {until}: someone who may deploy runs " + _RUNS,
    ),
    (
        rf"{_FREEZE} was over at (?P<until>\S+): it is deployed within a minute",
        "Freeze {window} of policy {policy} ended at {until}: this is deployed within a minute",
    ),
    (r"its version has to be (?P<rest>live .*)", "Its version has to be {rest}"),
    (
        r"it awaits (?P<people>\d+ approvals?) \((?P<of>[^)]*)\), and none counts: the API server did not stamp who made the row, so nobody can be told from its author",
        "Needs {people} ({of}), and none counts: the API server did not stamp who made the row, so the author is unknown",
    ),
    (
        r"it awaits (?P<people>\d+ approvals?) \((?P<of>[^)]*)\), and none counts: (?P<rest>.*)",
        "Needs {people} ({of}), and none counts: {rest}",
    ),
    (
        rf"it awaits (?P<people>\d+ approvals?) \((?P<of>[^)]*)\)(?:, (?P<given>\d+) of them (?:is|are) there)?: {_COMMAND}, by who may, and did not make the row",
        "Needs {people} ({of}){there}: someone other than the author, with the role dynamiq-approver, runs " + _RUNS,
    ),
    (
        rf"row \S+ \(#(?P<sequence>\d+)\) went back, and what Git asks for waits: {_COMMAND} deploys it, a deploy by hand of another version takes its place",
        "Changes from Git are on hold after the rollback in #{sequence}. To apply this one, someone who may deploy runs " + _RUNS,
    ),
)
_PATTERNS = tuple((re.compile(pattern), now) for pattern, now in _BEFORE)


def with_former_message(before: RowStatus, status: RowStatus, app: str, namespace: str) -> RowStatus:
    """Returns the status with the message that the row already has if both mean the same; else the status unchanged."""
    if before.waits is None or status.waits is None or before.waits.message == status.waits.message:
        return status
    message = before.waits.message
    if in_order([_reworded(each, app, namespace) for each in message.split("; ")]) != in_order(
        [_counted(each) for each in needs_of(status.waits.message)]
    ):
        return status
    conditions = tuple(
        each.model_copy(update={"message": message}) if each.message == status.waits.message else each for each in status.conditions
    )
    return status.model_copy(update={"waits": status.waits.model_copy(update={"message": message}), "conditions": conditions})


def _reworded(sentence: str, app: str, namespace: str) -> str:
    """Returns a sentence of the previous version in today's wording."""
    for pattern, now in _PATTERNS:
        if (match := pattern.fullmatch(sentence)) is not None:
            values = {name: value for name, value in match.groupdict().items() if value is not None}
            there = f", has {values['given']}" if "given" in values else ""
            return now.format(**{"app": app, "namespace": namespace, "there": there, **values})
    return sentence


def _counted(need: str) -> str:
    """Returns a need without its sentences about approvals that do not count: the previous version did not write them."""
    return need.partition(". The approval by ")[0]

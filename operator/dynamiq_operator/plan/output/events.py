"""Builds the Events about a deploy, on the row and on its App, in the user's words. It sends none."""

from __future__ import annotations

from datetime import datetime

from dynamiq_operator.model.guards import Released, Verified
from dynamiq_operator.model.objects import App, Manifest, Row, Unreadable, format_time
from dynamiq_operator.model.row import Outcome, Pinned
from dynamiq_operator.plan.operations import Emit

BEGINNING = "Progressing"
"""The slot for how a row without pins ended or began. It is the reason of the Event for a begun deploy."""
END = "Ended"
"""The slot for how the deploy of a pinned row ended."""


def began(app: App, row: Row, pinned: Pinned) -> tuple[Emit, ...]:
    restores = f", with the version of row {pinned.restores.row}" if pinned.restores else ""
    text = f"deploying {row.title} on runtime {pinned.runtime.version}{restores}"
    image = pinned.runtime.image
    unpinned = "" if "@sha256:" in image else f"; its image {image} names a tag, which can change: name a digest to pin it"
    return (*_bypassed(app, row), *_about_both(app, row, BEGINNING, text + unpinned))


def _bypassed(app: App, row: Row) -> tuple[Emit, ...]:
    if row.spec.bypass is None:
        return ()
    text = f"{row.title} bypasses all guards, by {row.spec.created_by or 'an unknown user'}: {row.spec.bypass.reason}"
    return _about_both(app, row, "Bypassed", text, warning=True)


def released(app: App, row: Row, released: Released) -> tuple[Emit, ...]:
    waited = ", ".join(reason.value for reason in released.guards)
    by = f", by {', '.join(released.by)}" if released.by else ""
    return _about_both(app, row, "Released", f"{row.title} is admitted (it waited: {waited}){by}")


def waits(app: App | None, row: Row, message: str) -> tuple[Emit, ...]:
    return _about_both(app, row, "Waiting", f"{row.title} waits: {message}", key=message)


def ended(app: App, row: Row, outcome: Outcome, *, is_warning: bool = False) -> tuple[Emit, ...]:
    """Returns the Events about a row's end. `is_warning`: True also for a row that did not fail, if its author still counts on it."""
    result = outcome.result.value
    phrases = {"Succeeded": "is live", "Failed": f"failed: {outcome.reason}", "Overtaken": f"was overtaken: {outcome.reason}"}
    reason = "Live" if result == "Succeeded" else result
    # A row may be pinned and overtaken in one plan: only its first Event shows whether its deploy began.
    slots = {"Succeeded": (END,), "Failed": (END if row.pinned else BEGINNING,), "Overtaken": (BEGINNING, END)}
    return _about_both(app, row, reason, f"{row.title} {phrases[result]}", warning=is_warning or result == "Failed", slots=slots[result])


def verifying(app: App, row: Row) -> tuple[Emit, ...]:
    return _about_both(app, row, "Verifying", f"the new pods of {row.title} are smoke-tested before a caller reaches them")


def verified(app: App, row: Row, result: Verified) -> tuple[Emit, ...]:
    cases = f"{result.cases} case{'s' if result.cases != 1 else ''} by {result.calls} call{'s' if result.calls != 1 else ''}"
    passed = [cases] if result.cases else []
    passed += [f"an evaluation of {result.score:g}"] if result.score is not None else ["its evaluation"] if not result.cases else []
    return _about_both(app, row, "Verified", f"{row.title} passed {' and '.join(passed)} in {result.seconds:g} s")


def verification_failed(app: App, row: Row, message: str) -> tuple[Emit, ...]:
    return _about_both(app, row, "VerificationFailed", f"no caller has reached {row.title}: {message}", warning=True)


def reverted(app: App, row: Row, message: str, restored: str) -> tuple[Emit, ...]:
    return _about_both(app, row, "Reverted", f"{message}; row {restored} is restored", warning=True)


def not_reverted(app: App, row: Row, message: str) -> tuple[Emit, ...]:
    return _about_both(app, row, "NotReverted", message, warning=True)


def superseded(app: App, row: Row, by: Row) -> tuple[Emit, ...]:
    return _about_both(app, row, "Superseded", f"{row.title} was superseded by {by.title}")


def repaired(app: App, kind: str, name: str, field: str, version: str) -> Emit:
    return Emit(
        app, "Repaired", f"{kind} {name} was changed at {field.lstrip('.')}: the operator changed it back", key=f"{kind}/{name}/{version}"
    )


def standby_given_up(app: App, workload: Manifest, why: str) -> Emit:
    name = workload["metadata"]["name"]
    text = f"standby Deployment {name} is given up: a quota has no room for it beside the new and the live pods: {why}"
    return Emit(app, "StandbyGivenUp", text, key=f"{name}/{workload['metadata'].get('uid', '')}", warning=True)


def asleep(app: App, now: datetime) -> Emit:
    """Returns the Event that an App fell asleep: one an hour at most, since an App may fall asleep and wake many times."""
    return Emit(app, "Asleep", "nobody called it for a while: it sleeps until the next call", key=_hour(now))


def straight_to_pods(app: App, now: datetime) -> Emit:
    return Emit(app, "Awake", "its pods are ready: calls go directly to them, and no longer to the gate", key=_hour(now))


def woken(app: App, now: datetime, why: str) -> Emit:
    return Emit(app, "Woken", f"the operator wakes it: {why}", key=f"{_hour(now)}/{why}")


def _hour(now: datetime) -> str:
    return format_time(now)[:13]


def claimed_again(app: App, host: str, since: datetime, *, contested: bool = False, tied: bool = False) -> Emit:
    """Returns the Event that a lost claim is made again. `contested`: another App serves the hostname, too. `tied`: it has served it for as
    long.
    """
    text = f"the claim of hostname {host} was lost and is created again, dated {format_time(since)}, since when the App has served it"
    if tied:
        text += "; another App has served it for as long: this one comes first by namespace and name"
    elif contested:
        text += "; another App has served it for a shorter time: one of the two must choose another"
    return Emit(app, "HostnameClaimed", text, key=f"{host}/{format_time(since)}", warning=True)


def finishing(app: App, reason: str, message: str) -> Emit:
    """Returns the Event that background runs of earlier versions need a person, with the reason of the condition Finishing."""
    return Emit(app, reason, message, key=message, warning=True)


def finishing_for_now(app: App, now: datetime, reason: str, message: str) -> Emit:
    """Returns the Event that such runs wait for something that passes, or for an answer: one an hour at most."""
    return Emit(app, reason, message, key=_hour(now), warning=reason != "RunsWait")


def sessions_moved(app: App, live: Row | None, message: str, key: str) -> tuple[Emit, ...]:
    about = (live, app) if live is not None else (app,)
    return tuple(Emit(each, "SessionsMoved", message, key=key) for each in about)


def hindered(app: App, message: str) -> Emit:
    return Emit(app, "Hindered", message, key=message, warning=True)


def reconcile_failed(app: App | Unreadable, message: str) -> Emit:
    return Emit(app, "ReconcileFailed", message, key=message, warning=True)


def lacking(app: App, lacks: str) -> Emit:
    return Emit(app, "VariableMissing", lacks, key=lacks, warning=True)


def _about_both(
    app: App | None, row: Row, reason: str, message: str, *, key: str = "", warning: bool = False, slots: tuple[str, ...] = ()
) -> tuple[Emit, ...]:
    about = (row, app) if app is not None else (row,)
    return tuple(Emit(each, reason, message, key=f"{row.meta.uid}/{key}", warning=warning, slots=slots) for each in about)

"""Finds the state of an App's sleep: whether its workload has pods, whether callers reach the gate, and since when. It decides nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.gate_slice import read_note
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.pod_template import DEFAULT_PORT
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model import names
from dynamiq_operator.model.gates import AT_ONCE, GateNote
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.causes import Gravity, find_cause
from dynamiq_operator.plan.observed.endpoints import Gate, ObservedEndpoints, Slice
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.sleep.hindrances import sleeping_config
from dynamiq_operator.plan.workloads import environment
from dynamiq_operator.plan.workloads.endpoints import own_slices

SETTLED = timedelta(seconds=3)
"""How long callers need to follow a change of slices: two seconds, plus one that the slices' times leave out."""
FOR_EACH_RUN = 4
"""Calls that the gate sends to a pod for each concurrent run. A pod queues ten calls, and also gets calls that do not pass the gate."""


class Sleep(Enum):
    """States of sleep. `NEVER`: no serverless row is live, and none left a slice. `LEFT`: it has no pod, and the gate does not answer for
    it.
    """

    NEVER = "never sleeps"
    AWAKE = "awake"
    LEADING = "awake, and calls are led to the gate as well: it falls asleep, or has just woken"
    WAKING = "waking: no pod is ready yet, and the gate holds its calls"
    ASLEEP = "asleep"
    LEFT = "without a pod and without the gate"


def sleep_of(context: Context) -> Sleep:
    """Returns the state of an App's sleep, from its serving workload and from the gate's slice."""
    observed, leads = context.serving_workload, gate_slice(context.snapshot.endpoints, context.app)
    if observed is None or (sleeping_config(context.history.live) is None and leads is None):
        return Sleep.NEVER
    if observed["spec"].get("replicas", 1) == 0:
        return Sleep.ASLEEP if leads is not None and is_answered(context.snapshot.endpoints.gate, leads) else Sleep.LEFT
    if leads is None:
        return Sleep.AWAKE
    return Sleep.LEADING if WorkloadState.of(observed).available else Sleep.WAKING


def gate_slice(endpoints: ObservedEndpoints, app: App) -> Slice | None:
    """Returns the slice by which callers reach the gate; None if there is none."""
    service = names.service(app.meta.name)
    return next((each for each in endpoints.slices if each.is_gates and each.service == service and not each.deleting), None)


def is_answered(gate: Gate, leads: Slice) -> bool:
    """Returns True if a ready pod of the gate is in the slice; while the gate is unknown, if any ready endpoint is."""
    return any(endpoint.pod_uid in gate.pods if gate.is_known else endpoint.ready for endpoint in leads.endpoints)


def wanted_note(context: Context) -> GateNote | None:
    """Returns what the gate has to know of the App; None if the App must not sleep."""
    config, live, serving = sleeping_config(context.history.live), context.history.live, context.serving_workload
    if config is None or live is None or live.pinned is None or serving is None:
        return None
    runtime, served = live.pinned.runtime, environment.app_as_served(context).spec
    probe = runtime.probes.readiness if runtime.probes is not None else None
    return GateNote(
        workload=serving["metadata"]["name"],
        app_id=context.app.meta.uid,
        pins=context.live_pins.digest if context.live_pins is not None else "",
        hold_seconds=config.hold_seconds or 1,
        private=served.is_private,
        origins=served.origins,
        port=runtime.port or DEFAULT_PORT,
        **({"ready_path": probe.path} if probe is not None else {}),
        **({"at_once": min(FOR_EACH_RUN * runtime.max_concurrent_runs, AT_ONCE)} if runtime.max_concurrent_runs is not None else {}),
    )


def is_current(context: Context, leads: Slice) -> bool:
    """Returns True if the slice belongs to the App and its note is current."""
    note, meta = wanted_note(context), leads.raw["metadata"]
    noted = read_note((meta.get("annotations") or {}).get(names.GATE_ANNOTATION, ""))
    owners = [each.get("uid") for each in meta.get("ownerReferences") or ()]
    if note is None or noted is None or context.app.meta.uid not in owners:
        return False
    # A note of an older operator has no pins. No App is woken to get them: without them the operator wakes it for its background runs.
    return noted == (note if noted.pins else note.model_copy(update={"pins": ""}))


def own_since(context: Context) -> datetime | None:
    """Returns since when the Service's own slices lead to a serving pod that is not terminating; None if they do not."""
    staying = {pod.uid for pod in serving_pods(context)}
    own = own_slices(context)
    if own is None or not any(endpoint.ready and endpoint.pod_uid in staying for each in own for endpoint in each.endpoints):
        return None
    return max(each.changed for each in own)


def serving_pods(context: Context) -> tuple[ObservedPod, ...]:
    """Returns the pods of the serving workload that are not terminating."""
    return tuple(pod for pod in context.snapshot.pods.observed if pod.pins == (context.serving or "") and not pod.deleting)


def wakes_in_vain(context: Context, observed: Manifest) -> bool:
    """Returns True if the workload's pods cannot be made, fail, or take longer than any caller waits."""
    state = WorkloadState.of(observed)
    cause = find_cause(serving_pods(context), state)
    if state.failure is not None or (cause is not None and cause.gravity > Gravity.UNTIL_DEADLINE):
        return True
    return any(moment <= context.snapshot.now for moment in ends_of_patience(context))


def ends_of_patience(context: Context) -> tuple[datetime, ...]:
    """Returns, for each pod that is not ready, when every caller of it has stopped waiting."""
    config = sleeping_config(context.history.live)
    patience = timedelta(seconds=(config.hold_seconds if config is not None else None) or 0)
    return tuple(pod.created + patience for pod in serving_pods(context) if not pod.ready)


def keeps_template(context: Context, observed: Manifest, pins: Pins) -> bool:
    """Returns True if the serving workload keeps its old template while it has no available pod."""
    # A bad version then leaves callers what they had. Once the old template cannot serve any more, it is replaced.
    if observed is not context.workloads.get(context.serving) or is_ending(observed) or sleeping_config(context.history.live) is None:
        return False
    if WorkloadState.of(observed).available or workloads.runs(observed, context.digest_of(pins, observed)):
        return False
    return observed["spec"].get("replicas", 1) == 0 or not wakes_in_vain(context, observed)

"""Lists the child kinds: how each is made, watched, compared, repaired and removed.

A new kind needs one entry here, a maker in its own module, and rights in `manifests/rbac/operator.yaml`. A test derives those rights
from this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from dynamiq_operator.desired import (
    autoscaler,
    cron_job,
    disruption_budget,
    http_route,
    ingress,
    network_policy,
    service,
    workload,
)
from dynamiq_operator.desired.base import (
    AUTOSCALER,
    CONFIG_MAP,
    CRON_JOB,
    DISRUPTION_BUDGET,
    ENDPOINT_SLICE,
    HTTP_ROUTE,
    INGRESS,
    JOB,
    NETWORK_POLICY,
    SECRET,
    SERVICE,
    WORKLOAD,
    Resource,
)
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest

Maker = Callable[[Inputs], list[Manifest]]


@dataclass(frozen=True)
class ChildKind:
    """One kind of child. The defaults suit a child that every App has, and that is applied whenever it differs."""

    resource: Resource
    make: Maker | None = None
    """Makes the manifests; None if the planner does not know the content and uses a separate operation."""
    selector: str = names.MANAGED_SELECTOR
    """Labels under which children of this kind are listed and watched."""
    watched: bool = True
    """False for Secrets: they are read by name, one at a time."""
    optional: bool = False
    """True if a cluster may lack this API."""
    removable: bool = False
    """True if the operator may delete one. With a maker, an observed child that is no longer desired is deleted."""
    keeps_dependents: bool = False
    """True if dependents survive its deletion."""
    written: bool = True
    """True if it may be written after its creation."""
    immutable: bool = False
    """True if its content never changes. A restored one only gets its owner: it is not applied."""
    of_row: bool = False
    """True if the running row decides its content. It then notes the last row that was given up."""
    of_triggers: bool = False
    """True if it serves triggers. Ready and rollouts do not wait for it."""
    serves_hostname: bool = False
    """True for a route. It stays while the Gateway that replaces it is missing. A route of another owner holds its hostname."""
    at_creation: frozenset[str] = frozenset()
    """Fields of `spec` that only the creation sends: afterwards another manager owns them."""
    scaled: bool = False
    """True if `replicas` is set through the subresource `scale`."""
    closed: frozenset[str] = frozenset()
    """Paths of maps in which every key is ours: a key added by another manager is a difference."""
    exact: tuple[str, ...] = ()
    """Path prefixes below which nothing may be added or left out, not even empty values."""
    prunes_spec: bool = False
    """True if a field of `spec` is a difference once we patched it and the manifest lacks it. For applied objects this always holds."""
    guarded: bool = False
    """True if no other manager may own anything in `spec`, which decides what pods run."""
    is_edit: Callable[[Manifest, Manifest, str], bool] = lambda _manifest, _observed, _path: False
    """Returns True if the difference at a path is another manager's edit, reported by an Event. Otherwise it is a change of the App."""
    replaced_for: frozenset[str] = frozenset()
    """Fields of `spec` that must not be applied: a change of them deletes and recreates the child."""
    is_ready: Callable[[Manifest], bool] = lambda _observed: True
    """Returns True if a child that is as desired has settled. A rollout waits for that."""

    @property
    def kind(self) -> str:
        return self.resource.kind


SELECTOR = frozenset({".spec.selector", ".spec.selector.matchLabels"})
"""Maps that must have no extra key: with one, a Service finds no pod and a budget guards none."""

CHILD_KINDS = (
    ChildKind(SERVICE, service.service, removable=True, closed=SELECTOR, is_edit=service.is_edit),
    ChildKind(INGRESS, ingress.ingress, removable=True, serves_hostname=True, prunes_spec=True),
    ChildKind(
        HTTP_ROUTE,
        http_route.http_route,
        optional=True,
        removable=True,
        serves_hostname=True,
        closed=frozenset({".spec.parentRefs[0]"}),  # with one more key it is another parent
    ),
    ChildKind(
        NETWORK_POLICY,
        network_policy.network_policy,
        removable=True,
        # One key more or less in any of these, and it lets through what it should not.
        exact=(".spec.ingress[", ".spec.egress[", ".spec.podSelector."),
    ),
    ChildKind(
        WORKLOAD,
        workload.workload,
        removable=True,
        at_creation=frozenset({"replicas"}),
        scaled=True,
        closed=SELECTOR,
        guarded=True,
        of_row=True,
        is_edit=workload.is_edit,
        is_ready=lambda observed: WorkloadState.of(observed).complete,
    ),
    ChildKind(AUTOSCALER, autoscaler.autoscaler, removable=True, of_row=True),
    ChildKind(DISRUPTION_BUDGET, disruption_budget.disruption_budget, removable=True, closed=SELECTOR),
    ChildKind(CONFIG_MAP, removable=True, immutable=True),
    ChildKind(SECRET, watched=False, written=False),
    ChildKind(
        CRON_JOB,
        cron_job.cron_jobs,
        removable=True,
        keeps_dependents=True,
        of_triggers=True,
        guarded=True,
        replaced_for=cron_job.TIMES,
    ),
    ChildKind(JOB, removable=True, of_triggers=True),
    ChildKind(ENDPOINT_SLICE, selector=names.ENDPOINTS_SELECTOR, removable=True, written=False),
)


@cache
def child_kind(kind: str) -> ChildKind:
    """Returns the entry of a kind. Raises KeyError."""
    return {entry.kind: entry for entry in CHILD_KINDS}[kind]

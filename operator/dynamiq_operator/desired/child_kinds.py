"""The table of child kinds: what the operator makes for an App, and how each kind is watched, compared, repaired and removed.

A new kind of child is one entry here, a maker in a module of its own, and the rights in `manifests/rbac/operator.yaml`, which a test
derives from this table.
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
    """One kind of child. The defaults are those of a child that every App has, and that is applied whenever it differs."""

    resource: Resource
    make: Maker | None = None
    """Makes the manifests of this kind; None for one whose content the planner does not know, and asks for by an operation of its own."""
    selector: str = names.MANAGED_SELECTOR
    """Labels under which it is listed and watched."""
    watched: bool = True
    """Secrets are not: they are read one by one, by name."""
    optional: bool = False
    """Whether a cluster may lack its API."""
    removable: bool = False
    """Whether the operator ever deletes one. Where a maker is known, one that is observed and no longer desired is deleted."""
    keeps_dependents: bool = False
    """Whether what it owns stays when it is deleted."""
    written: bool = True
    """Whether it is ever written after its creation."""
    immutable: bool = False
    """Whether its content never changes: one that a restore brought back gets its owner, and is not applied."""
    of_row: bool = False
    """Whether the row that runs decides what it is: it notes the last row that was given up."""
    of_triggers: bool = False
    """Whether it is there for triggers: Ready and a rollout do not wait for it."""
    serves_hostname: bool = False
    """Whether it is a route: it stays while the Gateway that is to replace it is missing, and another owner's one holds a hostname."""
    at_creation: frozenset[str] = frozenset()
    """Fields of its spec that only a POST has, since another manager owns them from then on."""
    scaled: bool = False
    """Whether `replicas` is set by its subresource `scale`."""
    closed: frozenset[str] = frozenset()
    """Paths of maps in which every key is ours: one that another manager adds is a difference."""
    exact: tuple[str, ...] = ()
    """Beginnings of paths below which nothing may be added or left out, not even what is empty."""
    prunes_spec: bool = False
    """Whether a field of its spec that we patched once, and that the manifest lacks, is a difference. Of what was applied that is always so."""
    guarded: bool = False
    """Whether nothing in its spec may be another manager's: what pods run is there."""
    is_edit: Callable[[Manifest, Manifest, str], bool] = lambda _manifest, _observed, _path: False
    """Whether a difference, at a path, is another manager's edit, of which an Event tells, and not a change of what the App wants."""
    replaced_for: frozenset[str] = frozenset()
    """Fields of its spec for which it is deleted and made again: a change of them must not be applied."""
    is_ready: Callable[[Manifest], bool] = lambda _observed: True
    """Whether one that is as desired has come to rest, which a rollout waits for."""

    @property
    def kind(self) -> str:
        return self.resource.kind


SELECTOR = frozenset({".spec.selector", ".spec.selector.matchLabels"})
"""With one more key in its selector a Service finds no pod, and a budget guards none."""

CHILD_KINDS = (
    ChildKind(SERVICE, service.service, closed=SELECTOR, is_edit=service.is_edit),
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
    """The entry of a kind. Raises KeyError."""
    return {entry.kind: entry for entry in CHILD_KINDS}[kind]

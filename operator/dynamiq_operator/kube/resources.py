"""Defines the resources that the operator and its surfaces read and write, with their paths in the API."""

from __future__ import annotations

from dynamiq_operator.desired import base
from dynamiq_operator.desired.child_kinds import CHILD_KINDS, ChildKind
from dynamiq_operator.kube.resource import APPS as APPS
from dynamiq_operator.kube.resource import CONFIG_MAPS, SERVICES, SMALL_PAGE
from dynamiq_operator.kube.resource import REJECTIONS as REJECTIONS
from dynamiq_operator.kube.resource import ROWS as ROWS
from dynamiq_operator.kube.resource import RUNTIMES as RUNTIMES
from dynamiq_operator.kube.resource import VERSIONS as VERSIONS
from dynamiq_operator.kube.resource import WORKLOADS as WORKLOADS
from dynamiq_operator.kube.resource import ApiResource as ApiResource
from dynamiq_operator.kube.resource import Key as Key
from dynamiq_operator.kube.resource import key_of as key_of
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import GROUP, VERSION

LARGE = frozenset(
    {kinds.APP.kind, kinds.WORKFLOW.kind, kinds.WORKFLOW_VERSION.kind, base.CONFIG_MAP.kind, base.CRON_JOB.kind, base.JOB.kind}
)


def _ours(kind: kinds.Kind) -> ApiResource:
    return ApiResource(GROUP, VERSION, kind.plural, kind.kind, kind.namespaced, first_page=_first_page(kind.kind))


def _child(entry: ChildKind) -> ApiResource:
    group, _, version = entry.resource.api_version.rpartition("/")
    return ApiResource(
        group,
        version,
        entry.resource.plural,
        entry.kind,
        label_selector=entry.selector,
        optional=entry.optional,
        first_page=_first_page(entry.kind),
    )


def _first_page(kind: str) -> int:
    return SMALL_PAGE if kind in LARGE else 0


WORKFLOWS = _ours(kinds.WORKFLOW)
DEPLOY_POLICIES = _ours(kinds.DEPLOY_POLICY)
APPROVALS = _ours(kinds.APPROVAL)
APP_CHANGES = _ours(kinds.APP_CHANGE)
_KNOWN = {each.kind: each for each in (WORKLOADS, SERVICES, CONFIG_MAPS)}
BY_KIND = {entry.kind: _KNOWN.get(entry.kind) or _child(entry) for entry in CHILD_KINDS}
"""Resource of a child by its kind."""
JOBS = BY_KIND[base.JOB.kind]
"""Runs of triggers: made by a CronJob, by the operator, or by a caller of the API."""
SECRETS = BY_KIND[base.SECRET.kind]
HTTP_ROUTES = BY_KIND[base.HTTP_ROUTE.kind]
ROUTES = tuple(BY_KIND[entry.kind] for entry in CHILD_KINDS if entry.serves_hostname)
"""Kinds that can serve a hostname."""
SLICES = BY_KIND[base.ENDPOINT_SLICE.kind]
"""Targets of the Services of some Apps and of the gate. Kubernetes makes most slices, the operator those of sleeping Apps."""
CHILDREN = tuple(BY_KIND[entry.kind] for entry in CHILD_KINDS if entry.watched and entry.resource not in (base.JOB, base.ENDPOINT_SLICE))
"""Kinds observed as children of an App. Jobs are observed as runs of its triggers, and slices as the targets of its Service."""
NAMESPACES = ApiResource("", "v1", "namespaces", "Namespace", namespaced=False)
PODS = ApiResource("", "v1", "pods", "Pod", label_selector=names.MANAGED_SELECTOR, first_page=SMALL_PAGE)
EVENTS = ApiResource("", "v1", "events", "Event")
POLICIES = tuple(
    ApiResource("admissionregistration.k8s.io", "v1", f"mutatingadmission{plural}", kind, namespaced=False)
    for plural, kind in (("policies", "MutatingAdmissionPolicy"), ("policybindings", "MutatingAdmissionPolicyBinding"))
)
VALIDATING_POLICIES = tuple(
    ApiResource("admissionregistration.k8s.io", "v1", f"validatingadmission{plural}", kind, namespaced=False)
    for plural, kind in (("policies", "ValidatingAdmissionPolicy"), ("policybindings", "ValidatingAdmissionPolicyBinding"))
)
DEFINITIONS = ApiResource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
LEASES = ApiResource("coordination.k8s.io", "v1", "leases", "Lease")

GUARDS = (DEPLOY_POLICIES, APPROVALS, REJECTIONS, NAMESPACES)
"""Kinds that decide which rows wait. If one cannot be listed, or the cluster lacks it, its objects are unknown, not absent."""
WATCHED = (RUNTIMES, APPS, VERSIONS, ROWS, *CHILDREN, JOBS, PODS, SLICES, *GUARDS)
"""Kinds that are listed at start and watched from then on, if the cluster has them."""

"""Defines the resources that the operator and its surfaces read and write, with their paths in the API."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from dynamiq_operator.desired import base
from dynamiq_operator.desired.child_kinds import CHILD_KINDS, ChildKind
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import GROUP, VERSION
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.row import CLOSED


@dataclass(frozen=True, eq=False)  # compared by identity: the cache compares and hashes dozens of times for each object
class ApiResource:
    """A resource of the API. The selectors limit its lists and watches. `optional`: a cluster may lack it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    label_selector: str = ""
    field_selector: str = ""
    optional: bool = False
    first_page: int = 0
    """Items of a list's first page; 0 for the most that a page may have. The client sizes later pages by the bytes of the page before."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Returns the URL path of the collection, of one object, or of its subresource."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace and self.namespaced:
            parts.append(f"namespaces/{quote(namespace, safe='')}")
        parts += [quote(part, safe="") for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


Key = tuple[str, str]
"""Namespace, empty without one, and name of an object."""


def key_of(raw: Manifest) -> Key:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


SMALL_PAGE = 20
"""Items of the first page of a kind whose objects may have 900 KiB: a flow, or the whole input of a trigger."""
LARGE = frozenset(
    {kinds.APP.kind, kinds.WORKFLOW.kind, kinds.WORKFLOW_VERSION.kind, base.CONFIG_MAP.kind, base.CRON_JOB.kind, base.JOB.kind}
)


def _ours(kind: kinds.Kind, field_selector: str = "") -> ApiResource:
    page = _first_page(kind.kind)
    return ApiResource(GROUP, VERSION, kind.plural, kind.kind, kind.namespaced, field_selector=field_selector, first_page=page)


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


APPS = _ours(kinds.APP)
ROWS = _ours(kinds.ROW, ",".join(f"status.phase!={phase}" for phase in CLOSED))
WORKFLOWS = _ours(kinds.WORKFLOW)
VERSIONS = _ours(kinds.WORKFLOW_VERSION)
RUNTIMES = _ours(kinds.RUNTIME)
DEPLOY_POLICIES = _ours(kinds.DEPLOY_POLICY)
APPROVALS = _ours(kinds.APPROVAL)
REJECTIONS = _ours(kinds.REJECTION)
APP_CHANGES = _ours(kinds.APP_CHANGE)
BY_KIND = {entry.kind: _child(entry) for entry in CHILD_KINDS}
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

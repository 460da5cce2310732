"""Defines a resource of the API with its paths, and those that the plugin reads without models. Imports no pydantic.

`kube.resources` has all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from dynamiq_operator.model import names
from dynamiq_operator.model.manifests import CLOSED, GROUP, REJECTION_KIND, ROW_KIND, RUNTIME_KIND, VERSION, VERSION_KIND, Manifest


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

# These repeat what `model.kinds` and `desired.child_kinds` have, without the models that those import. A test compares them.
APPS = ApiResource(GROUP, VERSION, "apps", "App", first_page=SMALL_PAGE)
ROWS = ApiResource(GROUP, VERSION, "deployments", ROW_KIND, field_selector=",".join(f"status.phase!={phase}" for phase in CLOSED))
VERSIONS = ApiResource(GROUP, VERSION, "workflowversions", VERSION_KIND, first_page=SMALL_PAGE)
REJECTIONS = ApiResource(GROUP, VERSION, "rejections", REJECTION_KIND)
RUNTIMES = ApiResource(GROUP, VERSION, "runtimes", RUNTIME_KIND, namespaced=False)
WORKLOADS = ApiResource("apps", "v1", "deployments", "Deployment", label_selector=names.MANAGED_SELECTOR)
SERVICES = ApiResource("", "v1", "services", "Service", label_selector=names.MANAGED_SELECTOR)
CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", label_selector=names.MANAGED_SELECTOR, first_page=SMALL_PAGE)

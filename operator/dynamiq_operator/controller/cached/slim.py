"""Trims an object to what the cache keeps: all that decisions read, and nothing that may be large.

A flow is replaced by its hash, computed here from its bytes. A pod's environment is reduced to the addresses of recorder and
journal. Only kinds that are applied keep managedFields. The result shares parts with the whole object.
"""

from __future__ import annotations

from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.desired.pod_template import JOURNAL, RECORDER
from dynamiq_operator.kube.resources import APPS, GUARDS, JOBS, NAMESPACES, PODS, ROWS, RUNTIMES, SLICES, VERSIONS, ApiResource
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.names import POD_ANNOTATIONS, TRIGGER_OF_LABEL, VERIFICATION_OF_LABEL
from dynamiq_operator.model.objects import Manifest

CONTENT_HASH = "contentHash"
"""Key of a cached WorkflowVersion or ConfigMap: the hash of the flow that was left out."""
NOT_APPLIED = frozenset({APPS, ROWS, RUNTIMES, VERSIONS, PODS, JOBS, SLICES, *GUARDS})
"""Kinds of which no decision reads who manages the fields."""
_OF_ENDPOINT = ("addresses", "conditions", "targetRef", "hostname")


def slim(resource: ApiResource, raw: Manifest) -> Manifest:
    """Returns what is kept of an object; `raw` is not changed."""
    kept = dict(raw)
    kept["metadata"] = _metadata(resource, raw["metadata"])
    managed = raw["metadata"].get("managedFields")
    if resource is VERSIONS:
        kept["metadata"] = {key: value for key, value in kept["metadata"].items() if key in ("name", "namespace", "uid", "resourceVersion")}
        kept["spec"] = {key: value for key, value in raw["spec"].items() if key != "flow"}
        kept[CONTENT_HASH] = flow_hash(raw["spec"].get("flow", ""))
    elif resource.kind == CONFIG_MAP.kind:
        kept["data"] = {}
        kept.pop("binaryData", None)
        kept[CONTENT_HASH] = flow_hash((raw.get("data") or {}).get(FLOW_KEY, ""))
    elif resource is PODS:
        kept["spec"] = _pod_spec(raw)
    elif resource in GUARDS:
        kept = _of_guard(resource, raw)
    elif resource is JOBS:
        kept["spec"] = {key: raw["spec"][key] for key in ("suspend",) if key in raw["spec"]}
    elif resource is SLICES:
        kept["metadata"]["managedFields"] = [{"time": entry["time"]} for entry in managed or () if entry.get("time")]
        kept["endpoints"] = [{key: each[key] for key in _OF_ENDPOINT if key in each} for each in raw.get("endpoints") or ()]
    if managed is not None and resource not in NOT_APPLIED and resource.kind != CONFIG_MAP.kind:
        kept["metadata"]["managedFields"] = managed
    return kept


def _metadata(resource: ApiResource, raw: Manifest) -> Manifest:
    kept = dict(raw)
    kept.pop("managedFields", None)
    if resource is PODS and "annotations" in kept:
        kept["annotations"] = {key: value for key, value in kept["annotations"].items() if key in POD_ANNOTATIONS}
    return kept


def _of_guard(resource: ApiResource, raw: Manifest) -> Manifest:
    """Returns what is kept of a guard. A namespace keeps only the labels by which a policy may select."""
    fields = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    meta = {key: value for key, value in raw["metadata"].items() if key in fields}
    if resource is not NAMESPACES:
        return {"metadata": meta, "spec": raw.get("spec")}
    labels = {key: value for key, value in (raw["metadata"].get("labels") or {}).items() if key.startswith(f"{GROUP}/")}
    return {"metadata": {**meta, "labels": labels}}


def _pod_spec(raw: Manifest) -> Manifest:
    """Returns the scalars of a pod's spec, and a little of each container: an environment may have the whole input of a trigger."""
    spec = {key: value for key, value in raw["spec"].items() if not isinstance(value, dict | list)}
    containers = [_container(each) for each in raw["spec"].get("containers") or ()]
    return {
        **spec,
        "containers": [] if {TRIGGER_OF_LABEL, VERIFICATION_OF_LABEL} & (raw["metadata"].get("labels") or {}).keys() else containers,
    }


def _container(raw: Manifest) -> Manifest:
    kept: Manifest = {key: raw[key] for key in ("name", "image") if key in raw}
    env = [each for each in raw.get("env") or () if each.get("name") in (RECORDER, JOURNAL)]
    return {**kept, "env": env} if env else kept

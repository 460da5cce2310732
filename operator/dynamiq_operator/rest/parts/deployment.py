"""A deployment, which is one row of an App's history, and its parts, as the contract has them. Pure."""

from __future__ import annotations

import functools
import operator
from collections.abc import Container, Mapping
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from dynamiq_operator.kube.resources import RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.completion import DEFAULT_AUTOSCALING, DEFAULT_REQUESTS, DEFAULT_SLEEP
from dynamiq_operator.model.endings import Ending
from dynamiq_operator.model.guards import ApprovalWhen, GuardReason, RowKind
from dynamiq_operator.model.history_columns import of_rest
from dynamiq_operator.model.manifests import Phase, parse_time
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time
from dynamiq_operator.rest.parts.config_fields import SCALING, SERVERLESS_CONFIG
from dynamiq_operator.rest.parts.responses import Author, Ids, RowRef, author
from dynamiq_operator.views.history import HistoryRow
from dynamiq_operator.views.waiting import waits_of

SERVER, SERVERLESS = "server_based", "serverless"
_DEFAULT_SCALING, _DEFAULT_SERVERLESS = DEFAULT_AUTOSCALING.as_json(), DEFAULT_SLEEP.as_json()
_DEFAULT_RESOURCES = {"requests": DEFAULT_REQUESTS.as_json()}
_OF_ROW = {each.rest: each.key for each in of_rest() if each.key in HistoryRow.__dataclass_fields__}
_MORE = {each.rest: each.key for each in of_rest() if each.rest not in _OF_ROW}
_time = functools.lru_cache(1000)(parse_time)
_values = operator.attrgetter(*_OF_ROW.values())
GUARDS = [each.value for each in GuardReason]
RESTORED_WITHIN = timedelta(hours=1)
"""The longest time between two objects of one backup that are created anew."""


class RuntimeShape(ResponseModel):
    id: Id | None
    version: str | None
    label: str | None


class VersionRef(ResponseModel):
    id: Annotated[Id | None, Field(description="None if the WorkflowVersion was deleted: the row still has what it ran.")]
    version: str
    description: str | None


class AutoscalingShape(ResponseModel):
    min_replicas: int
    max_replicas: int
    target_cpu_utilization_percentage: int


class AmountsShape(ResponseModel):
    cpu: Annotated[str | None, Field(description="CPU, such as 100m.")] = None
    memory: Annotated[str | None, Field(description="Memory, such as 256Mi.")] = None


class ResourcesShape(ResponseModel):
    requests: AmountsShape | None = None
    limits: AmountsShape | None = None


class ConfigBody(ResponseModel):
    autoscaling: Annotated[AutoscalingShape | None, Field(description="Left out for serverless.")] = None
    resources: Annotated[
        ResourcesShape | None,
        Field(
            description="What each pod asks for, and may use at most; null until it is decided. Of serverless, left out if it is "
            "undecided, or only 100m and 256Mi."
        ),
    ] = None
    idle_seconds: Annotated[int | None, Field(description="Of serverless, if it is not 300.")] = None
    max_replicas: Annotated[int | None, Field(description="Of serverless, if it is not 10.")] = None
    hold_seconds: Annotated[int | None, Field(description="Of serverless, if it is not 120.")] = None


class ConfigShape(ResponseModel):
    deployment_type: Annotated[str, Field(json_schema_extra={"enum": ["serverless", "server_based"]})]
    config: ConfigBody

    @classmethod
    def read(cls, data: Any, **fields: Any) -> Self:
        """Returns a stored config; omitted fields have their defaults.

        The contract has `{}` for a serverless config: our fields are in it only if they are not the defaults.
        """
        stored = data or {}
        resources = stored.get("resources")
        # The body is a dict and no ConfigBody: the tables have its names, and a list of Apps has hundreds.
        if stored.get("type") != "serverless":
            scaling = {**_DEFAULT_SCALING, **(stored.get("autoscaling") or {})}
            config = {"autoscaling": {ours: scaling[theirs] for ours, theirs in SCALING}, "resources": resources}
            return cls(deployment_type=SERVER, config=config, **fields)
        pairs = ((ours, stored.get(theirs), _DEFAULT_SERVERLESS[theirs]) for ours, theirs in SERVERLESS_CONFIG if theirs in stored)
        own = {ours: amount for ours, amount, default in pairs if amount != default}
        compute = {"resources": resources} if resources not in (None, _DEFAULT_RESOURCES) else {}
        return cls(deployment_type=SERVERLESS, config={**own, **compute}, **fields)


class PromotedFromResponse(ResponseModel):
    namespace: str
    app: str
    row: str
    hash: str
    cluster: Annotated[str | None, Field(description="The cluster, if the row is in another one. Then nothing of this is verified.")]


class WaitsResponse(ResponseModel):
    """The guards that block a waiting row."""

    reason: Annotated[str, Field(json_schema_extra={"enum": GUARDS}, description="The first thing that it waits for.")]
    message: Annotated[str, Field(description="Everything that it waits for, as a sentence, the same as in kubectl and the plugin.")]
    until: Annotated[Time | None, Field(description="Until when, if time alone ends it.")]
    approvals: Annotated[int | None, Field(description="Approvals that count already.")]
    approvals_needed: Annotated[int | None, Field(description="Approvals that it needs.")]
    resumable: Annotated[bool, Field(description="True: whoever may deploy can resume it now.")]


class ReleasedResponse(ResponseModel):
    """The admission of a row that waited."""

    at: Time
    guards: Annotated[list[str], Field(description="The guards that it had waited for.")]
    by: Annotated[list[Author], Field(description="Who approved or resumed it.")]
    approvals: Annotated[list[str], Field(description="Names of the Approvals that counted.")]

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> ReleasedResponse:
        """Returns a stored admission."""
        by, approvals = [author(each) for each in stored.get("by") or ()], list(stored.get("approvals") or ())
        return cls(at=stored["at"], guards=list(stored["guards"]), by=by, approvals=approvals)


class VerifiedResponse(ResponseModel):
    """The smoke test of a row's new pods: they passed its cases before a caller reached them."""

    at: Time
    cases: int
    calls: int
    seconds: float
    score: Annotated[float | None, Field(description="Score of the evaluation Job, if it gave one.")]
    message: Annotated[str | None, Field(description="Last message of the evaluation Job.")]


class GuardResponse(ResponseModel):
    """A guard that would block a new deployment."""

    reason: Annotated[str, Field(json_schema_extra={"enum": GUARDS}, description="Why it would wait.")]
    message: Annotated[str, Field(description="The same as a sentence, as in kubectl and the plugin.")]
    applies_to: Annotated[
        list[Annotated[str, Field(json_schema_extra={"enum": [each.value for each in RowKind]})]],
        Field(description="Rows that it would block. Git: those of Git or other automation."),
    ]
    policy: Annotated[str | None, Field(description="The DeployPolicy that requires it.")]
    until: Annotated[Time | None, Field(description="Until when, if time alone ends it.")]
    seconds: Annotated[int | None, Field(description="Soaking: seconds for which a promoted version must be live at its source.")]
    namespaces: Annotated[list[str] | None, Field(description="Soaking: namespaces of the source. None: any.")]
    clusters: Annotated[list[str] | None, Field(description="Soaking: other clusters that the source may be in. None: no other.")]
    when: Annotated[
        str | None,
        Field(
            json_schema_extra={"enum": [*(each.value for each in ApprovalWhen), None]},
            description="Breaking: only a version that may break callers would wait.",
        ),
    ]


class DeployableShape(ResponseModel):
    """The evaluation of a row for a rollback to it now."""

    ok: Annotated[bool | None, Field(description="None if unknown, since the caller may not read everything that decides it.")]
    reasons: Annotated[list[str], Field(description="Why a rollback to it is not possible, or what is unknown, in sentences.")]
    waits: Annotated[list[str], Field(description="What its rollback would wait for, in sentences.")]
    notes: Annotated[list[str], Field(description="What else to know about it, in sentences.")]
    warm: Annotated[
        bool | None,
        Field(description="True: its pods are Ready, so that calls would move at once; none if unknown."),
    ]


class Deployment(ResponseModel):
    """One row of an App's history. The fields after `message` show where it came from."""

    id: Id
    app_id: Id
    status: Annotated[str, Field(json_schema_extra={"enum": ["Pending", "Progressing", "Live", "Superseded", "Failed"]})]
    ending: Annotated[
        Ending | None,
        Field(description="How it ended, if the status does not show it: rejected, withdrawn or overtaken before it ran, or reverted."),
    ]
    created_at: Annotated[Time, Field(description="When the deploy began.")]
    created_by: Author | None
    runtime_id: Id | None
    runtime: RuntimeShape | None
    workflow_id: Id | None
    workflow_version_id: Id | None
    workflow_version: VersionRef | None
    deployment_config: ConfigShape
    message: str | None
    name: Annotated[str, Field(description="The record's name: kubectl get ddep.")]
    sequence: Annotated[int | None, Field(description="Place in the history; none until the operator has numbered the row.")]
    restores: Annotated[str | None, Field(description="Name of the row that this one rolled back to.")]
    promoted_from: PromotedFromResponse | None
    provenance: Annotated[str | None, Field(description="Where the row came from, in words.")]
    source: Annotated[
        str | None,
        Field(description="App: by App.spec.deploy. Revert: the operator reverted a bad version. Record: somebody created the row."),
    ]
    digest: Annotated[str | None, Field(description="Over the row and the digest of the row before it.")]
    reason: Annotated[str | None, Field(description="Why it did not go Live.")]
    duration_seconds: Annotated[float | None, Field(description="Seconds from its begin to its end.")]
    is_live: Annotated[bool, Field(description="True: the App serves it.")]
    restores_sequence: Annotated[int | None, Field(description="The sequence of the row that this one rolled back to.")]
    waits: Annotated[WaitsResponse | None, Field(description="What it waits for; none if nothing blocks it, or it has ended.")]
    released: Annotated[ReleasedResponse | None, Field(description="Of a row that waited: when and by whom it was admitted.")]
    verified: Annotated[VerifiedResponse | None, Field(description="The result of the smoke test of its new pods, if there was one.")]
    holds: Annotated[RowRef | None, Field(description="The rollback since which changes from Git are on hold, while this row is live.")]
    bypass_reason: Annotated[str | None, Field(description="Why guards were bypassed.")]
    flow_hash: Annotated[str | None, Field(description="SHA-256 of its flow, by which versions are rejected; none until it is pinned.")]
    deployable: Annotated[
        DeployableShape | None,
        Field(description="Whether a rollback to it is possible now; only with ?deployable=true."),
    ]

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Returns the schema, with the columns of a history that have no field of their own above."""
        made = super().__get_pydantic_json_schema__(core_schema, handler)
        schema = handler.resolve_ref_schema(made)
        for column in of_rest():
            if column.rest not in cls.model_fields:
                schema["properties"][column.rest] = column.json_schema()
                schema["required"].append(column.rest)
        return made

    @classmethod
    def of(
        cls,
        raw: Manifest,
        app_id: str,
        ids: Ids,
        workflow: str | None = None,
        kept: Mapping[str, Any] | None = None,
        reverts: Container[str] = (),
        **fields: Any,
    ) -> Self:
        """Returns a stored row.

        For a row that is not pinned yet, `workflow` is its App's workflow, and `kept` the pins of the live row. `reverts`: as
        `model.endings.ending` takes them. `fields`: those that the row itself does not have.
        """
        meta, spec = raw["metadata"], raw["spec"]
        row = HistoryRow.of(raw, reverts)
        pinned = spec.get("pinned") or {}
        namespace = meta["namespace"]
        workflow = pinned.get("workflow") or workflow
        version = row.version or (ids.newest_version(namespace, workflow) if workflow and "restores" not in spec else None)
        runtime = pinned.get("runtime") or _runtime_to_be(spec, (kept or {}).get("runtime"))
        version_id = _id_then(ids, raw, VERSIONS, namespace, names.workflow_version(workflow, version)) if workflow and version else None
        runtime_id = _id_then(ids, raw, RUNTIMES, "", runtime["name"]) if runtime else None
        restores = pinned.get("restores") or {}
        restored = restores.get("row") or spec.get("restores")
        composed: dict[str, Any] = {
            "app_id": app_id,
            "created_by": author(row.created_by),
            "runtime_id": runtime_id,
            "runtime": _runtime(runtime_id, runtime.get("version"), runtime.get("label")) if runtime else None,
            "workflow_id": ids.id_of(WORKFLOWS, namespace, workflow) if workflow else None,
            "workflow_version_id": version_id,
            "workflow_version": _version(version_id, version, row.description) if version else None,
            "deployment_config": ConfigShape.read(pinned.get("config") or _merged(spec.get("config"), (kept or {}).get("config"))),
            "restores": restored,
            "is_live": row.status == Phase.LIVE,
            "restores_sequence": restores.get("sequence") or (ids.sequence_of(namespace, restored) if restored else None),
            "flow_hash": pinned.get("workflowHash"),
            "promoted_from": PromotedFromResponse.read(spec["promotedFrom"]) if spec.get("promotedFrom") else None,
            "waits": WaitsResponse.read(waits) if (waits := waits_of(raw)) else None,
            "released": ReleasedResponse.of(spec["released"]) if spec.get("released") else None,
            "verified": VerifiedResponse.read(spec["verified"]) if spec.get("verified") else None,
            "holds": RowRef.read(pinned["holds"]) if pinned.get("holds") else None,
        }
        more = {name: row.more[key] for name, key in _MORE.items()}
        return cls.of_fields({**_in_order(cls), **composed, **fields, **dict(zip(_OF_ROW, _values(row), strict=True)), **more})


# Rows of a history share few of these.
@functools.lru_cache(1000)
def _runtime(uid: str | None, version: str | None, label: str | None) -> RuntimeShape:
    return RuntimeShape(id=uid, version=version, label=label)


@functools.lru_cache(1000)
def _version(uid: str | None, version: str, description: str | None) -> VersionRef:
    return VersionRef(id=uid, version=version, description=description)


@functools.cache
def _in_order(model: type[Deployment]) -> dict[str, Any]:
    """Returns the fields of a row in the order of the OpenAPI document, without values."""
    return dict.fromkeys(model.model_fields)


def _id_then(ids: Ids, row: Manifest, resource: ApiResource, namespace: str, name: str) -> str | None:
    """Returns the id of what a row ran; None if that was deleted, even if another object has its name by now."""
    made = ids.created_at(resource, namespace, name)
    if made is None:
        return None
    # What a row ran existed before the row ended. But a backup's objects are all created anew, in any order: a row that was created
    # after its own end is from a backup, and what it ran may be somewhat younger than the row.
    if (ended := (row["spec"].get("outcome") or {}).get("at")) is not None and _time(made) > _time(ended):
        restored = _time(row["metadata"]["creationTimestamp"])
        if restored <= _time(ended) or _time(made) > restored + RESTORED_WITHIN:
            return None
    return ids.id_of(resource, namespace, name)


def _runtime_to_be(spec: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Returns the runtime of a row that is not pinned yet."""
    if "runtime" not in spec:
        return kept
    return kept if kept is not None and kept["name"] == spec["runtime"] else {"name": spec["runtime"]}


def _merged(requested: Mapping[str, Any] | None, live: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Returns the config of a row that is not pinned yet: the requested fields over those that are live.

    If the type changes, only resources are kept.
    """
    requested, live = requested or {}, live or {}
    merged = {**requested, "resources": _merged_resources(requested.get("resources") or {}, live.get("resources"))}
    if requested.get("type", live.get("type")) != live.get("type"):
        return merged
    return {**live, **merged, "autoscaling": {**(live.get("autoscaling") or {}), **(requested.get("autoscaling") or {})}}


def _merged_resources(requested: Mapping[str, Any], live: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns the requested resources over those that are live."""
    # The rest is the runtime's, which is chosen when the row is pinned.
    if live is None:
        return dict(requested) or None
    parts = {part: {**(live.get(part) or {}), **(requested.get(part) or {})} for part in ("requests", "limits")}
    return {part: amounts for part, amounts in parts.items() if amounts}

"""Responses about Apps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field

from dynamiq_operator.actions.workloads import IdleWorkload
from dynamiq_operator.kube.resources import NAMESPACES, ROWS, VERSIONS, WORKFLOWS
from dynamiq_operator.model.names import AUTHOR_ANNOTATION, ENVIRONMENT_LABEL, workflow_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time
from dynamiq_operator.rest.parts.address import answered_at
from dynamiq_operator.rest.parts.config_fields import FIRST_CONFIG
from dynamiq_operator.rest.parts.deployment import ConfigShape, Deployment, GuardResponse, RuntimeShape, VersionRef, WaitsResponse
from dynamiq_operator.rest.parts.responses import AccessResponse, Author, ConditionResponse, Ids, RowRef, author, changed_at
from dynamiq_operator.views.app_state import ServingState, app_state, is_as_declared, rows_under_way
from dynamiq_operator.views.history import HistoryRow, began
from dynamiq_operator.views.waiting import is_waiting, waits_of


class WorkflowRef(ResponseModel):
    id: Id | None
    name: str
    description: str | None


class AppVersionRef(VersionRef):
    created_at: Time | None

    @classmethod
    def of_app(cls, version: VersionRef | None, namespace: str, workflow: str, ids: Ids) -> AppVersionRef | None:
        """Returns the version of an App's row, with the time at which it was released."""
        if version is None:
            return None
        return cls(**version.members(), created_at=ids.created_at(VERSIONS, namespace, workflow_version(workflow, version.version)))


class AppStatusResponse(ResponseModel):
    """The App's state in one word, with the reason from its condition."""

    word: Annotated[
        str,
        Field(
            json_schema_extra={"enum": [state.value for state in ServingState]},
            description="Asleep: scaled to zero on purpose. Progressing, Pending: a deployment is under way, with or without one that is live. "
            "Degraded: something is live, and not as it should be. Failed: nothing is live, and the newest deployment failed.",
        ),
    ]
    reason: str | None
    message: str | None


class LiveRef(ResponseModel):
    """The deployment that the App serves."""

    deployment_id: Annotated[Id | None, Field(description="None if the row was deleted, or the caller may not read it.")]
    name: str
    sequence: int
    version: str
    created_at: Time | None

    @classmethod
    def of(cls, raw: Manifest, rows: Iterable[Manifest] | None, ids: Ids) -> LiveRef | None:
        """Returns the row that the App serves; None if it serves none. `rows`: as `AppResponse.of` takes them."""
        if (live := (raw.get("status") or {}).get("live")) is None:
            return None
        namespace, name = raw["metadata"]["namespace"], live["row"]
        row = next((each for each in rows or () if each["metadata"]["name"] == name), None)
        # A row that has just ended is not among `rows`, so the index is used, but only for callers who may read rows.
        known = (ids.id_of(ROWS, namespace, name), ids.created_at(ROWS, namespace, name)) if rows is not None else (None, None)
        uid, created_at = (row["metadata"]["uid"], began(row)) if row is not None else known
        return cls(deployment_id=uid, name=name, sequence=live["sequence"], version=live["workflowVersion"], created_at=created_at)


class UnderWayRef(ResponseModel):
    """The newest deployment that is not decided yet."""

    deployment_id: Id
    name: str
    sequence: Annotated[int | None, Field(description="None until the operator has numbered the row.")]
    version: Annotated[str | None, Field(description="None until the row is pinned.")]
    status: Annotated[str, Field(json_schema_extra={"enum": ["Pending", "Progressing"]})]

    @classmethod
    def of(cls, raw: Manifest, **fields: Any) -> Self:
        """Returns a row, with further fields."""
        row = HistoryRow.of(raw)
        return cls(deployment_id=row.uid, name=row.name, sequence=row.sequence, version=row.version, status=row.status, **fields)


class WaitingRef(UnderWayRef):
    """A waiting deployment."""

    waits: WaitsResponse | None


class GitAsks(ResponseModel):
    """The deployment that Git declares: `App.spec.deploy`."""

    workflow_version: Annotated[str | None, Field(description="None: the newest release at the time of the change.")]
    runtime: Annotated[str | None, Field(description="Name of a Runtime; none: the live row's.")]
    message: str | None
    changed_by: Annotated[str | None, Field(description="Who changed it last.")]
    is_live: Annotated[bool, Field(description="True: the App serves the deployment of this spec.deploy.")]


class WarmRef(ResponseModel):
    """A standby version, ready beside the live one for any row with its flow, runtime and resources."""

    version: str | None
    pods_ready: int


class AppResponse(ResponseModel):
    id: Id
    name: str
    description: str | None
    project_id: Id | None
    hostname: Annotated[
        str, Field(description="What callers use: a name to call by https, or a URL if the gateway is called in another way.")
    ]
    runtime_id: Id | None
    workflow_id: Id | None
    workflow_version_id: Id | None
    deployment_config: ConfigShape
    access_control: AccessResponse
    created_at: Time
    created_by: Annotated[Author | None, Field(description="None for an App that was not created through this API.")]
    updated_at: Time
    updated_by: Author | None
    archived_at: Time | None
    archived_by: Author | None
    latest_deployment_id: Id | None
    runtime: RuntimeShape | None
    workflow: WorkflowRef
    workflow_version: AppVersionRef | None
    namespace: Annotated[str, Field(description="The App's namespace, for kubectl.")]
    resource_name: Annotated[str, Field(description="The App's own name there.")]
    environment: Annotated[str | None, Field(description="The namespace's label dynamiq.getdynamiq.ai/environment.")]
    status: AppStatusResponse
    live: LiveRef | None
    under_way: Annotated[UnderWayRef | None, Field(description="Also none if the caller may not list deployments.")]
    waiting: Annotated[list[WaitingRef], Field(description="Deployments that a guard blocks, newest first.")]
    holds: Annotated[RowRef | None, Field(description="The rollback since which changes from Git are on hold.")]
    suspended: Annotated[bool, Field(description="While suspended, nobody can deploy the App. It keeps running.")]

    @classmethod
    def of(
        cls,
        context: ApiContext,
        raw: Manifest,
        row: Manifest | None,
        rows: Sequence[Manifest] | None,
        described: str | None,
        latest: Manifest | None = None,
        **fields: Any,
    ) -> Self:
        """Returns an App.

        `row`: the row that it serves, else its newest; None if there is none or the caller may not read it. `rows`: those that are live or
        undecided; None if the caller may read no row: the response then reveals none that the index has. `described`: its workflow's
        description. `latest`: its newest row, if the index may not have it yet. `fields`: further ones, or others in place of these.
        """
        meta, spec = raw["metadata"], raw["spec"]
        namespace, workflow = meta["namespace"], spec["workflow"]
        shown = Deployment.of(row, meta["uid"], context, workflow) if row is not None else None
        entry = context.latest_row(namespace, meta["uid"]) if rows is not None else None
        newest = latest["metadata"]["uid"] if latest is not None else entry.uid if entry is not None else None
        workflow_id = context.id_of(WORKFLOWS, namespace, workflow)
        creator = author((meta.get("annotations") or {}).get(AUTHOR_ANNOTATION))
        made: dict[str, Any] = {
            "id": meta["uid"],
            "name": spec.get("displayName") or meta["name"],
            "description": spec.get("description"),
            "project_id": context.id_of(NAMESPACES, "", namespace),
            "hostname": answered_at(raw, context.settings),
            "runtime_id": shown.runtime_id if shown else None,
            "workflow_id": workflow_id,
            "workflow_version_id": shown.workflow_version_id if shown else None,
            "deployment_config": shown.deployment_config if shown else ConfigShape.read(FIRST_CONFIG),
            "access_control": AccessResponse.of(spec.get("access") or {}),
            "created_at": meta["creationTimestamp"],
            "created_by": creator,
            "updated_at": max(changed_at(meta), shown.created_at if shown else ""),
            "updated_by": (shown.created_by if shown else None) or creator,
            "archived_at": None,
            "archived_by": None,
            "latest_deployment_id": newest or (shown.id if shown else None),
            "runtime": shown.runtime if shown else None,
            "workflow": WorkflowRef(id=workflow_id, name=workflow, description=described),
            "workflow_version": AppVersionRef.of_app(shown.workflow_version, namespace, workflow, context) if shown else None,
            "namespace": namespace,
            "resource_name": meta["name"],
            "environment": context.labels_of(namespace).get(ENVIRONMENT_LABEL),
        }
        return cls(**{**made, **_state(raw, rows, context), **fields})


class AppDetails(AppResponse):
    """An App as it is read by itself."""

    conditions: list[ConditionResponse]
    git: Annotated[GitAsks | None, Field(description="None for an App that Git does not deploy.")]
    warm: Annotated[list[WarmRef], Field(description="Of strategy Switch: the standby, if the caller may read workloads.")]
    guards: Annotated[list[GuardResponse], Field(description="What would block a deployment that is requested now.")]


def _state(raw: Manifest, rows: Sequence[Manifest] | None, ids: Ids) -> Mapping[str, Any]:
    """Returns the App's state, what it serves and what is under way. `rows`: as `AppResponse.of` takes them."""
    undecided = rows_under_way(rows or ())
    under_way, held = next((row for row in undecided if not is_waiting(row)), None), [row for row in undecided if is_waiting(row)]
    summary = app_state(raw, under_way, next(iter(held), None))
    holds = (raw.get("status") or {}).get("holds")
    waiting = ((row, waits_of(row)) for row in held)
    return {
        "status": AppStatusResponse(word=summary.state.value, reason=summary.reason, message=summary.message),
        "live": LiveRef.of(raw, rows, ids),
        "under_way": UnderWayRef.of(under_way) if under_way is not None else None,
        "waiting": [WaitingRef.of(row, waits=WaitsResponse.read(waits) if waits else None) for row, waits in waiting],
        "holds": RowRef.read(holds) if holds else None,
        "suspended": bool(raw["spec"].get("suspend")),
    }


def details(raw: Manifest, row: Manifest | None, standbys: Iterable[IdleWorkload]) -> Mapping[str, Any]:
    """Returns the fields that an App has only when it is read by itself.

    `row`: the row that it serves; `standbys`: standby workloads that are ready beside it.
    """
    deploy, status = raw["spec"].get("deploy"), raw.get("status") or {}
    live = (status.get("live") or {}).get("row")
    is_live = row is not None and live == row["metadata"]["name"] and deploy is not None and is_as_declared(raw, row)
    return {
        "conditions": [ConditionResponse.read(each) for each in status.get("conditions") or ()],
        "git": GitAsks.read(deploy, is_live=is_live) if deploy is not None else None,
        "warm": [WarmRef(version=each.version, pods_ready=each.ready) for each in standbys],
        "guards": [GuardResponse.read(each) for each in status.get("guards") or ()],
    }

"""Plans, previews and performs a deploy: one new row. Outside the operator only `perform_deploy` creates rows.

A plan holds the row exactly as it is written. A preview completes it as the operator will, by the same code from the same objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.actions import guards, history, idempotency
from dynamiq_operator.actions.idempotency import CallerKey, KeyClaim, Performed
from dynamiq_operator.actions.refusals import InvalidField, Refusal, Unknown
from dynamiq_operator.actions.rights import BYPASS, DEPLOY, lacking
from dynamiq_operator.actions.workloads import warm, workloads_of
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import template_digest
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import RECORDS, RUNTIMES, VERSIONS
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.completion import Known, Missing, Refused, complete
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.guards import GuardReason
from dynamiq_operator.model.objects import App, Manifest, Record, Runtime, Unreadable, Version, read
from dynamiq_operator.model.record import Pinned, Source
from dynamiq_operator.model.runtime import PinnedRuntime
from dynamiq_operator.model.settings import ImagePolicy, Settings
from dynamiq_operator.model.wrong_fields import in_words
from dynamiq_operator.plan.history.lifecycle import History, brings_once_released
from dynamiq_operator.views.flow_diff import flow_diff
from dynamiq_operator.views.preview import Preview, Side
from dynamiq_operator.views.sleep import is_asleep

NEWEST = "(the newest)"
REVERTED = "Reverted"
"""Reason of the condition of an App whose live row is a revert."""
NOT_ONLY_BACK = ("workflowVersion", "runtime", "config", "promotedFrom", "hold")
"""Fields of a row with `restores` that make it a deploy for RBAC, not a plain rollback (manifests/admission/guard-deploys.yaml)."""
TAKES_EFFECT = "changed variables, access or runs of the App take effect with this row: the condition VariablesHeld names them"
UNREAD_IMAGE = "(unknown)@sha256:"
"""Placeholder for the image of a Runtime that the caller may not read."""


@dataclass(frozen=True)
class DeployRequest:
    """A deploy, in the fields of a row's spec. The operator completes those that are None.

    `restores`: a row's name. `config`, `promoted_from`: JSON data. `hold`: for a rollback; False to keep applying changes from Git.
    `bypass_reason`: bypasses the guards; None to obey them.
    """

    namespace: str
    app: str
    version: str | None = None
    restores: str | None = None
    runtime: str | None = None
    config: Mapping[str, Any] | None = None
    message: str | None = None
    promoted_from: Mapping[str, Any] | None = None
    hold: bool | None = None
    bypass_reason: str | None = None


@dataclass(frozen=True)
class DeployPlan:
    """A deploy that has not been performed. `record`: the row, written unchanged. `claim`: of its idempotency key, which names the row."""

    request: DeployRequest
    record: Manifest
    claim: KeyClaim | None = None

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs on rows that the caller needs beside `create`. A plain rollback needs none."""
        spec = self.record["spec"]
        only_back = "restores" in spec and not any(field in spec for field in NOT_ONLY_BACK)
        return (*(() if only_back else (DEPLOY,)), *((BYPASS,) if "bypass" in spec else ()))


@dataclass(frozen=True, kw_only=True)
class PreviewedDeploy(DeployPlan):
    """A plan with its preview. `preview.record` is `record`.

    `then`: the pins that the row would get. `is_runtime_unread`: their Runtime is a placeholder for one that the caller may not read.
    """

    preview: Preview
    then: Pinned
    is_runtime_unread: bool = False


@dataclass(frozen=True)
class Flow:
    """A release with the text of its flow. It may be missing in the App's namespace."""

    version: Version
    text: str

    @classmethod
    def of(cls, raw: Manifest) -> Flow:
        spec = raw["spec"]
        version = Version(raw["metadata"]["name"], spec["workflow"], spec["version"], spec.get("description"), flow_hash(spec["flow"]))
        return cls(version, spec["flow"])


def plan_deploy(api: Api, request: DeployRequest, *, key: CallerKey | None = None) -> PreviewedDeploy:
    """Plans a deploy with its preview. The caller needs rights to read.

    Raises Refusal if it cannot be done, and kube.errors.ApiError.
    """
    app = history.find_app(api, request.namespace, request.app)
    return _plan_for(api, plan_unseen(request, deploy_claim(request, app.meta.uid, key)), app)


def plan_again(api: Api, plan: DeployPlan) -> PreviewedDeploy:
    """Makes the same plan from the objects as they are now. Raises as `plan_deploy` does."""
    return _plan_for(api, plan, history.find_app(api, plan.request.namespace, plan.request.app))


def _plan_for(api: Api, plan: DeployPlan, app: App) -> PreviewedDeploy:
    return previewed(api, plan, app, history.open_rows(api, plan.request.namespace, plan.request.app, app.meta.uid))


def plan_unseen(request: DeployRequest, claim: KeyClaim | None = None) -> DeployPlan:
    """Plans a deploy without a preview and without a request. The row is the same as with a preview."""
    record = record_of(request)
    return DeployPlan(request, claim.marked(record) if claim else record, claim)


def deploy_claim(
    request: DeployRequest, app_uid: str, key: CallerKey | None, confirmed: Mapping[str, Any] | None = None
) -> KeyClaim | None:
    """Returns the claim of a deploy under an idempotency key; None without a key. `confirmed`: the confirmed values, if any."""
    return KeyClaim.of(key, "deploy", app_uid, request, request.app, confirmed) if key else None


def perform_deploy(api: Api, plan: DeployPlan, *, elsewhere: Iterable[str] = ()) -> Performed:
    """Creates the row, or returns the one that the same request created before under its key, marked as replayed.

    `elsewhere`: other namespaces in which a promotion may have used the key. Raises KeyReused and kube.errors.ApiError.
    """
    claim, namespace = plan.claim, plan.request.namespace
    if claim is not None:
        idempotency.find_claimed_row(api, elsewhere, claim)
    try:
        return Performed(requests.create(api, RECORDS, plan.record))
    except errors.AlreadyExists:
        row = idempotency.find_claimed_row(api, [namespace], claim) if claim is not None else None
        if row is None:
            raise
    except errors.Unavailable:
        if (row := _row_without_answer(api, plan)) is None:
            raise
        return Performed(row)
    return Performed(row, is_replayed=True)


def _row_without_answer(api: Api, plan: DeployPlan) -> Manifest | None:
    """Returns the row whose create got no answer; None if it has no chosen name, is missing, or cannot be read."""
    name = plan.record["metadata"].get("name")
    try:
        row = requests.get(api, RECORDS, plan.request.namespace, name) if name is not None else None
    except errors.ApiError:
        return None
    spec = plan.record["spec"]
    return row if row is not None and all(row["spec"].get(field) == value for field, value in spec.items()) else None


def record_of(request: DeployRequest, name: str | None = None) -> Manifest:
    """Returns the row to create. Without `name` the API server completes `<app>-`."""
    spec = {
        "app": request.app,
        "workflowVersion": request.version,
        "restores": request.restores,
        "runtime": request.runtime,
        "config": request.config,
        "message": request.message,
        "promotedFrom": request.promoted_from,
        "hold": request.hold,
        "bypass": {"reason": request.bypass_reason} if request.bypass_reason is not None else None,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": kinds.RECORD.kind,
        "metadata": {"namespace": request.namespace, **({"name": name} if name else {"generateName": f"{request.app}-"})},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }


def previewed(
    api: Api, plan: DeployPlan, app: App, rows: History, arriving: Flow | None = None, policy: ImagePolicy | None = None
) -> PreviewedDeploy:
    """Adds the preview to a plan. `app`: may not be created yet. `rows`: its rows. `arriving`: a release that its namespace lacks.

    `policy`: the operator's image policy, for an App whose status has none yet. Raises Refusal and kube.errors.ApiError.
    """
    request, record = plan.request, plan.record
    try:
        draft = Record.of({**record, "metadata": {**record["metadata"], "name": "(new)"}})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidField(field, in_words(first)) if field else Refusal(in_words(first)) from None
    restored = _restored(api, request)
    release = arriving or (release_of(api, request.namespace, app.spec.workflow, request.version) if restored is None else None)
    flow = release.text if release is not None else _flow_text(api, request, restored)
    kept = restored or rows.live
    runtimes, is_unread = _runtimes(api, request.runtime, kept.pinned.runtime if kept is not None and kept.pinned is not None else None)
    then = complete(
        draft,
        Known(
            app=app,
            live=rows.live,
            versions=[release.version] if release is not None else [],
            runtimes=runtimes,
            rows={restored.name: restored} if restored is not None else {},
            flows=frozenset([flow_hash(flow)] if flow is not None else []),
            settings=Settings(image_policy=policy or app.status.image_policy or ImagePolicy.ANY),
        ),
        sequence=max([row.sequence for row in rows.rows], default=0) + 1,
        source=Source.RECORD,
        previous_digest=None,
        now=datetime.now(UTC),
    )
    if isinstance(then, Missing):
        raise Unknown(then.message)
    if isinstance(then, Refused):
        raise Refusal(then.message)
    warnings = guards.check_not_rejected(api, request.namespace, then, rows.live, bypass=request.bypass_reason is not None)
    warnings += _warnings(api, plan) if arriving is None else ()
    if is_unread:
        warnings += ("ask for the ClusterRole dynamiq-runtimes: you may not read Runtimes, so the runtime is unknown",)
    preview = preview_in(api, app, rows, then, flow, record, warnings)
    preview = replace(preview, **guards.guards_of_preview(api, app, draft.spec))
    preview = with_held_changes(preview, app, draft, [each.reason for each in preview.guards])
    return PreviewedDeploy(request, record, plan.claim, preview=preview, then=then, is_runtime_unread=is_unread)


def preview_in(api: Api, app: App, rows: History, then: Pinned, text: str | None, record: Manifest, warnings: tuple[str, ...]) -> Preview:
    live, target = rows.live, rows.target
    now = live.pinned if live is not None else None
    before = history.flow_of(api, app.meta.namespace, app.meta.name, now) if now and now.workflow_hash != then.workflow_hash else text
    diff = flow_diff(before, text, now.workflow_version, then.workflow_version) if now and text is not None else ()
    if now is not None and (before is None or text is None):
        warnings += ("the flows cannot be compared: one of them is in no ConfigMap and no WorkflowVersion that you may read",)
    if app.spec.deploy is not None:
        warnings += ("Git deploys this App, too: this row stays until spec.deploy of the App changes",)
    warnings += tuple(each.message for each in app.status.conditions if each.reason == REVERTED)
    running = target.pinned if target is not None else None
    same = running is not None and template_digest(app, Pins.of(running)) == template_digest(app, Pins.of(then))
    workloads = (
        workloads_of(api, app.meta.namespace, app.meta.name, app.meta.uid)
        if running is not None and not same and app.spec.rollout.switches
        else None
    )
    switches = app.spec.rollout.switches if workloads is None else workloads.switches
    pods = warm(workloads, app, then) if workloads is not None and switches else None
    return Preview(
        namespace=app.meta.namespace,
        app=app.meta.name,
        now=Side.of(now, live.name, live.sequence) if live is not None and now is not None else None,
        then=Side.of(then),
        flow_diff=diff,
        restarts=running is not None and not same,
        no_op=running is not None and same and running.config == then.config,
        record=record,
        under_way=_under_way(rows),
        warnings=warnings,
        switches=switches,
        warm=(pods.ready, pods.to_start) if pods is not None else None,
        asleep=is_asleep(app.status.as_json()),
    )


def with_held_changes(preview: Preview, app: App, row: Record, waits_for: Collection[GuardReason]) -> Preview:
    """Adds the held changes that take effect with the row: variables, access and runs. `waits_for`: the guards that block it, or would."""
    if not app.status.is_holding_variables or not brings_once_released(row, waits_for):
        return preview
    # Under either strategy the same pins have one workload, so its pods are replaced in place.
    switches = preview.switches and preview.restarts
    restarts = preview.now is not None
    return replace(preview, no_op=False, restarts=restarts, switches=switches, warnings=(TAKES_EFFECT, *preview.warnings))


def _under_way(rows: History) -> str | None:
    """Returns the name of the deploy under way, as messages have it; None without one."""
    if rows.candidate is None:
        return None
    # Imported here: `events` imports all operations of a plan, which would slow down each start of the plugin.
    from dynamiq_operator.plan import events

    return events.title(rows.candidate)


def _warnings(api: Api, plan: DeployPlan) -> tuple[str, ...]:
    """Lists warnings about the row: a repeat of its key, and rights that the caller lacks."""
    # Missing rights are no error: a caller who may only read gets a preview, too.
    namespace = plan.request.namespace
    if plan.claim is not None and idempotency.find_claimed_row(api, [namespace], plan.claim) is not None:
        return ("this was deployed before under the same key: no row is added",)
    return tuple(f"you could not do this: {why}" for why in lacking(api, namespace, RECORDS, verbs=plan.verbs))


def release_of(api: Api, namespace: str, workflow: str, version: str | None) -> Flow | None:
    """Returns the release of this version; without one the newest, None if there is none. Raises Unknown and kube.errors.ApiError."""
    if version is not None:
        try:
            return Flow.of(requests.get(api, VERSIONS, namespace, names.workflow_version(workflow, version)))
        except errors.NotFound:
            raise history.unknown_version(namespace, workflow, version, history.releases(api, namespace, workflow)) from None
    released = history.releases(api, namespace, workflow)
    return Flow.of(requests.get(api, VERSIONS, namespace, released[-1].name)) if released else None


def _restored(api: Api, request: DeployRequest) -> Record | None:
    if request.restores is None:
        return None
    return history.typed(Record, history.find_row(api, request.namespace, request.app, request.restores))


def _flow_text(api: Api, request: DeployRequest, restored: Record | None) -> str | None:
    if restored is None or restored.pinned is None:
        return None
    return history.flow_of(api, request.namespace, request.app, restored.pinned)


def _runtimes(api: Api, requested: str | None, kept: PinnedRuntime | None) -> tuple[dict[str, Runtime], bool]:
    """Returns the Runtimes to choose from: the requested one, none if the row keeps its Runtime, else all.

    The flag is True if the only one is a placeholder for a Runtime that the caller may not read.
    """
    if requested is None and kept is not None:
        return {}, False
    is_kept = kept is not None and requested == kept.name  # it outlives its Runtime
    try:
        raws = [requests.get(api, RUNTIMES, "", requested)] if requested is not None else requests.items(api, RUNTIMES)
    except errors.NotFound:
        if is_kept:
            return {}, False
        raise _unknown_runtime(api, requested) from None
    except errors.Denied as error:
        if error.status == 401:
            raise
        return ({}, False) if is_kept else (_unread(requested or NEWEST), True)
    if requested is not None:
        return {requested: history.typed(Runtime, raws[0])}, False
    # The operator does not choose an unreadable Runtime, either.
    return {each.meta.name: each for raw in raws if not isinstance(each := read(Runtime, raw), Unreadable)}, False


def runtime_named(api: Api, kept: PinnedRuntime) -> str | None:
    """Returns the name of a Runtime that a row pinned; None if another Runtime has this name now."""
    try:
        runtime = history.typed(Runtime, requests.get(api, RUNTIMES, "", kept.name))
    except (errors.NotFound, errors.Denied):
        return kept.name
    return kept.name if runtime.spec.pins(kept.name) == kept else None


def _unread(name: str) -> dict[str, Runtime]:
    """Returns a placeholder for a Runtime that the caller may not read."""
    return {name: Runtime.of({"metadata": {"name": name}, "spec": {"version": name, "image": UNREAD_IMAGE}})}


def _unknown_runtime(api: Api, name: str | None) -> Unknown:
    runtimes = ", ".join(requests.list_names(api, RUNTIMES)) or "none"
    return Unknown(f"no Runtime {name}; there are: {runtimes}", "runtime")

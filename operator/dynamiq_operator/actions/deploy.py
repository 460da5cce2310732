"""Plans, previews and performs a deploy: one new row. Outside the operator only `perform_deploy` creates rows.

A plan holds the row exactly as it is written. A preview completes it as the operator will, by the same code from the same objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.actions import guards, idempotency, reads
from dynamiq_operator.actions.idempotency import CallerKey, KeyClaim, Performed
from dynamiq_operator.actions.reads import DeployInputs, Flow, Surroundings
from dynamiq_operator.actions.refusals import InvalidField, Refusal, Unknown
from dynamiq_operator.actions.rights import BYPASS, DEPLOY, rights_warnings
from dynamiq_operator.actions.workloads import warm
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import template_digest
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resource import ROWS
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.breaking import Judgement, judged, of_pins
from dynamiq_operator.model.completion import Known, Missing, Refused, complete
from dynamiq_operator.model.contract import contract_of
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import App, Manifest, Row
from dynamiq_operator.model.row import Pinned, Source
from dynamiq_operator.model.settings import ImagePolicy, Settings
from dynamiq_operator.model.wrong_fields import in_words
from dynamiq_operator.plan.history.lifecycle import RowHistory
from dynamiq_operator.views.features import lost_features
from dynamiq_operator.views.flow_diff import flow_diff
from dynamiq_operator.views.preview import Preview, Side
from dynamiq_operator.views.sleep import is_asleep

REVERTED = "Reverted"
"""Reason of the condition of an App whose live row is a revert."""
NOT_ONLY_BACK = ("workflowVersion", "runtime", "config", "promotedFrom", "hold")
"""Fields of a row with `restores` that make it a deploy for RBAC, not a plain rollback (manifests/admission/guard-deploys.yaml)."""


@dataclass(frozen=True)
class DeployRequest:
    """A deploy, in the fields of a row's spec. The operator completes those that are None.

    `restores`: a row's name. `config`, `promoted_from`: JSON data. `hold`: for a rollback; False to keep applying changes from Git.
    `bypass_reason`: bypasses the guards; None to obey them. `take_sessions`: True to answer conversations of other versions, else None.
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
    take_sessions: bool | None = None


@dataclass(frozen=True)
class DeployPlan:
    """A deploy that has not been performed. `row`: written unchanged. `claim`: of its idempotency key, which names the row."""

    request: DeployRequest
    row: Manifest
    claim: KeyClaim | None = None

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs on rows that the caller needs beside `create`. A plain rollback needs none."""
        spec = self.row["spec"]
        only_back = "restores" in spec and not any(field in spec for field in NOT_ONLY_BACK)
        return (*(() if only_back else (DEPLOY,)), *((BYPASS,) if "bypass" in spec else ()))


@dataclass(frozen=True, kw_only=True)
class PreviewedDeploy(DeployPlan):
    """A plan with its preview. `preview.row` is `row`.

    `then`: the pins that the row would get. `is_runtime_unread`: their Runtime is a placeholder for one that the caller may not read.
    """

    preview: Preview
    then: Pinned
    is_runtime_unread: bool = False


def plan_deploy(api: Api, request: DeployRequest, *, key: CallerKey | None = None) -> PreviewedDeploy:
    """Plans a deploy with its preview. The caller needs rights to read.

    Raises Refusal if it cannot be done, and kube.errors.ApiError.
    """
    app, rows = reads.find_app_and_rows(api, request.namespace, request.app)
    plan = plan_unseen(request, deploy_claim(request, app.meta.uid, key))
    return previewed(api, plan, app, rows)


def plan_again(api: Api, plan: DeployPlan) -> PreviewedDeploy:
    """Makes the same plan from the objects as they are now. Raises as `plan_deploy` does."""
    app, rows = reads.find_app_and_rows(api, plan.request.namespace, plan.request.app)
    return previewed(api, plan, app, rows)


def plan_unseen(request: DeployRequest, claim: KeyClaim | None = None) -> DeployPlan:
    """Plans a deploy without a preview and without a request. The row is the same as with a preview."""
    return DeployPlan(request, row_manifest(request, claim), claim)


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
        return Performed(requests.create(api, ROWS, plan.row))
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
    name = plan.row["metadata"].get("name")
    try:
        row = requests.read_object(api, ROWS, plan.request.namespace, name) if name is not None else None
    except errors.ApiError:
        return None
    spec = plan.row["spec"]
    return row if row is not None and all(row["spec"].get(field) == value for field, value in spec.items()) else None


def row_manifest(request: DeployRequest, claim: KeyClaim | None = None, name: str | None = None) -> Manifest:
    """Returns the row to create, under the name of its claim, else `name`. Without both the API server completes `<app>-`."""
    meta = claim.meta if claim is not None else {"name": name} if name is not None else {"generateName": f"{request.app}-"}
    spec = {
        "app": request.app,
        "workflowVersion": request.version,
        "restores": request.restores,
        "runtime": request.runtime,
        "config": request.config,
        "message": request.message,
        "promotedFrom": request.promoted_from,
        "hold": request.hold,
        "takeSessions": request.take_sessions or None,
        "bypass": {"reason": request.bypass_reason} if request.bypass_reason is not None else None,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": ROWS.kind,
        "metadata": {"namespace": request.namespace, **meta},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }


def previewed(
    api: Api, plan: DeployPlan, app: App, rows: RowHistory, arriving: Flow | None = None, policy: ImagePolicy | None = None
) -> PreviewedDeploy:
    """Adds the preview to a plan. `app`: may not be created yet. `rows`: its rows. `arriving`: a release that its namespace lacks.

    `policy`: the operator's image policy, for an App whose status has none yet. Raises Refusal and kube.errors.ApiError.
    """
    draft = _draft(plan.row)
    if plan.request.take_sessions and app.spec.sessions is None:
        raise Refusal(no_sessions(app.meta.name), "takeSessions")
    warnings = _warnings(api, plan) if arriving is None else ()
    inputs = reads.read_inputs(api, app, rows, draft.spec, arriving)
    then = _completed(draft, app, rows, inputs, policy)
    # A bypass, and a deploy of what is live, is not refused for a Rejection.
    may_be_rejected = draft.spec.bypass is None and not guards.is_live(then, rows.live)
    may_hold = guards.may_hold(app, draft.spec)
    met = surroundings_of(api, app, rows, then, inputs.text, may_hold=may_hold, may_be_rejected=may_be_rejected)
    if inputs.is_runtime_unread:
        warnings += ("ask for the ClusterRole dynamiq-runtimes: you may not read Runtimes, so the runtime is unknown",)
    preview = preview_in(met, then, inputs.text, plan.row, warnings)
    unread = guards.check_not_rejected(met.rejections, app.meta.namespace, then)
    preview = replace(preview, begins_hold=met.begins_hold, warnings=unread + preview.warnings)
    preview = guards.with_guards(preview, app, draft.spec)
    preview = guards.with_held_changes(preview, app, draft, [each.reason for each in preview.guards])
    return PreviewedDeploy(plan.request, plan.row, plan.claim, preview=preview, then=then, is_runtime_unread=inputs.is_runtime_unread)


def no_sessions(app: str) -> str:
    """Returns why a deploy of an App without `spec.sessions` takes no conversations."""
    return f"{app} has no spec.sessions, so no conversation stays on its version: the live version answers all of them"


def _draft(row: Manifest) -> Row:
    """Parses the row. Raises InvalidField and Refusal."""
    try:
        return Row.of({**row, "metadata": {**row["metadata"], "name": "(new)"}})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidField(field, in_words(first)) if field else Refusal(in_words(first)) from None


def _completed(draft: Row, app: App, rows: RowHistory, inputs: DeployInputs, policy: ImagePolicy | None) -> Pinned:
    """Completes the row as the operator will. Raises Refusal."""
    restored, version, text = inputs.restored, inputs.version, inputs.text
    then = complete(
        draft,
        Known(
            app=app,
            live=rows.live,
            versions=[version] if version is not None else [],
            runtimes=inputs.runtimes,
            rows={restored.name: restored} if restored is not None else {},
            flows=frozenset([flow_hash(text)] if text is not None else []),
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
    return then


def surroundings_of(
    api: Api, app: App, rows: RowHistory, then: Pinned, text: str | None, *, may_hold: bool, may_be_rejected: bool = False
) -> Surroundings:
    """Reads what a row with these pins meets, as `reads.read_surroundings` does."""
    running = rows.target.pinned if rows.target is not None else None
    restarts = running is not None and template_digest(app, Pins.of(running)) != template_digest(app, Pins.of(then))
    return reads.read_surroundings(api, app, rows, then, text, restarts=restarts, may_hold=may_hold, may_be_rejected=may_be_rejected)


def preview_in(met: Surroundings, then: Pinned, text: str | None, row: Manifest, warnings: tuple[str, ...]) -> Preview:
    """Previews a row with these pins. `text`: its flow."""
    app, live, target = met.app, met.rows.live, met.rows.target
    now = live.pinned if live is not None else None
    diff = flow_diff(met.live_text, text, now.workflow_version, then.workflow_version) if now and text is not None else ()
    if now is not None and None in (met.live_text, text):
        warnings += ("the flows cannot be compared: one of them is in no ConfigMap and no WorkflowVersion that you may read",)
    if app.spec.deploy is not None:
        warnings += ("Git deploys this App, too: this row stays until spec.deploy of the App changes",)
    warnings += tuple(each.message for each in app.status.conditions if each.reason == REVERTED)
    warnings += lost_features(app.status, now, then)
    running = target.pinned if target is not None else None
    switches = app.spec.rollout.switches if met.workloads is None else met.workloads.switches
    pods = warm(met.workloads, app, then) if met.workloads is not None and switches else None
    return Preview(
        namespace=app.meta.namespace,
        app=app.meta.name,
        now=Side.of(now, live.name, live.sequence) if live is not None and now is not None else None,
        then=Side.of(then),
        flow_diff=diff,
        restarts=met.restarts,
        no_op=running is not None and not met.restarts and running.config == then.config,
        row=row,
        under_way=_under_way(met.rows),
        warnings=warnings,
        switches=switches,
        warm=(pods.ready, pods.to_start) if pods is not None else None,
        asleep=is_asleep(app.status.as_json()),
        finishing=tuple((each.title, each.open_runs) for each in app.status.finishing),
        held=sum(each.held for each in app.status.finishing),
        has_sessions=app.spec.sessions is not None,
        takes_sessions=bool(row["spec"].get("takeSessions")),
        pins=Pins.of(then).digest,
        titles=_titles(app, live),
        judgement=_judgement(met, now, then, text),
        app_uid=app.meta.uid,
    )


def _judgement(met: Surroundings, now: Pinned | None, then: Pinned, text: str | None) -> Judgement | None:
    """Returns whom the version may break, before its callers are counted; None if the flow is the live one. A pinned row has its own."""
    if now is None or now.workflow_hash == then.workflow_hash:
        return None
    if then.contract is not None and then.contract.result is not None:
        return of_pins(then.contract)
    return judged(*(contract_of(each) if each is not None else None for each in (met.live_text, text)))


def _titles(app: App, live: Row | None) -> dict[str, str]:
    """Returns the versions that may have open runs or conversations, by their pins, such as `v2 (#12)`."""
    titles = {each.pins: each.title for each in app.status.finishing}
    if live is not None and live.pinned is not None:
        titles[Pins.of(live.pinned).digest] = f"{live.pinned.workflow_version} (#{live.sequence})"
    return titles


def _under_way(rows: RowHistory) -> str | None:
    """Returns the name of the deploy under way, as messages have it; None without one."""
    return rows.candidate.title if rows.candidate is not None else None


def _warnings(api: Api, plan: DeployPlan) -> tuple[str, ...]:
    """Lists warnings about the row: a repeat of its key, and rights that the caller lacks."""
    # Missing rights are no error: a caller who may only read gets a preview, too.
    namespace = plan.request.namespace
    if plan.claim is not None and idempotency.find_claimed_row(api, [namespace], plan.claim) is not None:
        return ("this was deployed before under the same key: no row is added",)
    return rights_warnings(api, namespace, ROWS, verbs=plan.verbs)

"""Promoting: what an App serves here is deployed to the App of the same name in another environment of the same project.

The version travels by its flow's hash, and the target keeps its own config, hostname, keys and variables. All of it goes
out in the name of the caller, who needs the rights in both namespaces; what is lacking is said before anything is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dynamiq_operator.actions import guards, history, idempotency
from dynamiq_operator.actions.confirmed import check, shown, spelled_out
from dynamiq_operator.actions.deploy import DeployRequest, Flow, PreviewedDeploy, perform_deploy, plan_unseen, previewed
from dynamiq_operator.actions.idempotency import Key, KeyClaim, Performed
from dynamiq_operator.actions.refusals import Lacks, Need, NotAllowed, Refusal, Taken, Unknown, refused
from dynamiq_operator.actions.release import version_manifest
from dynamiq_operator.actions.rights import BYPASS, DEPLOY, lacking
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS, BY_KIND, NAMESPACES, RECORDS, SECRETS, VERSIONS, ApiResource
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.app import AppSpec
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.guards import StandingGuard
from dynamiq_operator.model.objects import App, Manifest, Record, parse_time
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.plan.history.lifecycle import History
from dynamiq_operator.views.preview import Preview

PRODUCTION = "production"
TRIES = 8
"""Of a promotion under a key, while the same request is carried out elsewhere."""
NOT_COPIED = ("hostname", "exposure", "deploy", "suspend", "triggers")
"""What a first promotion does not take along: it belongs to one environment."""


class NeedsHostname(Refusal):
    """A first promotion of an App with a hostname has to be given the one in the target."""


@dataclass(frozen=True)
class PromotionRequest:
    """What is asked to be promoted, and where to. `target_namespace` stands for a search by label, which takes the right to list namespaces.

    `hostname`: of a first promotion, the App's hostname in the target.
    """

    namespace: str
    app: str
    environment: str = PRODUCTION
    target_namespace: str | None = None
    hostname: str | None = None
    message: str | None = None
    bypass_reason: str | None = None


@dataclass(frozen=True)
class PromotionPlan:
    """A promotion that has not been done. `version` and `new_app`: what has to be made before the row, None where it is there."""

    request: PromotionRequest
    source: Record
    target_namespace: str
    version: Manifest | None
    new_app: Manifest | None
    deploy: PreviewedDeploy

    @property
    def preview(self) -> Preview:
        return self.deploy.preview

    def lines(self) -> list[str]:
        """The promotion as text."""
        source, app = self.source.pinned, self.request.app
        said = [
            f"promote {self.request.namespace}/{app} {source.workflow_version if source else ''} (#{self.source.sequence})"
            f" to {self.request.environment}"
        ]
        if self.new_app is not None:
            said.append(f"  App {app} is made in {self.target_namespace}")
        if self.version is not None:
            said.append(f"  WorkflowVersion {self.version['metadata']['name']} is put into {self.target_namespace}")
        return said + self.preview.lines()


def plan_promotion(api: Api, request: PromotionRequest, target: str | None = None, claim: KeyClaim | None = None) -> PromotionPlan:
    """What promoting the live row would do, which takes the right to read. `target`: the target's namespace where a surface found it in its own
    way.

    Raises Refusal where the target lacks something, and kube.errors.ApiError.
    """
    namespace, app, environment = request.namespace, request.app, request.environment
    source_app = history.find_app(api, namespace, app)
    source = history.open_rows(api, namespace, app, source_app.meta.uid).live
    if source is None or source.pinned is None:
        raise Refusal(f"{app} serves nothing in namespace {namespace} yet: deploy it there first")
    target = target or request.target_namespace or find_target(api, namespace, environment)
    if target == namespace:
        raise Refusal(f"namespace {namespace} is {environment} itself: promote from another environment")
    guards.check_not_rejected(api, namespace, source.pinned, None, bypass=request.bypass_reason is not None)
    text = history.flow_of(api, namespace, app, source.pinned)
    if text is None:
        raise Refusal(f"the flow of {app} {source.pinned.workflow_version} is in no ConfigMap and no WorkflowVersion that you may read")
    there = _there(api, target, app)
    new_app = _first(source_app, target, request.hostname) if there is None else None
    deployed = there or App.of({**(new_app or {}), "status": {"guards": [each.as_json() for each in guards.of_namespace(api, target)]}})
    if deployed.spec.workflow != source.pinned.workflow:
        raise Taken(f"App {app} in {target} runs workflow {deployed.spec.workflow}, not {source.pinned.workflow}: it is another App")
    _require_variables(api, target, deployed.spec, environment)
    if new_app is not None and source_app.spec.hostname is not None and request.hostname is None:
        # Only now: nobody chooses a hostname for an App that could not be made yet.
        raise NeedsHostname(f"App {app} is new in {environment} and needs a hostname of its own there: give one", "hostname")
    flow, made = _version(api, target, source.pinned, text, f"{namespace}/{app}")
    rows = history.open_rows(api, target, app, there.meta.uid) if there is not None else History(())
    guards.check_source(deployed.status.guards, namespace, source.pinned, rows.live, bypass=request.bypass_reason is not None)
    # An App may be there from a promotion that made no row, or whose row failed: what it would keep is what is live, and nothing is.
    asked = _deploy_request(source, source.pinned, request, target, flow.version.version, is_first=rows.live is None)
    deploy = previewed(api, plan_unseen(asked, claim), deployed, rows, arriving=flow, policy=source_app.status.image_policy)
    rights = tuple(f"you could not do this: {why}" for why in lacking(api, target, *_created(made, new_app), verbs=deploy.verbs))
    warnings = rights + deploy.preview.warnings + _warnings(source_app, deployed, there is None)
    deploy = replace(deploy, preview=replace(deploy.preview, guards=_holding(deploy.preview, source), warnings=warnings))
    return PromotionPlan(request, source, target, made, new_app, deploy)


def _holding(preview: Preview, source: Record) -> tuple[StandingGuard, ...]:
    """What would hold the row: a soak time that the version has behind it at its source would not."""
    since = parse_time(source.outcome.at) if source.outcome is not None else source.meta.created
    return guards.yet_to_soak(preview.guards, since, datetime.now(UTC))


def perform_promotion(api: Api, plan: PromotionPlan) -> Performed:
    """Makes what the target lacks, then the row. Raises NotAllowed before anything is made, Refusal, Taken where others make the same now, and
    kube.errors.ApiError.
    """
    _require_rights(api, plan)
    try:
        if (claim := plan.deploy.claim) is not None:
            idempotency.note(api, plan.request.namespace, plan.request.app, claim)
        if plan.version is not None:
            _make(api, VERSIONS, plan.version)
        if plan.new_app is not None:
            _make(api, APPS, plan.new_app)
        return perform_deploy(api, plan.deploy)
    except errors.Invalid as error:
        raise refused(error) from None


def perform_confirmed_promotion(api: Api, plan: PromotionPlan) -> Performed:
    """Promotes what the plan showed. Raises Changed where that is no longer what would be promoted, and as planning and performing do."""
    now = plan_promotion(api, plan.request, plan.target_namespace, plan.deploy.claim)
    check({**shown(plan.preview), **_made(plan)}, {**shown(now.preview), **_made(now)})
    return perform_promotion(api, spelled_out_promotion(api, now))


def spelled_out_promotion(api: Api, plan: PromotionPlan) -> PromotionPlan:
    """The plan whose record names all that its preview shows."""
    return replace(plan, deploy=replace(plan.deploy, record=spelled_out(api, plan.deploy).record))


def _made(plan: PromotionPlan) -> dict[str, bool]:
    return {"newApp": plan.new_app is not None, "newVersion": plan.version is not None}


def promote_once(
    api: Api,
    request: PromotionRequest,
    claim: KeyClaim,
    *,
    target_of: Callable[[], str],
    places_of: Callable[[], Iterable[str]],
    perform: Callable[[PromotionPlan], Performed] | None = None,
) -> Performed:
    """Plans and performs a promotion under an idempotency key; a repeat gives the row that was made before.

    A plan made after the first one would not be the same, so the row that is there is looked for before. `target_of` finds the target's
    namespace, `places_of` the namespaces in which a row of the key may be, and `perform` does the plan in another way. Raises as planning and performing do, and KeyReused.
    """
    left = TRIES
    while True:
        if (found := idempotency.find_claimed_row(api, places_of(), claim)) is not None:
            return Performed(found, is_replayed=True)
        target = target_of()
        if (found := idempotency.find_claimed_row(api, [target], claim)) is not None:
            return Performed(found, is_replayed=True)
        try:
            planned = plan_promotion(api, request, target, claim)
            return perform(planned) if perform is not None else perform_promotion(api, planned)
        except (errors.AlreadyExists, Taken):
            # The same request is carried out by another thread or replica at this moment.
            left -= 1
            if not left:
                raise


def promotion_claim(
    request: PromotionRequest, app_uid: str, key: Key | None, confirmed: Mapping[str, Any] | None = None
) -> KeyClaim | None:
    """What a promotion under an idempotency key claims, whatever its target; None without a key. `app_uid`: of the App that is promoted."""
    return KeyClaim.of(key, "promote", app_uid, request, request.app, confirmed) if key else None


def find_target(api: Api, namespace: str, environment: str) -> str:
    """The namespace of an environment in the project of `namespace`. Raises Refusal saying which labels are missing."""
    labels = _labels(requests.get(api, NAMESPACES, "", namespace))
    project = labels.get(names.PROJECT_LABEL)
    try:
        found = requests.items(api, NAMESPACES, label=f"{names.PROJECT_LABEL}={project}") if project else []
    except errors.Denied:
        raise NotAllowed("you may not list namespaces: name the target's (--target-namespace)") from None
    return target_among({each["metadata"]["name"]: _labels(each) for each in found}, namespace, labels, environment)


def target_among(found: Mapping[str, Mapping[str, str]], namespace: str, own: Mapping[str, str], environment: str) -> str:
    """The one of these namespaces, by name with their labels, that is the environment of the project. Raises Refusal."""
    project = own.get(names.PROJECT_LABEL)
    if not project:
        raise Refusal(f"namespace {namespace} belongs to no project: label it, and the target, {names.PROJECT_LABEL}=<project>")
    environments = {
        name: labels.get(names.ENVIRONMENT_LABEL) for name, labels in found.items() if labels.get(names.PROJECT_LABEL) == project
    }
    fitting = sorted(name for name, said in environments.items() if said == environment)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise Refusal(f"project {project} has several namespaces of environment {environment}, {', '.join(fitting)}: name the target's")
    others = sorted({said for said in environments.values() if said})
    there = f"there are: {', '.join(others)}" if others else f"label its namespace {names.ENVIRONMENT_LABEL}={environment}"
    raise Unknown(f"project {project} has no environment {environment}; {there}", "environment")


def _there(api: Api, namespace: str, app: str) -> App | None:
    try:
        return history.typed(App, requests.get(api, APPS, namespace, app))
    except errors.NotFound:
        return None


def _first(source: App, target: str, hostname: str | None) -> Manifest:
    """The App that a first promotion makes: as the source, under its own hostname."""
    spec = {field: value for field, value in source.spec.as_json().items() if field not in NOT_COPIED and value != []}
    if hostname is not None:
        spec["hostname"] = hostname
    return {
        "apiVersion": API_VERSION,
        "kind": kinds.APP.kind,
        "metadata": {"name": source.meta.name, "namespace": target},
        "spec": spec,
    }


def _created(version: Manifest | None, new_app: Manifest | None) -> list[ApiResource]:
    """What a promotion makes."""
    return [RECORDS, *([APPS] if new_app is not None else []), *([VERSIONS] if version is not None else [])]


def _require_rights(api: Api, plan: PromotionPlan) -> None:
    target = plan.target_namespace
    why = lacking(api, target, *_created(plan.version, plan.new_app), verbs=[DEPLOY])
    bypasses = [] if plan.request.bypass_reason is None else lacking(api, target, verbs=[BYPASS])
    if why or bypasses:
        roles = [*(["dynamiq-promoter"] if why else []), *(["dynamiq-bypass"] if bypasses else [])]
        ask = f"{'the role' if len(roles) == 1 else 'the roles'} {' and '.join(roles)}"
        raise NotAllowed(f"{' and '.join((*why, *bypasses))}: ask for {ask} there")


def _require_variables(api: Api, namespace: str, spec: AppSpec, environment: str) -> None:
    """Refuses what would leave pods that cannot start: a Secret or ConfigMap, or a key of it, that is not there."""
    needs = []
    for variable in spec.variables:
        for resource, named in ((SECRETS, variable.secret), (BY_KIND[CONFIG_MAP.kind], variable.config_map)):
            if named is None:
                continue
            try:
                found = requests.get(api, resource, namespace, named.name)
            except errors.NotFound:
                found = None
            except errors.Denied:
                continue  # a caller who may not read it finds out by the row's condition
            if found is None or named.key not in (found.get("data") or {}):
                needs.append(Need(resource.kind, named.name, namespace, named.key, variable.name, found is not None))
    if needs:
        raise Lacks(environment, needs)


def _version(api: Api, namespace: str, pinned: Pinned, text: str, origin: str) -> tuple[Flow, Manifest | None]:
    """The release of this flow in the target, and the manifest of one where there is none: under its own name, else the next free one."""
    try:
        there = Flow.of(requests.get(api, VERSIONS, namespace, names.workflow_version(pinned.workflow, pinned.workflow_version)))
        if there.version.flow_hash == pinned.workflow_hash:
            return there, None
    except errors.NotFound:
        return _copy(namespace, pinned, text, pinned.workflow_version, origin)
    brought = requests.items(api, VERSIONS, namespace, label=f"{names.FLOW_LABEL}={names.flow_label(pinned.workflow_hash)}")
    for flow in map(Flow.of, brought):
        if (flow.version.workflow, flow.version.flow_hash) == (pinned.workflow, pinned.workflow_hash):
            return flow, None
    newest = history.releases(api, namespace, pinned.workflow)[-1].number
    return _copy(namespace, pinned, text, f"v{newest + 1}", origin)


def _copy(namespace: str, pinned: Pinned, text: str, version: str, origin: str) -> tuple[Flow, Manifest]:
    manifest = version_manifest(namespace, pinned.workflow, version, text, pinned.description)
    manifest["metadata"]["labels"] = {names.FLOW_LABEL: names.flow_label(pinned.workflow_hash)}
    manifest["metadata"]["annotations"] = {names.ORIGIN_ANNOTATION: f"{origin} {pinned.workflow_version}"}
    return Flow.of(manifest), manifest


def _deploy_request(
    source: Record, pinned: Pinned, request: PromotionRequest, target: str, version: str, *, is_first: bool
) -> DeployRequest:
    return DeployRequest(
        target,
        request.app,
        version=version,
        runtime=pinned.runtime.name if is_first else None,
        config=pinned.config.as_json() if is_first else None,
        message=request.message,
        promoted_from={"namespace": request.namespace, "app": request.app, "row": source.name, "hash": pinned.workflow_hash},
        bypass_reason=request.bypass_reason,
    )


def _warnings(source: App, target: App, first: bool) -> tuple[str, ...]:
    if first:
        plain = [variable.name for variable in source.spec.variables if variable.value is not None]
        return (f"values of {', '.join(plain)} are taken from {source.meta.namespace}",) if plain else ()
    known = {variable.name for variable in target.spec.variables}
    missing = [variable.name for variable in source.spec.variables if variable.name not in known]
    return (f"{target.meta.namespace} has no variable {', '.join(missing)}, which {source.meta.namespace} has",) if missing else ()


def _make(api: Api, resource: ApiResource, manifest: Manifest) -> None:
    try:
        requests.create(api, resource, manifest)
    except errors.AlreadyExists:
        meta = manifest["metadata"]
        found = requests.get(api, resource, meta["namespace"], meta["name"])
        if resource is not VERSIONS or found["spec"]["flow"] != manifest["spec"]["flow"]:
            raise Taken(
                f"{manifest['kind']} {meta['name']} was made in {meta['namespace']} at this moment: look again, and promote again"
            ) from None


def _labels(namespace: Manifest) -> Mapping[str, str]:
    return namespace["metadata"].get("labels") or {}

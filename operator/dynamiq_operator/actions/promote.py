"""Promotes the live row of an App to the App of the same name in another environment of the same project.

The version is found in the target by its flow's hash. The target keeps its own config, hostname, keys and variables.
All requests have the caller's name, who needs rights in both namespaces; missing ones are reported before anything is made.
The target may be in another cluster, with a client of its own. Neither cluster knows of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dynamiq_operator.actions import guards, idempotency, reads
from dynamiq_operator.actions.confirmed import check, shown, spelled_out
from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, perform_deploy, plan_unseen, previewed
from dynamiq_operator.actions.idempotency import CallerKey, KeyClaim, Performed
from dynamiq_operator.actions.promotion_target import check_hostname, check_namespace, labels_of
from dynamiq_operator.actions.refusals import Lacks, Need, NotAllowed, Refusal, Taken, Unknown, refused
from dynamiq_operator.actions.rights import BYPASS, DEPLOY, missing_rights, rights_warnings
from dynamiq_operator.actions.travelling import Served, check_not_rejected_at_source, release_there, served
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import APPS, BY_KIND, NAMESPACES, ROWS, SECRETS, VERSIONS, ApiResource
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.app import AppSpec
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.guards import StandingGuard
from dynamiq_operator.model.objects import App, Manifest, Row, parse_time
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.plan.history.lifecycle import RowHistory
from dynamiq_operator.views.preview import Preview

PRODUCTION = "production"
TRIES = 8
"""Tries of a promotion under a key while the same request runs elsewhere."""
NOT_COPIED = ("hostname", "exposure", "deploy", "suspend", "triggers", "settingsChangedBy")
"""Fields of an App that a first promotion does not copy: they belong to one environment."""


class NeedsHostname(Refusal):
    """A first promotion of an App with a hostname that names none for the target."""


@dataclass(frozen=True)
class Crossing:
    """A target in another cluster. `cluster`: the row's name for the source cluster. `place`: the name of the other in messages."""

    cluster: str
    place: str


@dataclass(frozen=True)
class PromotionRequest:
    """A promotion and its target. `target_namespace`: None to find it by labels, which needs the right to list namespaces.

    `hostname`: the App's hostname in the target, for a first promotion.
    """

    namespace: str
    app: str
    environment: str = PRODUCTION
    target_namespace: str | None = None
    hostname: str | None = None
    message: str | None = None
    bypass_reason: str | None = None
    crossing: Crossing | None = None


@dataclass(frozen=True)
class PromotionPlan:
    """A promotion that has not been performed. `version`, `new_app`: made before the row; None if they exist."""

    request: PromotionRequest
    source: Served
    target_namespace: str
    version: Manifest | None
    new_app: Manifest | None
    deploy: PreviewedDeploy

    @property
    def preview(self) -> Preview:
        return self.deploy.preview

    def as_json(self) -> dict[str, Any]:
        """Returns the preview of the row, and which objects are made before it."""
        return {**self.preview.as_json(), **_made(self), "hostname": self.request.hostname if self.new_app is not None else None}

    def lines(self) -> list[str]:
        """Describes the promotion in lines of text."""
        crossing = self.request.crossing
        text = [f"promote {self.source.title} to {self.request.environment}{f' of {crossing.place}' if crossing is not None else ''}"]
        if self.new_app is not None:
            hostname = f", with hostname {self.request.hostname}" if self.request.hostname is not None else ""
            text.append(f"  App {self.request.app} is made in {self.target_namespace}{hostname}")
        if self.version is not None:
            text.append(f"  WorkflowVersion {self.version['metadata']['name']} is put into {self.target_namespace}")
        return text + self.preview.lines()


def plan_promotion(
    api: Api, request: PromotionRequest, target: str | None = None, claim: KeyClaim | None = None, *, there: Api | None = None
) -> PromotionPlan:
    """Plans the promotion of the live row. The caller needs rights to read. `target`: the target's namespace, if the surface has found it.

    `there`: the client of the target's cluster, if it is another. Raises Refusal if the target lacks something, and kube.errors.ApiError.
    """
    namespace, app, environment, crossing = request.namespace, request.app, request.environment, request.crossing
    there = there or api
    source = served(api, namespace, app)
    unread: tuple[str, ...] = ()
    if request.target_namespace is not None:
        unread = check_namespace(there, request.target_namespace, environment, _own_labels(api, namespace))
    target = target or request.target_namespace or find_target(api, namespace, environment, there=there)
    if target == namespace and crossing is None:
        raise Refusal(f"namespace {namespace} is {environment} itself: promote from another environment")
    bypass = request.bypass_reason is not None
    check_not_rejected_at_source(api, source, bypass=bypass)
    existing = _find(there, target, app)
    new_app = first_app(source.app, target, request.hostname) if existing is None else None
    deployed = existing or App.of(
        {**(new_app or {}), "status": {"guards": [each.as_json() for each in guards.of_namespace(there, target)]}}
    )
    if deployed.spec.workflow != source.pinned.workflow:
        raise Taken(f"App {app} in {target} runs workflow {deployed.spec.workflow}, not {source.pinned.workflow}: it is another App")
    _require_variables(there, target, deployed.spec, environment)
    if new_app is not None and source.app.spec.hostname is not None and request.hostname is None:
        # Checked last: nobody has to choose a hostname for an App that cannot be made for another reason.
        raise NeedsHostname(f"give a hostname: App {app} is new in {environment} and needs its own there", "hostname")
    if new_app is not None and request.hostname is not None:
        unread += check_hostname(there, target, app, request.hostname)
    flow, new_version = release_there(there, target, source, origin(request))
    rows = reads.open_rows(there, target, app, existing.meta.uid) if existing is not None else RowHistory(())
    _check_source(request, source, deployed, rows.live)
    # After a promotion whose row is missing or failed, the App exists without a live row to keep runtime and config from.
    request_there = _deploy_request(source, request, target, flow.version.version, is_first=rows.live is None)
    policy = source.app.status.image_policy if crossing is None else None
    deploy = previewed(there, plan_unseen(request_there, claim), deployed, rows, arriving=flow, policy=policy)
    rights = rights_warnings(there, target, *_created(new_version, new_app), verbs=deploy.verbs)
    warnings = rights + unread + deploy.preview.warnings + _warnings(source.app, deployed, existing is None)
    if crossing is not None:
        warnings += tuple(_of_crossing(crossing, source.pinned, deploy.then, rows.live is None))
    deploy = replace(deploy, preview=replace(deploy.preview, warnings=warnings).with_guards(_holding(request, deploy.preview, source.row)))
    return PromotionPlan(request, source, target, new_version, new_app, deploy)


def _holding(request: PromotionRequest, preview: Preview, source: Row) -> tuple[StandingGuard, ...]:
    """Lists the guards that would block the row, without soak times that the version has completed at its source."""
    if request.crossing is not None:
        return guards.not_of_crossings(preview.guards)
    return guards.yet_to_soak(preview.guards, _live_since(source), datetime.now(UTC))


def _live_since(row: Row) -> datetime:
    return parse_time(row.outcome.at) if row.outcome is not None else row.meta.created


def _check_source(request: PromotionRequest, source: Served, deployed: App, live: Row | None) -> None:
    """Raises Refusal if the target's guards accept no version from here."""
    bypass, crossing = request.bypass_reason is not None, request.crossing
    if crossing is None:
        guards.check_source(deployed.status.guards, request.namespace, source.pinned, live, bypass=bypass)
        return
    where = f"App {request.app} in {request.namespace} of cluster {crossing.cluster}"
    guards.check_crossing(
        deployed.status.guards,
        crossing.cluster,
        request.namespace,
        _live_since(source.row),
        datetime.now(UTC),
        where=where,
        bypass=bypass or guards.is_live(source.pinned, live),
    )


def _of_crossing(crossing: Crossing, here: Pinned, then: Pinned, is_first: bool) -> Iterator[str]:
    yield f"its source cannot be verified in {crossing.place}: the row says so, and names cluster {crossing.cluster}"
    if is_first and then.runtime != here.runtime:
        yield f"Runtime {here.runtime.name} differs there: {then.runtime.image} instead of {here.runtime.image}"


def perform_promotion(api: Api, plan: PromotionPlan, *, there: Api | None = None) -> Performed:
    """Makes what the target lacks, then the row.

    Raises NotAllowed before anything is made, Refusal, Taken if others make the same now, and kube.errors.ApiError.
    """
    there = there or api
    _require_rights(there, plan)
    try:
        if (claim := plan.deploy.claim) is not None:
            idempotency.note(api, plan.request.namespace, plan.request.app, claim)
        if plan.version is not None:
            _make(there, VERSIONS, plan.version)
        if plan.new_app is not None:
            _make(there, APPS, plan.new_app)
        return perform_deploy(there, plan.deploy)
    except errors.Invalid as error:
        raise refused(error) from None


def perform_confirmed_promotion(api: Api, plan: PromotionPlan, *, there: Api | None = None) -> Performed:
    """Promotes what the plan showed. Raises Changed if something else would be promoted now, and as planning and performing do."""
    now = plan_promotion(api, plan.request, plan.target_namespace, plan.deploy.claim, there=there)
    check({**shown(plan.preview), **_made(plan)}, {**shown(now.preview), **_made(now)})
    return perform_promotion(api, spelled_out_promotion(there or api, now), there=there)


def spelled_out_promotion(api: Api, plan: PromotionPlan) -> PromotionPlan:
    """Returns the plan with a row that names all that its preview shows. `api`: the target's."""
    return replace(plan, deploy=replace(plan.deploy, row=spelled_out(api, plan.deploy).row))


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
    """Plans and performs a promotion under an idempotency key, or returns the row that the same request made before.

    `target_of` finds the target's namespace, `places_of` those that may have the key's row. `perform` replaces `perform_promotion`.
    Raises as planning and performing do, and KeyReused.
    """
    # The row is searched before planning: over the row that it made, the same request would have another plan.
    tries_left = TRIES
    while True:
        if (row := idempotency.find_claimed_row(api, places_of(), claim)) is not None:
            return Performed(row, is_replayed=True)
        target = target_of()
        if (row := idempotency.find_claimed_row(api, [target], claim)) is not None:
            return Performed(row, is_replayed=True)
        planned = plan_promotion(api, request, target, claim)
        try:
            return perform(planned) if perform is not None else perform_promotion(api, planned)
        except (errors.AlreadyExists, Taken):
            # Another thread or replica performs the same request at this moment.
            tries_left -= 1
            if not tries_left:
                raise


def promotion_claim(
    request: PromotionRequest, app_uid: str, key: CallerKey | None, confirmed: Mapping[str, Any] | None = None
) -> KeyClaim | None:
    """Returns the claim of a promotion under an idempotency key, for any target; None without a key. `app_uid`: of the promoted App."""
    return KeyClaim.of(key, "promote", app_uid, request, request.app, confirmed) if key else None


def find_target(api: Api, namespace: str, environment: str, *, there: Api | None = None) -> str:
    """Finds an environment's namespace in the project of `namespace`. `there`: its cluster. Raises Refusal and kube.errors.ApiError."""
    labels = labels_of(requests.read_object(api, NAMESPACES, "", namespace))
    project = labels.get(names.PROJECT_LABEL)
    try:
        namespaces = requests.items(there or api, NAMESPACES, label=f"{names.PROJECT_LABEL}={project}") if project else []
    except errors.Denied:
        raise NotAllowed("you may not list namespaces: name the target's (--target-namespace)") from None
    return target_among({each["metadata"]["name"]: labels_of(each) for each in namespaces}, namespace, labels, environment)


def target_among(namespaces: Mapping[str, Mapping[str, str]], namespace: str, own: Mapping[str, str], environment: str) -> str:
    """Returns the name of the environment's namespace. `namespaces`: labels by name. `own`: the labels of `namespace`. Raises Refusal."""
    project = own.get(names.PROJECT_LABEL)
    if not project:
        raise Refusal(f"namespace {namespace} belongs to no project: label it, and the target, {names.PROJECT_LABEL}=<project>")
    environments = {
        name: labels.get(names.ENVIRONMENT_LABEL) for name, labels in namespaces.items() if labels.get(names.PROJECT_LABEL) == project
    }
    fitting = sorted(name for name, each in environments.items() if each == environment)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise Refusal(f"project {project} has several namespaces of environment {environment}, {', '.join(fitting)}: name the target's")
    others = sorted({each for each in environments.values() if each})
    existing = f"there are: {', '.join(others)}" if others else f"label its namespace {names.ENVIRONMENT_LABEL}={environment}"
    raise Unknown(f"project {project} has no environment {environment}; {existing}", "environment")


def origin(request: PromotionRequest) -> str:
    """Returns the origin that a copied version notes."""
    cluster = f"cluster {request.crossing.cluster}, " if request.crossing is not None else ""
    return f"{cluster}{request.namespace}/{request.app}"


def _own_labels(api: Api, namespace: str) -> Mapping[str, str] | None:
    try:
        return labels_of(requests.read_object(api, NAMESPACES, "", namespace))
    except errors.Denied:
        return None


def _find(api: Api, namespace: str, app: str) -> App | None:
    try:
        return reads.typed(App, requests.read_object(api, APPS, namespace, app))
    except errors.NotFound:
        return None


def first_app(source: App, target: str | None, hostname: str | None) -> Manifest:
    """Returns the App that a first promotion makes: the source's, with another hostname. Without `target` it has no namespace."""
    spec = {field: value for field, value in source.spec.as_json().items() if field not in NOT_COPIED and value != []}
    spec.get("access", {}).pop("origins", None)  # pages of one environment
    if hostname is not None:
        spec["hostname"] = hostname
    return {
        "apiVersion": API_VERSION,
        "kind": kinds.APP.kind,
        "metadata": {"name": source.meta.name, **({"namespace": target} if target else {})},
        "spec": spec,
    }


def _created(version: Manifest | None, new_app: Manifest | None) -> list[ApiResource]:
    """Lists the kinds of objects that a promotion makes."""
    return [ROWS, *([APPS] if new_app is not None else []), *([VERSIONS] if version is not None else [])]


def _require_rights(api: Api, plan: PromotionPlan) -> None:
    target = plan.target_namespace
    why = missing_rights(api, target, *_created(plan.version, plan.new_app), verbs=[DEPLOY])
    bypasses = [] if plan.request.bypass_reason is None else missing_rights(api, target, verbs=[BYPASS])
    if why or bypasses:
        roles = [*(["dynamiq-promoter"] if why else []), *(["dynamiq-bypass"] if bypasses else [])]
        ask = f"{'the role' if len(roles) == 1 else 'the roles'} {' and '.join(roles)}"
        raise NotAllowed(f"{' and '.join((*why, *bypasses))}: ask for {ask} there")


def _require_variables(api: Api, namespace: str, spec: AppSpec, environment: str) -> None:
    """Raises Lacks if a variable reads a missing Secret, ConfigMap or key: the pods could not start."""
    needs = []
    for variable in spec.variables:
        for resource, reference in ((SECRETS, variable.secret), (BY_KIND[CONFIG_MAP.kind], variable.config_map)):
            if reference is None:
                continue
            try:
                raw = requests.read_object(api, resource, namespace, reference.name)
            except errors.NotFound:
                raw = None
            except errors.Denied:
                continue  # unreadable for the caller: the row's condition will name a missing one
            if raw is None or reference.key not in (raw.get("data") or {}):
                needs.append(Need(resource.kind, reference.name, namespace, reference.key, variable.name, raw is not None))
    if needs:
        raise Lacks(environment, needs)


def _deploy_request(source: Served, request: PromotionRequest, target: str, version: str, *, is_first: bool) -> DeployRequest:
    pinned = source.pinned
    return DeployRequest(
        target,
        request.app,
        version=version,
        runtime=pinned.runtime.name if is_first else None,
        config=pinned.config.as_json() if is_first else None,
        message=request.message,
        promoted_from=claim_of(source, request.crossing.cluster if request.crossing is not None else None),
        bypass_reason=request.bypass_reason,
    )


def claim_of(source: Served, cluster: str | None) -> dict[str, str]:
    """Returns the `promotedFrom` of a row."""
    meta = source.app.meta
    claimed = {"namespace": meta.namespace, "app": meta.name, "row": source.row.name, "hash": source.pinned.workflow_hash}
    return {**claimed, **({"cluster": cluster} if cluster is not None else {})}


def values_taken(source: App) -> tuple[str, ...]:
    """Returns a sentence on the plain values that a first promotion copies; empty if there are none."""
    plain = [variable.name for variable in source.spec.variables if variable.value is not None]
    return (f"values of {', '.join(plain)} are taken from {source.meta.namespace}",) if plain else ()


def _warnings(source: App, target: App, first: bool) -> tuple[str, ...]:
    if first:
        return values_taken(source)
    target_names = {variable.name for variable in target.spec.variables}
    missing = [variable.name for variable in source.spec.variables if variable.name not in target_names]
    return (f"{target.meta.namespace} has no variable {', '.join(missing)}, which {source.meta.namespace} has",) if missing else ()


def _make(api: Api, resource: ApiResource, manifest: Manifest) -> None:
    try:
        requests.create(api, resource, manifest)
    except errors.AlreadyExists:
        meta = manifest["metadata"]
        existing = requests.read_object(api, resource, meta["namespace"], meta["name"])
        if resource is not VERSIONS or existing["spec"]["flow"] != manifest["spec"]["flow"]:
            raise Taken(
                f"{manifest['kind']} {meta['name']} was just created in {meta['namespace']} by somebody else: preview and promote again"
            ) from None

"""Promoting: what an App serves here is deployed to the App of the same name in another environment of the same project.

The version travels by its flow's hash, and the target keeps its own config, hostname, keys and variables. All of it goes
out in the name of the caller, who needs the rights in both namespaces; what is lacking is said before anything is made.
The target may be in another cluster: then each is asked through a client of its own, and neither knows of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dynamiq_operator.actions import guards, history, idempotency
from dynamiq_operator.actions.confirmed import check, shown, spelled_out
from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, perform_deploy, plan_unseen, previewed
from dynamiq_operator.actions.idempotency import Key, KeyClaim, Performed
from dynamiq_operator.actions.promotion_target import check_hostname, check_namespace, labels_of
from dynamiq_operator.actions.refusals import Lacks, Need, NotAllowed, Refusal, Taken, Unknown, refused
from dynamiq_operator.actions.rights import BYPASS, DEPLOY, lacking
from dynamiq_operator.actions.travelling import Served, check_not_rejected_at_source, release_there, served
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
NOT_COPIED = ("hostname", "exposure", "deploy", "suspend", "triggers", "settingsChangedBy")
"""What a first promotion does not take along: it belongs to one environment."""


class NeedsHostname(Refusal):
    """A first promotion of an App with a hostname has to be given the one in the target."""


@dataclass(frozen=True)
class Crossing:
    """That the target is in another cluster. `cluster`: how the row names the one that it comes from; `place`: how messages name the other."""

    cluster: str
    place: str


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
    crossing: Crossing | None = None


@dataclass(frozen=True)
class PromotionPlan:
    """A promotion that has not been done. `version` and `new_app`: what has to be made before the row, None where it is there."""

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
        """Returns the preview of the row, with what is made before it."""
        return {**self.preview.as_json(), **_made(self), "hostname": self.request.hostname if self.new_app is not None else None}

    def lines(self) -> list[str]:
        """The promotion as text."""
        crossing = self.request.crossing
        said = [f"promote {self.source.title} to {self.request.environment}{f' of {crossing.place}' if crossing is not None else ''}"]
        if self.new_app is not None:
            hostname = f", with hostname {self.request.hostname}" if self.request.hostname is not None else ""
            said.append(f"  App {self.request.app} is made in {self.target_namespace}{hostname}")
        if self.version is not None:
            said.append(f"  WorkflowVersion {self.version['metadata']['name']} is put into {self.target_namespace}")
        return said + self.preview.lines()


def plan_promotion(
    api: Api, request: PromotionRequest, target: str | None = None, claim: KeyClaim | None = None, *, there: Api | None = None
) -> PromotionPlan:
    """What promoting the live row would do, which takes the right to read. `target`: the target's namespace where a surface found it in its own
    way. `there`: the other cluster, where the request crosses into one.

    Raises Refusal where the target lacks something, and kube.errors.ApiError.
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
    found = _find(there, target, app)
    new_app = first_app(source.app, target, request.hostname) if found is None else None
    deployed = found or App.of({**(new_app or {}), "status": {"guards": [each.as_json() for each in guards.of_namespace(there, target)]}})
    if deployed.spec.workflow != source.pinned.workflow:
        raise Taken(f"App {app} in {target} runs workflow {deployed.spec.workflow}, not {source.pinned.workflow}: it is another App")
    _require_variables(there, target, deployed.spec, environment)
    if new_app is not None and source.app.spec.hostname is not None and request.hostname is None:
        # Only now: nobody chooses a hostname for an App that could not be made yet.
        raise NeedsHostname(f"App {app} is new in {environment} and needs a hostname of its own there: give one", "hostname")
    if new_app is not None and request.hostname is not None:
        unread += check_hostname(there, target, app, request.hostname)
    flow, made = release_there(there, target, source, origin(request))
    rows = history.open_rows(there, target, app, found.meta.uid) if found is not None else History(())
    _check_source(request, source, deployed, rows.live)
    # An App may be there from a promotion that made no row, or whose row failed: what it would keep is what is live, and nothing is.
    asked = _deploy_request(source, request, target, flow.version.version, is_first=rows.live is None)
    policy = source.app.status.image_policy if crossing is None else None
    deploy = previewed(there, plan_unseen(asked, claim), deployed, rows, arriving=flow, policy=policy)
    rights = tuple(f"you could not do this: {why}" for why in lacking(there, target, *_created(made, new_app), verbs=deploy.verbs))
    warnings = rights + unread + deploy.preview.warnings + _warnings(source.app, deployed, found is None)
    if crossing is not None:
        warnings += tuple(_of_crossing(crossing, source.pinned, deploy.then, rows.live is None))
    deploy = replace(deploy, preview=replace(deploy.preview, guards=_holding(request, deploy.preview, source.row), warnings=warnings))
    return PromotionPlan(request, source, target, made, new_app, deploy)


def _holding(request: PromotionRequest, preview: Preview, source: Record) -> tuple[StandingGuard, ...]:
    """What would hold the row: a soak time that the version has behind it at its source would not."""
    if request.crossing is not None:
        return guards.not_of_crossings(preview.guards)
    return guards.yet_to_soak(preview.guards, _live_since(source), datetime.now(UTC))


def _live_since(row: Record) -> datetime:
    return parse_time(row.outcome.at) if row.outcome is not None else row.meta.created


def _check_source(request: PromotionRequest, source: Served, deployed: App, live: Record | None) -> None:
    """Raises Refusal where the target's policies take no version from here."""
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
    yield f"nobody in {crossing.place} can verify where this comes from: the row says so, and names cluster {crossing.cluster}"
    if is_first and then.runtime != here.runtime:
        yield f"Runtime {here.runtime.name} is another one there: {then.runtime.image} in place of {here.runtime.image}"


def perform_promotion(api: Api, plan: PromotionPlan, *, there: Api | None = None) -> Performed:
    """Makes what the target lacks, then the row. Raises NotAllowed before anything is made, Refusal, Taken where others make the same now, and
    kube.errors.ApiError.
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
    """Promotes what the plan showed. Raises Changed where that is no longer what would be promoted, and as planning and performing do."""
    now = plan_promotion(api, plan.request, plan.target_namespace, plan.deploy.claim, there=there)
    check({**shown(plan.preview), **_made(plan)}, {**shown(now.preview), **_made(now)})
    return perform_promotion(api, spelled_out_promotion(there or api, now), there=there)


def spelled_out_promotion(api: Api, plan: PromotionPlan) -> PromotionPlan:
    """The plan whose record names all that its preview shows. `api`: of the target."""
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
        planned = plan_promotion(api, request, target, claim)
        try:
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


def find_target(api: Api, namespace: str, environment: str, *, there: Api | None = None) -> str:
    """The namespace of an environment in the project of `namespace`; `there`: in another cluster. Raises Refusal saying which labels are missing."""
    labels = labels_of(requests.get(api, NAMESPACES, "", namespace))
    project = labels.get(names.PROJECT_LABEL)
    try:
        found = requests.items(there or api, NAMESPACES, label=f"{names.PROJECT_LABEL}={project}") if project else []
    except errors.Denied:
        raise NotAllowed("you may not list namespaces: name the target's (--target-namespace)") from None
    return target_among({each["metadata"]["name"]: labels_of(each) for each in found}, namespace, labels, environment)


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


def origin(request: PromotionRequest) -> str:
    """Where a version that is brought along came from."""
    cluster = f"cluster {request.crossing.cluster}, " if request.crossing is not None else ""
    return f"{cluster}{request.namespace}/{request.app}"


def _own_labels(api: Api, namespace: str) -> Mapping[str, str] | None:
    try:
        return labels_of(requests.get(api, NAMESPACES, "", namespace))
    except errors.Denied:
        return None


def _find(api: Api, namespace: str, app: str) -> App | None:
    try:
        return history.typed(App, requests.get(api, APPS, namespace, app))
    except errors.NotFound:
        return None


def first_app(source: App, target: str | None, hostname: str | None) -> Manifest:
    """The App that a first promotion makes: as the source, under its own hostname. Without `target` whoever applies it names the namespace."""
    spec = {field: value for field, value in source.spec.as_json().items() if field not in NOT_COPIED and value != []}
    if hostname is not None:
        spec["hostname"] = hostname
    return {
        "apiVersion": API_VERSION,
        "kind": kinds.APP.kind,
        "metadata": {"name": source.meta.name, **({"namespace": target} if target else {})},
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
    """What a row says of where it comes from."""
    meta = source.app.meta
    claimed = {"namespace": meta.namespace, "app": meta.name, "row": source.row.name, "hash": source.pinned.workflow_hash}
    return {**claimed, **({"cluster": cluster} if cluster is not None else {})}


def values_taken(source: App) -> tuple[str, ...]:
    """Which plain values a first promotion takes along, in a sentence; empty where there are none."""
    plain = [variable.name for variable in source.spec.variables if variable.value is not None]
    return (f"values of {', '.join(plain)} are taken from {source.meta.namespace}",) if plain else ()


def _warnings(source: App, target: App, first: bool) -> tuple[str, ...]:
    if first:
        return values_taken(source)
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

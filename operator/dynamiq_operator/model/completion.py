"""Completes a row. Each missing field comes from the live row, else the newest release or Runtime, else the defaults.

A rollback takes version and runtime from the row that it restores (`_restored`), and the config from the live row.

The result is one of three: the pins, what is missing (the row waits), or why it can never be deployed (the row fails).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from dynamiq_operator.model import digests
from dynamiq_operator.model.gates import GateState
from dynamiq_operator.model.guards import RowOf
from dynamiq_operator.model.manifests import ROW_KIND, RUNTIME_KIND, VERSION_KIND
from dynamiq_operator.model.objects import App, Row, Runtime, Version, format_time
from dynamiq_operator.model.row import (
    AT_LEAST_ONE,
    IN_ORDER,
    SERVERLESS_FIELDS,
    Autoscaling,
    Config,
    ConfigType,
    Pinned,
    Promoted,
    Result,
    Source,
)
from dynamiq_operator.model.runtime import PinnedRuntime, ResourceList, Resources
from dynamiq_operator.model.settings import ImagePolicy, Settings

DEFAULT_AUTOSCALING = Autoscaling(min_replicas=1, max_replicas=2, target_cpu=80)
DEFAULT_SLEEP = Config(idle_seconds=300, max_replicas=10, hold_seconds=120)
"""Defaults of a serverless App: idle time before sleep, most pods while awake, and the time that a call waits for it to wake."""
NO_GATE = "a serverless App sleeps behind dynamiq-gate, which is not installed in this cluster: kubectl apply -k manifests/gate, or use type server"
UNREAD_GATE = "whether dynamiq-gate, behind which a serverless App sleeps, is installed cannot be read: it waits for that"
LIMITED_CALLERS = (
    "spec.network.ingressFrom of the App and a serverless config exclude each other: while it sleeps the gate calls it for everybody, "
    "whom a NetworkPolicy cannot tell apart; remove ingressFrom, or use type server"
)
DEFAULT_REQUESTS = ResourceList(cpu="100m", memory="256Mi")


@dataclass(frozen=True)
class Missing:
    """Something that the row waits for; it may still appear."""

    message: str


@dataclass(frozen=True)
class NotReadable(Missing):
    """Something that exists and cannot be read: the row waits for it without a limit."""


@dataclass(frozen=True)
class Refused:
    """The reason why the row can never be deployed as it is."""

    message: str


@dataclass(frozen=True)
class Known:
    """The inputs of a completion. `rows`: every row that `restores` names. `flows`: hashes of the flows that exist."""

    app: App | None
    live: Row | None
    versions: Sequence[Version]
    runtimes: Mapping[str, Runtime]
    rows: Mapping[str, Row]
    flows: frozenset[str]
    settings: Settings
    authors_stamped_since: datetime | None = None
    promotions: Mapping[str, Row] = field(default_factory=dict)
    """The source row of each promotion that was found, by the name of the promoted row."""
    gate: GateState = GateState.READY
    """The state that decides if serverless Apps can sleep. Surfaces, whose callers may not read it, assume READY."""
    unknown: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Why an existing object cannot be read, by kind and name.

    The objects: a release, a Runtime, or the source of a promotion. The last has the kind and name of the promoted row.
    """


@dataclass(frozen=True)
class _Release:
    workflow: str
    version: str
    flow_hash: str
    description: str | None
    restores: RowOf | None = None
    ran_on: PinnedRuntime | None = None
    """The runtime of the row that is restored."""


def complete(
    row: Row, known: Known, *, sequence: int, source: Source, previous_digest: str | None, now: datetime
) -> Pinned | Missing | Refused:
    """Returns the pins of a row that has none, or why there are none."""
    if known.app is None:
        return Missing(f"App {row.spec.app} does not exist in namespace {row.meta.namespace}")
    if (why := known.unknown.get((ROW_KIND, row.name))) is not None:
        return NotReadable(why)
    live = known.live.pinned if known.live else None
    release = _release(row, known.app, known)
    if not isinstance(release, _Release):
        return release
    runtime = _runtime(row, known, live, release.ran_on)
    if not isinstance(runtime, PinnedRuntime):
        return runtime
    if (mismatch := _other_flow(row, release)) is not None:
        return mismatch
    config = complete_config(row.spec.config, live.config if live else None, runtime)
    if isinstance(config, Refused):
        return config
    if config.type is ConfigType.SERVERLESS and (hindrance := _cannot_sleep(known.app, live, known.gate)) is not None:
        return hindrance
    pins = Pinned(
        created_at=format_time(now),
        workflow=release.workflow,
        workflow_version=release.version,
        workflow_hash=release.flow_hash,
        description=release.description,
        runtime=runtime,
        config=config,
        restores=release.restores,
        promoted_from=_promoted(row, release, known.promotions.get(row.name)),
        created_by_verified=known.authors_stamped_since is not None and known.authors_stamped_since < row.meta.created,
        source=source,
        previous_digest=previous_digest,
        digest=digests.NO_DIGEST,
    )
    return sealed(row, pins, sequence)


def sealed(row: Row, pins: Pinned, sequence: int) -> Pinned:
    """Returns the pins with their digest in this row, under this sequence."""
    spec = {**row.raw_spec, "sequence": sequence, "pinned": pins.as_json()}
    return pins.model_copy(update={"digest": digests.row_digest(spec)})


def base_lost(row: Row, pinned: Pinned, live: Row | None) -> bool:
    """Returns True if a row took values from the row that was live at its pinning, and would get other ones from `live`."""
    base, now = pinned.base, live.pinned if live is not None else None
    if (base is None and live is None) or (base is not None and live is not None and base.row == live.name):
        return False
    if row.spec.runtime is None and row.spec.restores is None and now is not None and now.runtime != pinned.runtime:
        return True
    return complete_config(row.spec.config, now.config if now is not None else None, pinned.runtime) != pinned.config


def _release(row: Row, app: App, known: Known) -> _Release | Missing | Refused:
    if row.spec.restores is not None:
        return _restored(row, known)
    releases = [version for version in known.versions if version.workflow == app.spec.workflow]
    requested = row.spec.workflow_version
    unknown = [why for (kind, name), why in known.unknown.items() if kind == VERSION_KIND and _may_be(name, app, requested)]
    if unknown:
        return NotReadable(unknown[0])
    if requested is None:
        if not releases:
            return Missing(f"workflow {app.spec.workflow} has no released version yet")
        release = max(releases, key=lambda version: version.number)
    else:
        named = [version for version in releases if version.version == requested]
        if not named:
            return Missing(f"WorkflowVersion {app.spec.workflow}-{requested} does not exist in namespace {row.meta.namespace}")
        release = named[0]
    return _Release(release.workflow, release.version, release.flow_hash, release.description)


def _may_be(name: str, app: App, requested: str | None) -> bool:
    """Returns True if a WorkflowVersion of this name may be the requested release: the named one, or any of the workflow if none is named."""
    return name == f"{app.spec.workflow}-{requested}" or (requested is None and name.startswith(f"{app.spec.workflow}-"))


def _restored(row: Row, known: Known) -> _Release | Missing | Refused:
    restored = known.rows.get(row.spec.restores or "")
    if restored is None:
        return Missing(f"row {row.spec.restores}, which this one restores, does not exist in namespace {row.meta.namespace}")
    if restored.spec.app != row.spec.app:
        return Refused(f"row {restored.name} is of App {restored.spec.app}: a row can restore only a row of its own App")
    why_not = why_not_restorable(restored)
    if restored.pinned is None or why_not is not None:
        return Refused(why_not or f"row {restored.name} has no pins")
    if restored.pinned.workflow_hash not in known.flows:
        return Missing(missing_flow(restored.name, restored.pinned))
    return _Release(
        restored.pinned.workflow,
        restored.pinned.workflow_version,
        restored.pinned.workflow_hash,
        restored.pinned.description,
        RowOf(row=restored.name, sequence=restored.sequence),
        restored.pinned.runtime,
    )


def missing_flow(row: str, pinned: Pinned) -> str:
    """Returns the message for a flow that is stored nowhere any more."""
    return f"the flow of row {row} ({pinned.workflow_hash[:19]}…) is in no ConfigMap and no WorkflowVersion"


def why_not_restorable(row: Row) -> str | None:
    """Returns why a row cannot be restored, as a sentence; None if it can: only a row that went live can."""
    if row.outcome is None:
        state = "has not ended yet"
    elif row.outcome.result is Result.SUCCEEDED and row.pinned is not None:
        return None
    elif row.outcome.result is Result.OVERTAKEN:
        state = "was overtaken before it went live"
    else:
        state = "failed"
    return f"row {row.name} {state}: only a row that went live can be restored"


def _promoted(row: Row, release: _Release, source: Row | None) -> Promoted | None:
    """Returns the result for a promotion; None for other rows."""
    # Never what differs: the author of a row may not be allowed to read the row that it names.
    claimed = row.spec.promoted_from
    if claimed is None:
        return None
    ran = source.pinned if source is not None and source.spec.app == claimed.app else None
    if source is None or ran is None or claimed.cluster is not None or not claimed.hash == ran.workflow_hash == release.flow_hash:
        return Promoted(verified=False)
    return Promoted(verified=True, sequence=source.sequence)


def _other_flow(row: Row, release: _Release) -> Refused | None:
    """Returns why a row from another cluster cannot run: the version's name has another flow here than the promoted one."""
    claimed = row.spec.promoted_from
    if claimed is None or claimed.cluster is None or claimed.hash == release.flow_hash:
        return None
    return Refused(
        f"{release.workflow} {release.version} has another flow here than the one that was promoted ({claimed.hash[:19]}…): "
        "promote it under another version"
    )


def newest_runtime(runtimes: Iterable[Runtime]) -> Runtime | None:
    """Returns the Runtime of an App whose first row names none: the newest that is not deprecated."""
    usable = [runtime for runtime in runtimes if not runtime.spec.deprecated]
    return max(usable, key=lambda runtime: runtime.age, default=None)


def _runtime(row: Row, known: Known, live: Pinned | None, ran_on: PinnedRuntime | None) -> PinnedRuntime | Missing | Refused:
    """Returns the runtime that the row names, else that of the row it restores, else the live row's, else the newest.

    A name of the kept runtime means that runtime, even if the Runtime no longer exists: a Runtime never changes.
    """
    kept = ran_on or (live.runtime if live is not None else None)
    requested = row.spec.runtime
    named = known.runtimes.get(requested) if requested is not None else None
    if kept is not None and (requested is None or (named is None and requested == kept.name)):
        runtime = kept
    elif requested is None:
        newest = newest_runtime(known.runtimes.values())
        if newest is None:
            return Missing("there is no Runtime that is not deprecated")
        runtime = newest.spec.pins(newest.meta.name)
    elif (why := known.unknown.get((RUNTIME_KIND, requested))) is not None:
        return NotReadable(why)
    elif named is None:
        return Missing(f"Runtime {requested} does not exist")
    else:
        runtime = named.spec.pins(named.meta.name)
    # A running image is not refused: otherwise a later policy would keep an App from being scaled.
    why_not = why_no_image(runtime, known.settings.image_policy, live.runtime if live is not None else None)
    return Refused(why_not) if why_not is not None else runtime


def why_no_image(runtime: PinnedRuntime, policy: ImagePolicy | None, live: PinnedRuntime | None) -> str | None:
    """Returns why the policy refuses a runtime's image; None if it does not. `live`: the running image, which no policy refuses."""
    if policy is not ImagePolicy.DIGEST or is_by_digest(runtime) or runtime == live:
        return None
    return f"Runtime {runtime.name} names its image by a tag ({runtime.image}), but this cluster requires a digest"


def is_by_digest(runtime: PinnedRuntime) -> bool:
    """Returns True if a runtime's image is named by a digest."""
    return "@sha256:" in runtime.image


def complete_config(requested: Config | None, live: Config | None, runtime: PinnedRuntime) -> Config | Refused:
    """Returns the whole config: each field as requested, else the live row's, else the default.

    Fields of one type are kept only from a live row of that type. Compute is kept across types: a change of the type restarts nothing.
    """
    requested = requested or Config()
    kind = requested.type or (live.type if live else None) or ConfigType.SERVER
    kept = live if live is not None and live.type is kind else Config()
    scaling = _server_scaling(requested, kept) if kind is ConfigType.SERVER else _sleep(requested, kept)
    if isinstance(scaling, Refused):
        return scaling
    runtime_resources, live_resources = runtime.resources or Resources(), (live.resources if live is not None else None) or Resources()
    requested_resources = requested.resources or Resources()
    requests = _merged(DEFAULT_REQUESTS, runtime_resources.requests, live_resources.requests, requested_resources.requests)
    limits = _merged(ResourceList(), runtime_resources.limits, live_resources.limits, requested_resources.limits)
    resources = Resources(requests=requests, limits=limits if limits.as_json() else None)
    return scaling.model_copy(update={"type": kind, "resources": resources})


def _server_scaling(requested: Config, kept: Config) -> Config | Refused:
    misplaced = [field for field in SERVERLESS_FIELDS if field in requested.as_json()]
    if misplaced:
        return Refused(f"the config is of type server, which has no {misplaced[0]}: remove it, or give type serverless with it")
    autoscaling = _merged(DEFAULT_AUTOSCALING, kept.autoscaling, requested.autoscaling)
    if autoscaling.min_replicas == 0:
        return Refused(AT_LEAST_ONE)
    if (autoscaling.min_replicas or 0) > (autoscaling.max_replicas or 0):
        if requested.autoscaling and requested.autoscaling.min_replicas and requested.autoscaling.max_replicas:
            return Refused(IN_ORDER)
        return Refused(
            f"minReplicas {autoscaling.min_replicas} is above maxReplicas {autoscaling.max_replicas}: what the row leaves out is kept from "
            "the live row; give both"
        )
    return Config(autoscaling=autoscaling)


def _sleep(requested: Config, kept: Config) -> Config | Refused:
    """Returns the limits of a serverless App and when it sleeps."""
    if requested.autoscaling is not None:
        return Refused("the live config is serverless, which has no autoscaling: use maxReplicas, or give type server with it")
    own = {"idle_seconds", "max_replicas", "hold_seconds"}
    return DEFAULT_SLEEP.model_copy(
        update=kept.model_dump(include=own, exclude_none=True) | requested.model_dump(include=own, exclude_none=True)
    )


def _cannot_sleep(app: App, live: Pinned | None, gate: GateState) -> Refused | NotReadable | None:
    """Returns why no row of this App can be serverless; None if one can."""
    if app.spec.network is not None and app.spec.network.ingress_from is not None:
        return Refused(LIMITED_CALLERS)
    # An App that is serverless already stays so without a gate. It then stays awake.
    if live is not None and live.config.type is ConfigType.SERVERLESS:
        return None
    if gate is GateState.ABSENT:
        return Refused(NO_GATE)
    return NotReadable(UNREAD_GATE) if gate is GateState.UNKNOWN else None


_Part = TypeVar("_Part", Autoscaling, ResourceList)


def _merged(first: _Part, *later: _Part | None) -> _Part:
    merged = first
    for part in later:
        if part is not None:
            merged = merged.model_copy(update=part.model_dump(exclude_none=True))
    return merged

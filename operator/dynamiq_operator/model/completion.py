"""How a row is completed: what it leaves out is taken from the live row, else from the newest release or Runtime, else from the defaults.

The result is the pins, or what is missing (the row waits for it), or why it can never be deployed (the row fails).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from dynamiq_operator.model import digests
from dynamiq_operator.model.gates import GateState
from dynamiq_operator.model.kinds import RECORD, RUNTIME, WORKFLOW_VERSION
from dynamiq_operator.model.names import natural
from dynamiq_operator.model.objects import App, Record, Runtime, Version, format_time
from dynamiq_operator.model.record import (
    AT_LEAST_ONE,
    IN_ORDER,
    SERVERLESS_FIELDS,
    Autoscaling,
    Config,
    ConfigType,
    Pinned,
    Promoted,
    Restored,
    Result,
    Source,
)
from dynamiq_operator.model.runtime import PinnedRuntime, ResourceList, Resources
from dynamiq_operator.model.settings import ImagePolicy, Settings

DEFAULT_AUTOSCALING = Autoscaling(min_replicas=1, max_replicas=2, target_cpu=80)
DEFAULT_SLEEP = Config(idle_seconds=300, max_replicas=10, hold_seconds=120)
"""Of a serverless App: when it sleeps, how many pods it has at most while it is awake, and how long a call waits for it to wake."""
NO_GATE = "a serverless App sleeps behind dynamiq-gate, which is not installed in this cluster: kubectl apply -k manifests/gate, or use type server"
UNREAD_GATE = "whether dynamiq-gate, behind which a serverless App sleeps, is installed cannot be read: it waits for that"
LIMITED_CALLERS = (
    "spec.network.ingressFrom of the App and a serverless config exclude each other: while it sleeps the gate calls it for everybody, "
    "whom a NetworkPolicy cannot tell apart; remove ingressFrom, or use type server"
)
DEFAULT_REQUESTS = ResourceList(cpu="100m", memory="256Mi")


@dataclass(frozen=True)
class Missing:
    """Something the row waits for; it may still arrive."""

    message: str


@dataclass(frozen=True)
class Unknown(Missing):
    """Something that is there and cannot be read: the row waits for it without an end."""


@dataclass(frozen=True)
class Refused:
    """The row can never be deployed as it is."""

    message: str


@dataclass(frozen=True)
class Known:
    """What a row is completed from. `rows`: every row that `restores` names. `flows`: hashes of the flows that exist."""

    app: App | None
    live: Record | None
    versions: Sequence[Version]
    runtimes: Mapping[str, Runtime]
    rows: Mapping[str, Record]
    flows: frozenset[str]
    settings: Settings
    authors_stamped_since: datetime | None = None
    promotions: Mapping[str, Record] = field(default_factory=dict)
    """By the name of a row: the row that it was promoted from, where that one was found."""
    gate: GateState = GateState.READY
    """Whether serverless Apps can sleep; a surface, whose callers may not look, takes the gate for there."""
    unknown: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By kind and name of what is there and cannot be read, why: a release, a Runtime, the source of a promotion by the row that names it."""


@dataclass(frozen=True)
class _Release:
    workflow: str
    version: str
    flow_hash: str
    description: str | None
    restores: Restored | None = None
    ran_on: PinnedRuntime | None = None
    """The runtime of the row that is restored."""


_NO_DIGEST = "sha256:" + "0" * 64
"""Stands in the pins until their digest is taken, which is over the row without it: pins are not valid without a digest."""


def complete(
    record: Record, known: Known, *, sequence: int, source: Source, previous_digest: str | None, now: datetime
) -> Pinned | Missing | Refused:
    """The pins of a row that has none."""
    if known.app is None:
        return Missing(f"App {record.spec.app} does not exist in namespace {record.meta.namespace}")
    if (why := known.unknown.get((RECORD.kind, record.name))) is not None:
        return Unknown(why)
    live = known.live.pinned if known.live else None
    release = _release(record, known.app, known)
    if not isinstance(release, _Release):
        return release
    runtime = _runtime(record, known, live, release.ran_on)
    if not isinstance(runtime, PinnedRuntime):
        return runtime
    if (other := _other_flow(record, release)) is not None:
        return other
    config = complete_config(record.spec.config, live.config if live else None, runtime)
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
        promoted_from=_promoted(record, release, known.promotions.get(record.name)),
        created_by_verified=known.authors_stamped_since is not None and known.authors_stamped_since < record.meta.created,
        source=source,
        previous_digest=previous_digest,
        digest=_NO_DIGEST,
    )
    return sealed(record, pins, sequence)


def sealed(record: Record, pins: Pinned, sequence: int) -> Pinned:
    """The pins with the digest that goes with them in this row, under this sequence."""
    spec = {**record.raw_spec, "sequence": sequence, "pinned": pins.as_json()}
    return pins.model_copy(update={"digest": digests.row_digest(spec)})


def base_lost(record: Record, pinned: Pinned, live: Record | None) -> bool:
    """Whether what a row left out, and took from the row that was live when it was pinned, would be taken otherwise from the one that is live now."""
    base, now = pinned.base, live.pinned if live is not None else None
    if (base is None and live is None) or (base is not None and live is not None and base.row == live.name):
        return False
    if record.spec.runtime is None and record.spec.restores is None and now is not None and now.runtime != pinned.runtime:
        return True
    return complete_config(record.spec.config, now.config if now is not None else None, pinned.runtime) != pinned.config


def _release(record: Record, app: App, known: Known) -> _Release | Missing | Refused:
    if record.spec.restores is not None:
        return _restored(record, known)
    releases = [version for version in known.versions if version.workflow == app.spec.workflow]
    requested = record.spec.workflow_version
    unknown = [why for (kind, name), why in known.unknown.items() if kind == WORKFLOW_VERSION.kind and _may_be(name, app, requested)]
    if unknown:
        return Unknown(unknown[0])
    if requested is None:
        if not releases:
            return Missing(f"workflow {app.spec.workflow} has no released version yet")
        found = max(releases, key=lambda version: version.number)
    else:
        named = [version for version in releases if version.version == requested]
        if not named:
            return Missing(f"WorkflowVersion {app.spec.workflow}-{requested} does not exist in namespace {record.meta.namespace}")
        found = named[0]
    return _Release(found.workflow, found.version, found.flow_hash, found.description)


def _may_be(name: str, app: App, requested: str | None) -> bool:
    """Whether a WorkflowVersion of this name may be the release that is asked for: any of the workflow's may be the newest."""
    return name == f"{app.spec.workflow}-{requested}" or (requested is None and name.startswith(f"{app.spec.workflow}-"))


def _restored(record: Record, known: Known) -> _Release | Missing | Refused:
    row = known.rows.get(record.spec.restores or "")
    if row is None:
        return Missing(f"row {record.spec.restores}, which this one restores, does not exist in namespace {record.meta.namespace}")
    if row.spec.app != record.spec.app:
        return Refused(f"row {row.name} is of App {row.spec.app}: a row can restore only a row of its own App")
    why_not = why_not_restorable(row)
    if row.pinned is None or why_not is not None:
        return Refused(why_not or f"row {row.name} has no pins")
    if row.pinned.workflow_hash not in known.flows:
        return Missing(missing_flow(row.name, row.pinned))
    return _Release(
        row.pinned.workflow,
        row.pinned.workflow_version,
        row.pinned.workflow_hash,
        row.pinned.description,
        Restored(row=row.name, sequence=row.sequence),
        row.pinned.runtime,
    )


def missing_flow(row: str, pinned: Pinned) -> str:
    """That nothing holds the flow that a row pinned."""
    return f"the flow of row {row} ({pinned.workflow_hash[:19]}…) is in no ConfigMap and no WorkflowVersion"


def why_not_restorable(row: Record) -> str | None:
    """Why a row cannot be restored, in a sentence; None for one that went live, and no other can be."""
    if row.outcome is None:
        state = "has not ended yet"
    elif row.outcome.result is Result.SUCCEEDED and row.pinned is not None:
        return None
    elif row.outcome.result is Result.OVERTAKEN:
        state = "was overtaken before it went live"
    else:
        state = "failed"
    return f"row {row.name} {state}: only a row that went live can be restored"


def _promoted(record: Record, release: _Release, source: Record | None) -> Promoted | None:
    """It does not say what differs: the author of a row may not be allowed to read the row that it names."""
    claimed = record.spec.promoted_from
    if claimed is None:
        return None
    ran = source.pinned if source is not None and source.spec.app == claimed.app else None
    if source is None or ran is None or claimed.cluster is not None or not claimed.hash == ran.workflow_hash == release.flow_hash:
        return Promoted(verified=False)
    return Promoted(verified=True, sequence=source.sequence)


def _other_flow(record: Record, release: _Release) -> Refused | None:
    """Why a row from another cluster cannot run: what has the version's name here is not what was promoted, and nobody else can tell."""
    claimed = record.spec.promoted_from
    if claimed is None or claimed.cluster is None or claimed.hash == release.flow_hash:
        return None
    return Refused(
        f"{release.workflow} {release.version} has another flow here than the one that was promoted ({claimed.hash[:19]}…): "
        "bring that one along under another version"
    )


def newest_runtime(runtimes: Iterable[Runtime]) -> Runtime | None:
    """The Runtime of an App whose first row names none: the newest that is not deprecated."""
    usable = [runtime for runtime in runtimes if not runtime.spec.deprecated]
    return max(usable, key=lambda runtime: (runtime.meta.created, natural(runtime.spec.version)), default=None)


def _runtime(record: Record, known: Known, live: Pinned | None, ran_on: PinnedRuntime | None) -> PinnedRuntime | Missing | Refused:
    """The runtime that the row names, else that of the row that it restores, else the live row's, else the newest.

    A name of what is kept anyway means just that, though the Runtime is gone by now: it never changes while it is there.
    """
    kept = ran_on or (live.runtime if live is not None else None)
    requested = record.spec.runtime
    named = known.runtimes.get(requested) if requested is not None else None
    if kept is not None and (requested is None or (named is None and requested == kept.name)):
        found = kept
    elif requested is None:
        newest = newest_runtime(known.runtimes.values())
        if newest is None:
            return Missing("there is no Runtime that is not deprecated")
        found = newest.spec.pins(newest.meta.name)
    elif (why := known.unknown.get((RUNTIME.kind, requested))) is not None:
        return Unknown(why)
    elif named is None:
        return Missing(f"Runtime {requested} does not exist")
    else:
        found = named.spec.pins(named.meta.name)
    # What runs already is not refused: a policy that came later would keep an App from being scaled.
    why_not = why_no_image(found, known.settings.image_policy, live.runtime if live is not None else None)
    return Refused(why_not) if why_not is not None else found


def why_no_image(runtime: PinnedRuntime, policy: ImagePolicy | None, live: PinnedRuntime | None) -> str | None:
    """Why the policy refuses a runtime's image; None where it does not. `live`: what runs, which no policy refuses."""
    if policy is not ImagePolicy.DIGEST or is_by_digest(runtime) or runtime == live:
        return None
    return f"Runtime {runtime.name} names its image by a tag ({runtime.image}), and this cluster's policy asks for a digest"


def is_by_digest(runtime: PinnedRuntime) -> bool:
    """Whether a runtime's image is named by what is in it."""
    return "@sha256:" in runtime.image


def complete_config(requested: Config | None, live: Config | None, runtime: PinnedRuntime) -> Config | Refused:
    """The whole config: each field as requested, else as of the live row, else the default.

    What one type alone has is kept from a live row of that type; compute is kept whatever the type is, so that a change of it restarts nothing.
    """
    requested = requested or Config()
    kind = requested.type or (live.type if live else None) or ConfigType.SERVER
    kept = live if live is not None and live.type is kind else Config()
    scaling = _server_scaling(requested, kept) if kind is ConfigType.SERVER else _sleep(requested, kept)
    if isinstance(scaling, Refused):
        return scaling
    given, running = runtime.resources or Resources(), (live.resources if live is not None else None) or Resources()
    asked = requested.resources or Resources()
    requests = _merged(DEFAULT_REQUESTS, given.requests, running.requests, asked.requests)
    limits = _merged(ResourceList(), given.limits, running.limits, asked.limits)
    resources = Resources(requests=requests, limits=limits if limits.as_json() else None)
    return scaling.model_copy(update={"type": kind, "resources": resources})


def _server_scaling(requested: Config, kept: Config) -> Config | Refused:
    """The autoscaling of a server."""
    asked = [field for field in SERVERLESS_FIELDS if field in requested.as_json()]
    if asked:
        return Refused(f"the config is of type server, which has no {asked[0]}: remove it, or give type serverless with it")
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
    """When a serverless App sleeps, and its limits."""
    if requested.autoscaling is not None:
        return Refused("the live config is serverless, which has no autoscaling: use maxReplicas, or give type server with it")
    own = {"idle_seconds", "max_replicas", "hold_seconds"}
    return DEFAULT_SLEEP.model_copy(
        update=kept.model_dump(include=own, exclude_none=True) | requested.model_dump(include=own, exclude_none=True)
    )


def _cannot_sleep(app: App, live: Pinned | None, gate: GateState) -> Refused | Unknown | None:
    """Why no row of this App can be serverless; None where it can. One that is serverless already stays so without a gate, and awake."""
    if app.spec.network is not None and app.spec.network.ingress_from is not None:
        return Refused(LIMITED_CALLERS)
    if live is not None and live.config.type is ConfigType.SERVERLESS:
        return None
    if gate is GateState.ABSENT:
        return Refused(NO_GATE)
    return Unknown(UNREAD_GATE) if gate is GateState.UNKNOWN else None


_Part = TypeVar("_Part", Autoscaling, ResourceList)


def _merged(first: _Part, *later: _Part | None) -> _Part:
    merged = first
    for part in later:
        if part is not None:
            merged = merged.model_copy(update=part.model_dump(exclude_none=True))
    return merged

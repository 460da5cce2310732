"""Responses about deployments: previews, comparisons, whole rows, changes of settings, verifications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from dynamiq_operator.actions.comparison import UNREAD, RowDiff
from dynamiq_operator.model.breaking import Compatibility
from dynamiq_operator.model.contract import ChangeKind
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http.models import AliasedModel, Id, Many, ResponseModel, Time
from dynamiq_operator.rest.parts.config_fields import SCALING, SERVERLESS_CONFIG
from dynamiq_operator.rest.parts.deployment import SERVER, SERVERLESS, ConfigShape, Deployment, GuardResponse, ResourcesShape
from dynamiq_operator.rest.parts.responses import Author, ConditionResponse, ReadyPodsResponse, author
from dynamiq_operator.views.app_changes import ChangeRow
from dynamiq_operator.views.history import HistoryRow
from dynamiq_operator.views.live_at import LiveAt
from dynamiq_operator.views.preview import Side


class LastGoodResponse(ResponseModel):
    """The deployment to roll back to."""

    deployment: Annotated[
        Deployment | None,
        Field(
            description="The newest that was live with another flow or runtime, without a rollback, revert or rejection since. None if "
            "there is no such one."
        ),
    ]
    reason: Annotated[str | None, Field(description="Why none is offered.")]
    warnings: Annotated[list[str], Field(description="A warning that the caller may not read Rejections, so it may be a rejected one.")]


class PreviewSide(ResponseModel):
    row: str | None
    sequence: int | None
    version: str
    flow_hash: str
    runtime: Annotated[str, Field(description="Version of the runtime.")]
    runtime_name: Annotated[str, Field(description="Name of the Runtime: two may be of one version.")]
    image: Annotated[str, Field(description="Image that pods run.")]
    config: ConfigShape
    resources: Annotated[
        ResourcesShape | None, Field(description="The same as in `config`, for both types: each pod's requests and limits.")
    ]
    restores: Annotated[str | None, Field(description="Name of the deployment that this rolls back to.")]

    @classmethod
    def read(cls, data: Any, **fields: Any) -> Self:
        """Returns a side of `views.preview`, from its JSON data."""
        return super().read(data, resources=data["config"].get("resources"), **fields)


class BreakingCaller(ResponseModel):
    """A caller of the recorded runs that a change concerns."""

    key: Annotated[str | None, Field(description="Name of its Access Key.")]
    trigger: Annotated[str | None, Field(description="Its trigger.")]
    runs: int


class CallerChange(ResponseModel):
    """A difference between what the new version and the live one read and answer."""

    kind: Annotated[str, Field(json_schema_extra={"enum": [each.value for each in ChangeKind]}, description="What differs.")]
    name: Annotated[str, Field(description="The field; of CannotTell the node. Empty: the whole flow, or the whole answer.")]
    result: Annotated[
        str, Field(json_schema_extra={"enum": [each.value for each in Compatibility]}, description="What it means by itself.")
    ]
    runs: Annotated[int | None, Field(description="Runs that did not send the field, or sent another type; none if not counted.")]
    of: Annotated[int | None, Field(description="All runs of these days whose fields are known.")]
    callers: Annotated[list[BreakingCaller], Field(description="Those with the most of these runs.")]
    message: Annotated[str, Field(description="The same in a sentence.")]


class CallersResponse(ResponseModel):
    """Whom a version may break, by the names of fields that callers sent in the last days. Values are not read."""

    result: Annotated[
        str,
        Field(
            json_schema_extra={"enum": [each.value for each in Compatibility]},
            description="Compatible only if each difference was counted in recorded runs and concerns none. Unknown is not safe.",
        ),
    ]
    days: Annotated[int, Field(description="Days of recorded runs.")]
    unknown: Annotated[str | None, Field(description="Why runs were not counted, or too few of them.")]
    changes: list[CallerChange]


class PreviewShape(AliasedModel):
    """The effects of a deploy."""

    from_: Annotated[PreviewSide | None, Field(alias="from", description="What is live; none before the first deploy.")]
    to: PreviewSide
    flow_diff: Annotated[str, Field(description="A unified diff of the flows.")]
    pods_restart: bool
    no_op: Annotated[bool, Field(description="The App would run exactly what it runs now, or what is under way.")]
    strategy: Annotated[str, Field(json_schema_extra={"enum": ["Rolling", "Switch"]}, description="How pods that restart are replaced.")]
    pods_warm: Annotated[int | None, Field(description="Of Switch: pods of this version that are ready already; none if unknown.")]
    pods_to_start: Annotated[int | None, Field(description="Of Switch: pods that start before calls move to this version.")]
    asleep: Annotated[bool, Field(description="The App is asleep now.")]
    under_way: Annotated[str | None, Field(description="A row that is being rolled out and would be overtaken.")]
    guards: Annotated[list[GuardResponse], Field(description="What would block it, so that it would wait.")]
    waits: Annotated[str | None, Field(description="Of an existing deployment, what it waits for.")]
    begins_hold: Annotated[bool, Field(description="True: changes from Git are on hold after it, until somebody resumes them.")]
    bypass_reason: Annotated[str | None, Field(description="Why the guards are bypassed.")]
    open_runs: Annotated[
        int | None,
        Field(
            description="Background runs that have not ended. Each finishes on the version that it began with. null: unknown, or no pod changes."
        ),
    ]
    held_runs: Annotated[
        int, Field(description="Runs of earlier versions among them that are held until a person restarts or releases them.")
    ]
    open_questions: Annotated[
        int | None, Field(description="Questions of these runs that wait for a person; they need no pod. null: unknown.")
    ]
    oldest_question_at: Annotated[str | None, Field(description="When the oldest of these was asked.")]
    open_conversations: Annotated[
        int | None,
        Field(
            description="Open conversations of an App with spec.sessions. Each stays on its version, unless take_sessions. null: unknown, or "
            "no version changes."
        ),
    ]
    callers: Annotated[
        CallersResponse | None, Field(description="Whom the version may break; none if nothing is live, or it has the live flow.")
    ]
    takes_sessions: Annotated[bool, Field(description="True: conversations of other versions move to this one once it is live.")]
    open_run_notes: Annotated[
        list[str], Field(description="The same in sentences: where open runs and conversations go on, and what runs wait for.")
    ]
    warnings: list[str]


class PromotionPreview(PreviewShape):
    """The effects of a promotion."""

    project_id: Annotated[Id | None, Field(description="The target.")]
    environment: str
    new_app: Annotated[bool, Field(description="The target has no such App yet.")]
    new_version: Annotated[str | None, Field(description="The version that would be created in the target.")]


class Count(ResponseModel):
    value: str
    count: Annotated[int, Field(description="Rows of it.")]


class HistoryFilters(ResponseModel):
    """The values by which the rows of a history can be filtered."""

    statuses: Annotated[list[Count], Field(description="The most first.")]
    authors: Annotated[list[Count], Field(description="Usernames, the most first.")]
    versions: Annotated[list[Count], Field(description="Newest first; without rows that are not pinned yet.")]
    runtimes: Annotated[list[Count], Field(description="Versions of runtimes, the newest first.")]
    total: Annotated[int, Field(description="Rows of the App.")]
    first_at: Annotated[Time | None, Field(description="When the earliest deploy began.")]
    last_at: Annotated[Time | None, Field(description="When the latest deploy began.")]


class DeploymentDetail(Deployment):
    """One row of an App's history, whole."""

    namespace: str
    app_name: Annotated[str, Field(description="The App's name in its namespace.")]
    asked: Annotated[dict[str, Any], Field(description="What the row requested: its spec as it was created, in the resource's fields.")]
    pinned: Annotated[
        dict[str, Any] | None, Field(description="Everything that it runs, as stored in the resource; none until its deploy began.")
    ]
    outcome: Annotated[dict[str, Any] | None, Field(description="How it ended, as stored in the resource.")]
    conditions: list[ConditionResponse]
    ready: Annotated[
        ReadyPodsResponse | None,
        Field(description="Its pods, until it has ended; none if it has no workload, or the caller may not read it."),
    ]
    flow: Annotated[str | None, Field(description="The text of its flow; none if it was deleted, or the caller may not read it.")]

    @classmethod
    def of_whole(cls, raw: Manifest, row: Deployment, ready: ReadyPodsResponse | None, flow: str | None) -> DeploymentDetail:
        """Returns a whole row. `row`: as a list has it; `flow`: its text, None if it cannot be read."""
        spec = raw["spec"]
        return cls(
            **row.members(),
            namespace=raw["metadata"]["namespace"],
            app_name=spec["app"],
            asked={name: value for name, value in spec.items() if name not in COMPLETED},
            pinned=spec.get("pinned"),
            outcome=spec.get("outcome"),
            conditions=[ConditionResponse.read(each) for each in (raw.get("status") or {}).get("conditions") or ()],
            ready=ready,
            flow=flow,
        )


COMPLETED = ("sequence", "pinned", "released", "verified", "outcome")
"""Fields of a row that the operator completes. The others are from the request."""


class ComparedSide(PreviewSide):
    id: Id
    created_at: Time
    created_by: Author | None

    @classmethod
    def of(cls, side: Side, raw: Manifest) -> ComparedSide:
        """Returns a side of a comparison. `raw`: its row."""
        row = HistoryRow.of(raw)
        return cls.read(side.as_json(), id=row.uid, created_at=row.date, created_by=author(row.created_by))


class ChangeResponse(AliasedModel):
    field: Annotated[
        str,
        Field(
            description="version, runtime, runtime_name, image, deployment_config.… or resources.…: the path in a deployment; in numbers "
            "of the whole config, with what is left out elsewhere because it is the default."
        ),
    ]
    from_: Annotated[str | None, Field(alias="from")]
    to: str | None


class ComparisonShape(AliasedModel):
    """The changes from one row to another."""

    from_: Annotated[ComparedSide | None, Field(alias="from", description="None for the first row of a history.")]
    to: ComparedSide
    flow_diff: Annotated[str, Field(description="A unified diff of the flows.")]
    changes: list[ChangeResponse]
    warnings: Annotated[list[str], Field(description="Why there is no diff: a flow cannot be read.")]

    @classmethod
    def of(cls, result: RowDiff, before: Manifest | None, after: Manifest) -> ComparisonShape:
        """Returns what changed from one row to another. `before`, `after`: the rows as stored."""
        return cls(
            from_=ComparedSide.of(result.before, before) if result.before is not None and before is not None else None,
            to=ComparedSide.of(result.after, after),
            flow_diff="\n".join(result.flow_diff or ()),
            changes=list(_changes(result.before, result.after)) if result.before is not None else [],
            warnings=[f"the flows differ, and {UNREAD}"] if result.flow_diff is None else [],
        )


def _changes(before: Side, after: Side) -> Iterator[ChangeResponse]:
    """Yields the differences, by the names of a deployment's fields."""
    old, new = dict(_fields(before)), dict(_fields(after))
    for field in dict.fromkeys([*new, *old]):
        if (values := (old.get(field), new.get(field)))[0] != values[1]:
            yield ChangeResponse(field=field, from_=values[0], to=values[1])


def _fields(part: Side) -> Iterator[tuple[str, str]]:
    yield from (("version", part.version), ("runtime", part.runtime), ("runtime_name", part.runtime_name), ("image", part.image))
    stored, name = part.config, "deployment_config.config"
    yield "deployment_config.deployment_type", SERVERLESS if stored.get("type") == "serverless" else SERVER
    scaling = stored.get("autoscaling") or {}
    yield from ((f"{name}.autoscaling.{ours}", str(scaling[theirs])) for ours, theirs in SCALING if theirs in scaling)
    yield from ((f"{name}.{ours}", str(stored[theirs])) for ours, theirs in SERVERLESS_CONFIG if theirs in stored)
    for part, amounts in (stored.get("resources") or {}).items():
        yield from ((f"resources.{part}.{amount}", str(value)) for amount, value in amounts.items())


class ArchiveShape(ResponseModel):
    """Facts about the archive of an App that has one."""

    rows: Annotated[int | None, Field(description="Rows in the archive; none if they are not listed here.")]
    says: Annotated[str | None, Field(description="Why archived rows are not listed; none if they are.")]


class HistoryResponse(Many[Deployment]):
    """Rows of a history, in the cluster and in the archive."""

    archive: Annotated[ArchiveShape | None, Field(description="Only for an App with an archive.")] = None


class LiveAtShape(ResponseModel):
    """The deployment that an App served at a time."""

    time: Time
    known: Annotated[bool, Field(description="False if the rows that would show it were deleted.")]
    deployment: Annotated[Deployment | None, Field(description="What was live, as its row is now; none if nothing was.")]
    live_from: Time | None
    live_until: Annotated[Time | None, Field(description="When another row replaced it; none if it is still live.")]
    rolling_out: Annotated[
        Deployment | None, Field(description="A row that was being rolled out: by strategy Rolling it answered calls as well.")
    ]
    says: Annotated[str, Field(description="The same in a sentence.")]

    @classmethod
    def of(cls, answer: LiveAt, row: Deployment | None, rolling_out: Deployment | None) -> LiveAtShape:
        """Returns what was live at a time. `row`, `rolling_out`: the rows that `answer` names."""
        return cls(
            time=answer.time,
            known=answer.unknown is None,
            deployment=row,
            live_from=answer.row.live_from if answer.row is not None else None,
            live_until=answer.row.live_until if answer.row is not None else None,
            rolling_out=rolling_out,
            says=answer.says,
        )


class SettingChangeShape(AliasedModel):
    field: Annotated[str, Field(description="The field of the App's spec, such as variables or hostname.")]
    name: Annotated[str | None, Field(description="Of variables and triggers, the name.")]
    change: Literal["Added", "Removed", "Changed"]
    from_: Annotated[str | None, Field(alias="from", description="The value before; only for fields that callers see anyway.")]
    to: str | None


class AppChangeShape(ResponseModel):
    """A change of an App besides its deployments."""

    id: Id
    name: str
    sequence: Annotated[int, Field(description="Its place among these records, from 1.")]
    reason: Annotated[
        Literal["First", "Changed", "Rekeyed"],
        Field(description="First: later ones are compared with it. Rekeyed: the key was lost, so it is unknown which values changed."),
    ]
    created_at: Annotated[Time, Field(description="When the operator saw the change.")]
    after: Annotated[int | None, Field(description="Sequence of the newest row at that time; none if there was none.")]
    by: Annotated[Author | None, Field(description="Who changed it last; none if unknown.")]
    by_verified: Annotated[bool, Field(description="True: the API server stamped who changed it, from before the change on.")]
    changes: list[SettingChangeShape]
    says: Annotated[str, Field(description="The same in a sentence.")]
    digest: str

    @classmethod
    def of(cls, row: ChangeRow) -> AppChangeShape:
        """Returns a change."""
        return cls.read(vars(row), id=row.uid, created_at=row.date, by_verified=row.by_verified, says=row.summary)


class NewestRow(ResponseModel):
    deployment_id: Id
    sequence: int | None
    digest: str


class ExpectedRow(ResponseModel):
    digest: str
    deployment_id: Annotated[Id | None, Field(description="The row that has it.")]
    sequence: int | None
    found: bool


class MisfitShape(ResponseModel):
    deployment_id: Id
    name: str
    sequence: int | None
    says: str


class SettingsMisfit(ResponseModel):
    name: str
    says: str


class SettingsVerification(ResponseModel):
    records: Annotated[int, Field(description="Number of verified records of the App's settings.")]
    fits: bool
    newest_digest: Annotated[str | None, Field(description="Keep it, and expect it later.")]
    misfit_count: int
    misfits: Annotated[list[SettingsMisfit], Field(description="The records that do not fit, at most 100.")]
    says: Annotated[str, Field(description="The same in a sentence.")]


class VerificationResponse(ResponseModel):
    """The verification of a history, which finds rows that anybody changed or removed."""

    rows: Annotated[int, Field(description="Rows that were verified.")]
    fits: Annotated[
        bool, Field(description="True: every row and record of settings fits, and one has the expected digest, if one was given.")
    ]
    newest: Annotated[NewestRow | None, Field(description="The newest row that was rolled out. Keep its digest for a later verification.")]
    expected: Annotated[ExpectedRow | None, Field(description="The row with the expected digest, if one was given.")]
    misfit_count: int
    misfits: Annotated[list[MisfitShape], Field(description="The rows that do not fit, at most 100.")]
    settings: Annotated[
        SettingsVerification | None, Field(description="The same for the App's settings; none if the caller may not read them.")
    ]
    says: Annotated[str, Field(description="The same in a sentence.")]

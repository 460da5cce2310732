"""Deploying: one new row. The preview completes it as the operator will, with the same rules over the same objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.actions import history
from dynamiq_operator.actions.refusals import Refusal, Unknown, refused
from dynamiq_operator.desired.workload import inputs
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import RECORDS, RUNTIMES, VERSIONS
from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.completion import Known, Missing, Refused, complete
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import App, Manifest, Record, Runtime, Version
from dynamiq_operator.model.record import Pinned, Source
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan import events
from dynamiq_operator.plan.history.lifecycle import History
from dynamiq_operator.views.preview import Preview, Side, flow_diff


@dataclass(frozen=True)
class Deploy:
    """What somebody asks to be deployed, in the fields of a record's spec: what is None is left to the operator.

    `restores` is a row's name. `config` and `promoted_from` are JSON data.
    """

    namespace: str
    app: str
    version: str | None = None
    restores: str | None = None
    runtime: str | None = None
    config: Mapping[str, Any] | None = None
    message: str | None = None
    promoted_from: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Flow:
    """A release with the text of its flow, whether or not it is in the App's namespace yet."""

    version: Version
    text: str

    @classmethod
    def of(cls, raw: Manifest) -> Flow:
        spec = raw["spec"]
        released = Version(raw["metadata"]["name"], spec["workflow"], spec["version"], spec.get("description"), flow_hash(spec["flow"]))
        return cls(released, spec["flow"])


def record_of(asked: Deploy, name: str | None = None) -> Manifest:
    """The record to create; without `name` the API server completes `<app>-`."""
    spec = {
        "app": asked.app,
        "workflowVersion": asked.version,
        "restores": asked.restores,
        "runtime": asked.runtime,
        "config": asked.config,
        "message": asked.message,
        "promotedFrom": asked.promoted_from,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": kinds.RECORD.kind,
        "metadata": {"namespace": asked.namespace, **({"name": name} if name else {"generateName": f"{asked.app}-"})},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }


def preview(api: Api, asked: Deploy, settings: Settings = Settings()) -> Preview:  # noqa: B008 - frozen
    """What the deploy would do. Raises Refusal where it can't be done, and kube.errors.ApiError."""
    app = history.find_app(api, asked.namespace, asked.app)
    return foresee(api, asked, app, history.open_rows(api, asked.namespace, asked.app), settings=settings)


def foresee(api: Api, asked: Deploy, app: App, rows: History, arriving: Flow | None = None, settings: Settings = Settings()) -> Preview:  # noqa: B008
    """The preview for an App, there or not, with these rows. `arriving`: a release that is yet to be put beside the App."""
    record = record_of(asked)
    warnings = _try(api, record) if arriving is None else ()
    try:
        draft = Record.of({**record, "metadata": {**record["metadata"], "name": "(new)"}})
    except ValidationError as error:
        first = error.errors()[0]
        raise Refusal(first["msg"], ".".join(str(part) for part in first["loc"])) from None
    restored = _restored(api, asked)
    release = arriving or (_release(api, asked, app) if restored is None else None)
    text = release.text if release is not None else _flow_text(api, asked, restored)
    then = complete(
        draft,
        Known(
            app=app,
            live=rows.live,
            versions=[release.version] if release is not None else [],
            runtimes=_runtimes(api, asked, rows),
            rows={restored.name: restored} if restored is not None else {},
            flows=frozenset([flow_hash(text)] if text is not None else []),
            settings=settings,
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
    return _seen(api, app, rows, then, text, record, warnings)


def _seen(api: Api, app: App, rows: History, then: Pinned, text: str | None, record: Manifest, warnings: tuple[str, ...]) -> Preview:
    live, target = rows.live, rows.target
    now = live.pinned if live is not None else None
    before = history.flow_of(api, app.meta.namespace, app.meta.name, now) if now and now.workflow_hash != then.workflow_hash else text
    diff = flow_diff(before, text, now.workflow_version, then.workflow_version) if now and text is not None else ()
    if now is not None and (before is None or text is None):
        warnings += ("the flows cannot be compared: one of them is in no ConfigMap and no WorkflowVersion that you may read",)
    if app.spec.deploy is not None:
        warnings += ("Git deploys this App, too: this row stays until spec.deploy of the App changes",)
    running = target.pinned if target is not None else None
    return Preview(
        namespace=app.meta.namespace,
        app=app.meta.name,
        now=_side(now, live) if now is not None else None,
        then=_side(then, None),
        flow_diff=diff,
        restarts=running is not None and inputs(app, running) != inputs(app, then),
        no_op=running is not None and inputs(app, running) == inputs(app, then) and running.config == then.config,
        record=record,
        under_way=events.title(rows.candidate) if rows.candidate is not None else None,
        warnings=warnings,
    )


def _side(pinned: Pinned, row: Record | None) -> Side:
    return Side(
        version=pinned.workflow_version,
        flow_hash=pinned.workflow_hash,
        runtime=pinned.runtime.version,
        config=pinned.config.as_json(),
        row=row.name if row is not None else None,
        sequence=row.sequence if row is not None else None,
    )


def _try(api: Api, record: Manifest) -> tuple[str, ...]:
    """Lets the API server check the record without keeping it. Whoever may only read still gets a preview, with a warning."""
    try:
        requests.create(api, RECORDS, record, dry_run=True)
    except errors.Invalid as error:
        raise refused(error) from None
    except errors.Denied as error:
        return (f"you could not do this: {error}",)
    return ()


def _release(api: Api, asked: Deploy, app: App) -> Flow | None:
    """The release that is asked for, else the newest; None where there is none at all."""
    workflow = app.spec.workflow
    if asked.version is not None:
        try:
            return Flow.of(requests.get(api, VERSIONS, asked.namespace, f"{workflow}-{asked.version}"))
        except errors.NotFound:
            raise history.unknown_version(workflow, asked.version, history.releases(api, asked.namespace, workflow)) from None
    released = history.releases(api, asked.namespace, workflow)
    return Flow.of(requests.get(api, VERSIONS, asked.namespace, released[-1].name)) if released else None


def _restored(api: Api, asked: Deploy) -> Record | None:
    return Record.of(history.find_row(api, asked.namespace, asked.app, asked.restores)) if asked.restores is not None else None


def _flow_text(api: Api, asked: Deploy, restored: Record | None) -> str | None:
    if restored is None or restored.pinned is None:
        return None
    return history.flow_of(api, asked.namespace, asked.app, restored.pinned)


def _runtimes(api: Api, asked: Deploy, rows: History) -> dict[str, Runtime]:
    """The Runtimes that may be chosen: the one that is asked for, none where the live row's is kept, else all."""
    if asked.runtime is None and rows.live is not None:
        return {}
    try:
        found = [requests.get(api, RUNTIMES, "", asked.runtime)] if asked.runtime is not None else requests.items(api, RUNTIMES)
    except errors.NotFound:
        there = ", ".join(requests.names_of(api, RUNTIMES)) or "none"
        raise Unknown(f"no Runtime {asked.runtime}; there are: {there}", "runtime") from None
    return {raw["metadata"]["name"]: Runtime.of(raw) for raw in found}

"""Plans the patch of `spec.deploy` with which Git matches the live row of an App. A person commits it.

It never reads or writes Git. Fields that Git omits stay omitted, since they are kept from the live row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.actions.reads import runtime_named
from dynamiq_operator.actions.travelling import Served, release_there, served
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.guards import RowOf
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import Source
from dynamiq_operator.model.text import plugin_command
from dynamiq_operator.plan.history.ledger import DEPLOY_FIELDS

Deploy = Mapping[str, Any]
MESSAGE_MOST = 1024


@dataclass(frozen=True)
class SyncPlan:
    """A change of `spec.deploy`. `git`: as it is applied now, None if missing. `deploy`: as it matches the live row, so `git` if in sync.

    `version`: the WorkflowVersion to add to Git, None if it exists. `runtime_is_another`: another Runtime now has the name of the live one.
    """

    served: Served
    git: Deploy | None
    deploy: Deploy
    version: Manifest | None
    runtime_is_another: bool

    @property
    def is_in_sync(self) -> bool:
        return self.git == self.deploy

    @property
    def patch(self) -> Manifest:
        """The change as a merge patch, also for kustomize. A field to remove is null, at any depth."""
        meta = self.served.app.meta
        return {
            "apiVersion": API_VERSION,
            "kind": kinds.APP.kind,
            "metadata": {"name": meta.name, "namespace": meta.namespace},
            "spec": {"deploy": _merging(self.git or {}, self.deploy)},
        }

    @property
    def title(self) -> str:
        """The live row's name: `v1 (#6, support-zq8nd)`."""
        return f"{self.served.pinned.workflow_version} (#{self.served.row.sequence}, {self.served.row.name})"

    def sentences(self) -> Iterator[str]:
        """Yields the plan in sentences."""
        meta = self.served.app.meta
        if self.is_in_sync:
            yield f"{meta.name} in {meta.namespace}: Git matches what is live, {self.title}"
            return
        asks = f"Git asks for {self.git.get('workflowVersion', 'the newest version')}" if self.git is not None else "Git deploys nothing"
        yield f"{meta.name} in {meta.namespace}: {asks}, and {self.title} is live"
        if self.version is not None:
            yield f"WorkflowVersion {self.version['metadata']['name']} has to be in Git as well: no other one has the live flow"
        if self.runtime_is_another:
            name = self.served.pinned.runtime.name
            yield f"runtime is left out, so that it stays as it is live: Runtime {name} has changed since"
        yield "this adds a row, and no pod restarts"
        if (by := _holds(self.served)) is not None:
            yield f"changes from Git are on hold after the rollback in #{by.sequence}. To apply this one: {plugin_command(f'resume {meta.name}', meta.namespace)}"

    def as_json(self) -> dict[str, Any]:
        return {
            "namespace": self.served.app.meta.namespace,
            "app": self.served.app.meta.name,
            "row": self.served.row.name,
            "sequence": self.served.row.sequence,
            "inSync": self.is_in_sync,
            "git": dict(self.git) if self.git is not None else None,
            "deploy": dict(self.deploy),
            "patch": self.patch if not self.is_in_sync else None,
            "workflowVersion": self.version,
        }


def plan_sync(api: Api, namespace: str, app: str, *, message: str | None = None, full: bool = False) -> SyncPlan:
    """Plans the change of `spec.deploy`. `full`: includes runtime and config, though Git names neither.

    Raises Refusal and kube.errors.ApiError.
    """
    live = served(api, namespace, app)
    declared = live.app.spec.deploy
    git = {name: value for name, value in declared.as_json().items() if name in DEPLOY_FIELDS} if declared is not None else None
    if git is not None and not full and live.pinned.source is Source.APP and _fields_of_row(live) == git:
        return SyncPlan(live, git, git, None, False)
    flow, new_version = release_there(api, namespace, live)
    runtime = runtime_named(api, live.pinned.runtime)
    names_all = full or git is None
    deploy: dict[str, Any] = {"workflowVersion": flow.version.version}
    if (names_all or "runtime" in (git or {})) and runtime is not None:
        deploy["runtime"] = runtime
    config = live.pinned.config.as_json()
    if kept := config if names_all else _as_live((git or {}).get("config") or {}, config):
        deploy["config"] = kept
    if git is not None and new_version is None and {name: value for name, value in git.items() if name != "message"} == deploy:
        return SyncPlan(live, git, git, None, False)
    deploy["message"] = message or _message(live)
    return SyncPlan(live, git, deploy, new_version, runtime is None and (names_all or "runtime" in (git or {})))


def _merging(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `new` with null for each field of `old` that it lacks. Merged into `old`, this gives exactly `new`."""
    merged = {name: _merging(old.get(name) or {}, value) if isinstance(value, Mapping) else value for name, value in new.items()}
    return {**merged, **{name: None for name in old if name not in new}}


def _fields_of_row(live: Served) -> Deploy:
    return {name: live.row.raw_spec[name] for name in DEPLOY_FIELDS if name in live.row.raw_spec}


def _as_live(declared: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a config that Git names, with their live values, without those that the live row lacks."""
    kept: dict[str, Any] = {}
    for name, value in declared.items():
        if name not in live:
            continue
        if isinstance(value, Mapping) and isinstance(live[name], Mapping):
            if part := _as_live(value, live[name]):
                kept[name] = part
        else:
            kept[name] = live[name]
    return kept


def _message(live: Served) -> str:
    suffix = f": {live.row.spec.message}" if live.row.spec.message else ""
    return f"{live.pinned.workflow_version} as it is live since #{live.row.sequence}{suffix}"[:MESSAGE_MOST]


def _holds(live: Served) -> RowOf | None:
    return live.app.status.holds

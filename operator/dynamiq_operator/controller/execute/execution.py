"""Describes the execution of a plan for the functions of its operations: the App, the clients, and what the plan has written."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field

from dynamiq_operator.controller.app_state import AppState, AppStates
from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.hostnames.claims import Claims
from dynamiq_operator.controller.telemetry.metrics import OperatorMetrics
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import App, Meta


@dataclass(frozen=True)
class Execution:
    """The execution of one plan of the App `app`. `make_key`: makes an Access Key. `identity`: of this replica.

    `versions`: by uid, the resourceVersion of each object that this plan has written, so that a second write is no conflict.
    """

    app: AppKey
    client: Client
    cache: Cache
    states: AppStates
    claims: Claims
    identity: str
    make_key: Callable[[], str]
    metrics: OperatorMetrics
    versions: MutableMapping[str, str] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)
    """Uids of Apps that existed when this plan read them."""

    @property
    def state(self) -> AppState:
        return self.states.of(self.app)

    async def require_app(self, app: App, *, anew: bool = False) -> None:
        """Requires that the App still exists, before it becomes the owner of an unowned object: that would be deleted with it.

        One read, or one write to the App, is enough for all objects of the snapshot. `anew`: for an object that was read since. Raises
        errors.Conflict if the App is missing, or another one has its name.
        """
        meta = app.meta
        if not anew and (meta.uid in self.there or meta.uid in self.versions):
            return
        try:
            raw = await self.client.get(APPS, meta.namespace, meta.name)
        except errors.NotFound as error:
            raise errors.Conflict(f"App {meta.name} was deleted") from error
        except errors.Denied as error:  # a refusal of the App, and of nothing that is written after it
            raise errors.Unavailable(f"App {meta.name} cannot be read, so it may have been deleted: {error}", error.status) from error
        if raw["metadata"]["uid"] != meta.uid:
            raise errors.Conflict(f"App {meta.name} was deleted, and another one has its name")
        self.there.add(meta.uid)

    def version_of(self, meta: Meta) -> str:
        """Returns the resourceVersion that a guarded write of an object names: of this plan's own write, else of the snapshot."""
        return self.versions.get(meta.uid, meta.resource_version)

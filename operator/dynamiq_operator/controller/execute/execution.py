"""What every function that executes an operation is given: the App, the clients, and what this plan has written so far."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field

from dynamiq_operator.controller.app_state import AppState, AppStates
from dynamiq_operator.controller.cache import AppKey, Cache
from dynamiq_operator.controller.claims import Claims
from dynamiq_operator.controller.metrics import Metrics
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.objects import App, Meta


@dataclass(frozen=True)
class Execution:
    """The execution of one plan of the App `app`. `make_key` makes a new Access Key; `identity` is that of this replica.

    `versions`: by uid, the resourceVersion of the objects that this plan has written, so that a second write of one is no conflict.
    """

    app: AppKey
    client: Client
    cache: Cache
    states: AppStates
    claims: Claims
    identity: str
    make_key: Callable[[], str]
    metrics: Metrics
    versions: MutableMapping[str, str] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)
    """Uids of Apps that were there when this plan looked."""

    @property
    def state(self) -> AppState:
        return self.states.of(self.app)

    async def require_app(self, app: App, *, anew: bool = False) -> None:
        """Looks whether the App is there still, before it becomes the owner of what was nobody's: that would be deleted with it.

        Once for all that the snapshot has, and what this plan has written to the App shows it, too; `anew`: of what was found since. Raises
        errors.Conflict where it is gone, or another App has its name.
        """
        meta = app.meta
        if not anew and (meta.uid in self.there or meta.uid in self.versions):
            return
        try:
            found = await self.client.get(APPS, meta.namespace, meta.name)
        except errors.NotFound as error:
            raise errors.Conflict(f"App {meta.name} was deleted") from error
        except errors.Denied as error:  # a refusal of the App, and of nothing that is written after it
            raise errors.Unavailable(f"whether App {meta.name} is there still cannot be read: {error}", error.status) from error
        if found["metadata"]["uid"] != meta.uid:
            raise errors.Conflict(f"App {meta.name} was deleted, and another one has its name")
        self.there.add(meta.uid)

    def version_of(self, meta: Meta) -> str:
        """The resourceVersion that a guarded write of an object names: of this plan's own write, else of the snapshot."""
        return self.versions.get(meta.uid, meta.resource_version)

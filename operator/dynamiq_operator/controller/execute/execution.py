"""What every function that executes an operation is given: the App, the clients, and what this plan has written so far."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field

from dynamiq_operator.controller.app_state import AppState, AppStates
from dynamiq_operator.controller.cache import AppKey, Cache
from dynamiq_operator.controller.claims import Claims
from dynamiq_operator.controller.metrics import Metrics
from dynamiq_operator.kube.client import Client
from dynamiq_operator.model.objects import Meta


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

    @property
    def state(self) -> AppState:
        return self.states.of(self.app)

    def version_of(self, meta: Meta) -> str:
        """The resourceVersion that a guarded write of an object names: of this plan's own write, else of the snapshot."""
        return self.versions.get(meta.uid, meta.resource_version)

"""Wires the parts that notify sinks, for the whole process. It decides nothing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from dynamiq_operator.controller.cached.cache import Cache
from dynamiq_operator.controller.defaults import TRIED_FOR
from dynamiq_operator.controller.notifications.addresses import Network
from dynamiq_operator.controller.notifications.cluster import ClusterAddresses
from dynamiq_operator.controller.notifications.delivery import Delivery
from dynamiq_operator.controller.notifications.notification_metrics import NotificationMetrics
from dynamiq_operator.controller.notifications.notifier import Notifier
from dynamiq_operator.controller.notifications.secrets import Secrets
from dynamiq_operator.controller.notifications.sinks import OF_OPERATOR, SinkRef
from dynamiq_operator.controller.notifications.takeover import Takeover
from dynamiq_operator.kube.client import Client
from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.model.policy import SinkFormat


@dataclass(frozen=True)
class NotifyOptions:
    """Options. `secret`: of the sink of all namespaces. `networks`: where sinks may be beside the internet. `tried_for`: seconds."""

    secret: str | None = None
    form: SinkFormat = SinkFormat.CLOUD_EVENTS
    networks: tuple[Network, ...] = ()
    plain_http: bool = False
    tried_for: float = TRIED_FOR

    @property
    def sink(self) -> SinkRef | None:
        """The sink of all namespaces."""
        return SinkRef(OF_OPERATOR, self.secret, self.form) if self.secret is not None else None


@contextlib.asynccontextmanager
async def notifier(
    options: NotifyOptions,
    client: Client,
    cache: Cache,
    namespace: str,
    policies: Callable[[str], Awaitable[Sequence[DeployPolicy]]],
    registry: CollectorRegistry,
) -> AsyncIterator[Notifier]:
    """Yields the notifier of one operator, with connections of its own. `namespace`: the operator's. `policies`: returns those that select
    a namespace.
    """
    async with (
        client.apart() as apart,
        Delivery(ClusterAddresses(apart, options.networks).allowed, plain_http=options.plain_http) as delivery,
    ):
        secrets = Secrets(apart, namespace, plain_http=options.plain_http)
        takeover = Takeover(apart, cache, policies)
        yield Notifier(secrets, delivery, takeover, NotificationMetrics(registry), client.now, options.sink, options.tried_for)

"""Reads the Secrets of sinks, by name and in the operator's namespace alone. It caches them shortly: a change counts within a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from dynamiq_operator.controller.notifications.delivery import Lost, NotDeliveredError
from dynamiq_operator.controller.notifications.sinks import Target, UnusableError, target_of
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SECRETS

SECRET_KEPT = 30.0
"""Seconds for which a Secret is cached."""
SECRET_WITHIN = 5.0


@dataclass(frozen=True)
class _Read:
    """A Secret's target, and when it was read. `wrong`: why the Secret cannot be used."""

    at: float
    target: Target | None = None
    wrong: str = ""


class Secrets:
    """The Secrets of sinks, read by name in the operator's namespace alone, and cached for a while."""

    def __init__(self, client: Client, namespace: str, *, plain_http: bool, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._namespace, self._plain_http, self._clock = client, namespace, plain_http, clock
        self._kept: dict[str, _Read] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def target(self, name: str) -> Target:
        """Returns the target in a Secret.

        Raises NotDeliveredError.
        """
        async with self._reading.setdefault(name, asyncio.Lock()):
            kept = self._kept.get(name)
            if kept is None or self._clock() - kept.at >= SECRET_KEPT:
                kept = self._kept[name] = await self._read(name)
        if kept.target is None:
            raise NotDeliveredError(Lost.SECRET, f"Secret {name}: {kept.wrong}")
        return kept.target

    async def _read(self, name: str) -> _Read:
        try:
            secret = await self._client.request("GET", SECRETS.path(self._namespace, name), within=SECRET_WITHIN)
            return _Read(self._clock(), target_of(secret, plain_http=self._plain_http))
        except errors.NotFound:
            return _Read(self._clock(), wrong=f"there is none in namespace {self._namespace}")
        except UnusableError as error:
            return _Read(self._clock(), wrong=str(error))
        except errors.ApiError as error:
            raise NotDeliveredError(Lost.SECRET, f"Secret {name} cannot be read: HTTP {error.status}") from None

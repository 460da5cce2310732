"""Reads since when the API server has stamped who creates a row or an Approval: for as long as the admission policy for that exists."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import POLICIES
from dynamiq_operator.model.objects import Meta

POLICY_TTL = 60.0
"""Seconds for which the existence of such a policy is cached."""


class Stamps:
    """The times since when policies have stamped, by the name of the MutatingAdmissionPolicy."""

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self._client, self._clock = client, clock
        self._read: dict[str, tuple[datetime | None, float]] = {}

    async def since(self, policy: str) -> datetime | None:
        """Returns since when the policy and its binding have existed; None if one is missing, or may not be read.

        Raises errors.ApiError.
        """
        if policy not in self._read or self._clock() - self._read[policy][1] > POLICY_TTL:
            try:
                created = [Meta.of(await self._client.get(resource, "", policy)).created for resource in POLICIES]
                self._read[policy] = (max(created), self._clock())
            except (errors.NotFound, errors.Denied):
                self._read[policy] = (None, self._clock())
        return self._read[policy][0]

"""Checks what a user may do with an App's runs, by a SubjectAccessReview. It decides nothing itself.

A result is kept for ten seconds. For a pod that sends it is valid longer while the API server is unavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.model.manifests import GROUP
from dynamiq_operator.serving.recent import Recent
from dynamiq_recorder.identity.tokens import GOES_ON, NotNow, User

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
RUNS, CONTENTS = "runs", "runcontents"
"""Subresources of Apps."""
KNOWN_FOR, KNOWN_MOST = 10.0, 20_000
AT_ONCE = 16
WITHIN = 8.0


class Rights:
    """Access reviews and their recent results, for one event loop."""

    def __init__(self, client: Client, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._clock = client, clock
        self._known = Recent[tuple[object, ...], bool](KNOWN_MOST)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def may(self, user: User, verb: str, subresource: str, namespace: str, name: str) -> bool:
        """Returns True if a user may do this with an App's runs. `namespace`, `name`: of the App; both empty for every App.

        Raises NotNow.
        """
        return await self._may(user, {"verb": verb, "resource": "apps", "subresource": subresource, "namespace": namespace, "name": name})

    async def may_in(self, user: User, verb: str, resource: str, namespace: str) -> bool:
        """Returns True if a user may do this with all our objects of a resource in a namespace; in all if it is empty.

        Raises NotNow.
        """
        return await self._may(user, {"verb": verb, "resource": resource, "namespace": namespace})

    async def _may(self, user: User, attributes: Mapping[str, str]) -> bool:
        key = (user.username, user.uid, user.groups, tuple(sorted(user.extra.items())), *sorted(attributes.items()))
        now = self._clock()
        if (known := self._known.get(key, now)) is not None:
            return known
        stale = self._known.get(key, now - GOES_ON)
        try:
            async with self._slots:
                allowed = await self._review(user, attributes)
        except NotNow:
            # Valid longer, as its token is: runs that the gate relays are lost if they are refused.
            if stale is not None and user.pod is not None and attributes["verb"] == "create":
                return stale
            raise
        self._known.put(key, allowed, now + KNOWN_FOR)
        return allowed

    async def _review(self, user: User, attributes: Mapping[str, str]) -> bool:
        spec = {
            "user": user.username,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {each: list(values) for each, values in user.extra.items()},
            "resourceAttributes": {"group": GROUP, **{name: value for name, value in attributes.items() if value}},
        }
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        try:
            answer = await self._client.request("POST", REVIEWS, body=review, required="status", within=WITHIN)
        except errors.ApiError as error:
            raise NotNow(f"the API server does not say what you may do: {error}") from error
        return answer["status"].get("allowed") is True

"""Whether what protects the history is in place, and what may be taken from it: looked at once a minute, said in the log and in Events.

No policy can guard the policies, and the operator has no right to write them: an installation that lost one, or whose binding no longer
refuses, goes on, and says so. The Events are about the CustomResourceDefinition of rows, in the namespace default, where Events about
what has no namespace are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime

from dynamiq_operator.controller.execute.events import an_event
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import DEFINITIONS, EVENTS, POLICIES, VALIDATING_POLICIES, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, parse_time

PERIOD = 60.0
"""Seconds between two looks."""

log = logging.getLogger(__name__)


async def watch_admission_policies(client: Client, identity: str, period: float = PERIOD) -> None:
    """Looks again and again; an answer that is missing says nothing of what is there."""
    policies = AdmissionPolicies(client, identity)
    while True:
        try:
            await policies.check()
        except Exception as error:  # whatever it is, Apps have nothing to do with it
            policies.unknown(str(error))
        await asyncio.sleep(period)


class AdmissionPolicies:
    """What was seen last, so that each change is said once."""

    def __init__(self, client: Client, identity: str) -> None:
        self._client, self._identity = client, identity
        self._lacking: tuple[str, ...] = ()
        self._unknown = ""
        self._said: set[str] = set()

    async def check(self) -> None:
        """Says what is missing, and what may be weakened. Raises errors.ApiError."""
        definitions = [await self._client.get(DEFINITIONS, "", name) for name in names.FROZEN_DEFINITIONS]
        for definition in definitions:
            await self._say_weakening(definition)
        lacking = tuple([kind for resource in (*VALIDATING_POLICIES, *POLICIES) if (kind := await self._missing(resource))])
        self._unknown = ""
        if lacking == self._lacking:
            return
        said = f"not in place, so that history is not protected as it is meant to be: {', '.join(lacking)}; apply manifests/admission again"
        if lacking:
            log.error("admission policies are %s", said)
            await self._say(definitions[0], "Unprotected", f"admission policies are {said}")
        else:
            log.info("every admission policy is in place again")
            await self._say(definitions[0], "Protected", "every admission policy is in place again", warning=False)
        self._lacking = lacking

    def unknown(self, why: str) -> None:
        """Says once that nobody can tell."""
        if why != self._unknown:
            self._unknown = why
            log.warning("whether the admission policies are in place cannot be read: %s", why)

    async def _missing(self, resource: ApiResource) -> str:
        """The kind, and which of it are missing: an Event has no room for the kind before each name."""
        wanted = names.VALIDATING_POLICIES if resource in VALIDATING_POLICIES else names.MUTATING_POLICIES
        found: set[str] = set()
        with contextlib.suppress(errors.NotFound):  # a cluster without mutating policies
            async for page in self._client.pages(resource):
                found |= {raw["metadata"]["name"] for raw in page["items"] if _works(raw)}
        missing = [name for name in wanted if name not in found]
        if len(missing) == len(wanted):
            return f"every {resource.kind}"
        return f"{resource.kind} {', '.join(missing)}" if missing else ""

    async def _say_weakening(self, definition: Manifest) -> None:
        annotations = definition["metadata"].get("annotations") or {}
        named, until = annotations.get(names.WEAKENING_ANNOTATION, ""), annotations.get(names.WEAKENING_UNTIL_ANNOTATION, "")
        try:
            over = parse_time(until) <= datetime.now(UTC)
        except ValueError:
            return  # the policy allows nothing by it
        if over:
            told = (
                f"the time until which it could lose what {names.WEAKENING_ANNOTATION} names is over ({until}): take both annotations off"
            )
            await self._say(definition, "WeakeningExpired", told, warning=False)
        elif named:
            await self._say(definition, "WeakeningAllowed", f"until {until} this schema may lose: {'; '.join(named.splitlines())}")

    async def _say(self, about: Manifest, reason: str, message: str, *, warning: bool = True) -> None:
        meta = about["metadata"]
        minute = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M") if reason in ("Protected", "Unprotected") else ""
        name = names.event(meta["uid"], reason, message, minute)
        if name in self._said:
            return
        involved = {"apiVersion": DEFINITIONS.api_version, "kind": DEFINITIONS.kind, "name": meta["name"], "uid": meta["uid"]}
        event = an_event(involved, {"name": name, "namespace": "default"}, reason, message, self._identity, warning=warning)
        with contextlib.suppress(errors.AlreadyExists):
            await self._client.create(EVENTS, event)
        self._said.add(name)


def _works(raw: Manifest) -> bool:
    """Whether a policy is there, or a binding binds it, and refuses."""
    spec = raw["spec"]
    if "policyName" not in spec:
        return True
    return (
        spec["policyName"] == raw["metadata"]["name"]
        and "Deny" in spec.get("validationActions", ["Deny"])
        and not spec.get("matchResources")
    )

"""Checks once a minute that the policies that protect the history exist, and what a schema may lose now. It reports changes in the log and
in Events.

It repairs nothing: no policy can guard the policies, and the operator has no right to write them. An installation that lost a policy, or
whose binding no longer refuses, keeps working. The Events are about CustomResourceDefinitions, in the namespace default: Events about
cluster-scoped objects belong there.
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
"""Seconds between two checks."""

log = logging.getLogger(__name__)


async def watch_admission_policies(client: Client, identity: str, period: float = PERIOD) -> None:
    """Checks forever. A check that fails leaves the policies unknown, not missing."""
    policies = AdmissionPolicies(client, identity)
    while True:
        try:
            await policies.check()
        except Exception as error:  # whatever it is, Apps have nothing to do with it
            policies.unknown(str(error))
        await asyncio.sleep(period)


class AdmissionPolicies:
    """The state of the policies at the last check, so that each change is reported once."""

    def __init__(self, client: Client, identity: str) -> None:
        self._client, self._identity = client, identity
        self._lacking: tuple[str, ...] = ()
        self._unknown = ""
        self._reported: set[str] = set()

    async def check(self) -> None:
        """Reports missing policies, and schemas that may lose something.

        Raises errors.ApiError.
        """
        definitions = [await self._client.get(DEFINITIONS, "", name) for name in names.FROZEN_DEFINITIONS]
        for definition in definitions:
            await self._report_weakening(definition)
        lacking = tuple([kind for resource in (*VALIDATING_POLICIES, *POLICIES) if (kind := await self._missing(resource))])
        self._unknown = ""
        if lacking == self._lacking:
            return
        message = f"missing or changed, so that history is not fully protected: {', '.join(lacking)}; apply manifests/admission again"
        if lacking:
            log.error("admission policies are %s", message)
            await self._report(definitions[0], "Unprotected", f"admission policies are {message}")
        else:
            log.info("every admission policy is in place again")
            await self._report(definitions[0], "Protected", "every admission policy is in place again", warning=False)
        self._lacking = lacking

    def unknown(self, why: str) -> None:
        """Logs, once for each reason, that the state of the policies is unknown."""
        if why != self._unknown:
            self._unknown = why
            log.warning("admission policies cannot be read, so it is unknown whether they are in place: %s", why)

    async def _missing(self, resource: ApiResource) -> str:
        """Returns a kind with the names of its missing objects; empty if none is missing."""
        expected = names.VALIDATING_POLICIES if resource in VALIDATING_POLICIES else names.MUTATING_POLICIES
        working: set[str] = set()
        with contextlib.suppress(errors.NotFound):  # a cluster without mutating policies
            async for page in self._client.pages(resource):
                working |= {raw["metadata"]["name"] for raw in page["items"] if _works(raw)}
        missing = [name for name in expected if name not in working]
        if len(missing) == len(expected):
            return f"every {resource.kind}"
        # An Event has no room for the kind before each name.
        return f"{resource.kind} {', '.join(missing)}" if missing else ""

    async def _report_weakening(self, definition: Manifest) -> None:
        """Reports what a schema may lose now, or that the time for it is over."""
        annotations = definition["metadata"].get("annotations") or {}
        losses, until = annotations.get(names.WEAKENING_ANNOTATION, ""), annotations.get(names.WEAKENING_UNTIL_ANNOTATION, "")
        try:
            over = parse_time(until) <= datetime.now(UTC)
        except ValueError:
            return  # the policy allows nothing by it
        if over:
            message = f"remove both annotations: the time for the losses of {names.WEAKENING_ANNOTATION} ended at {until}"
            await self._report(definition, "WeakeningExpired", message, warning=False)
        elif losses:
            await self._report(definition, "WeakeningAllowed", f"until {until} this schema may lose: {'; '.join(losses.splitlines())}")

    async def _report(self, about: Manifest, reason: str, message: str, *, warning: bool = True) -> None:
        meta = about["metadata"]
        minute = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M") if reason in ("Protected", "Unprotected") else ""
        name = names.event(meta["uid"], reason, message, minute)
        if name in self._reported:
            return
        involved = {"apiVersion": DEFINITIONS.api_version, "kind": DEFINITIONS.kind, "name": meta["name"], "uid": meta["uid"]}
        event = an_event(involved, {"name": name, "namespace": "default"}, reason, message, self._identity, warning=warning)
        with contextlib.suppress(errors.AlreadyExists):
            await self._client.create(EVENTS, event)
        self._reported.add(name)


def _works(raw: Manifest) -> bool:
    """Returns True for a policy, and for a binding that binds its policy everywhere and refuses."""
    spec = raw["spec"]
    if "policyName" not in spec:
        return True
    return (
        spec["policyName"] == raw["metadata"]["name"]
        and "Deny" in spec.get("validationActions", ["Deny"])
        and not spec.get("matchResources")
    )

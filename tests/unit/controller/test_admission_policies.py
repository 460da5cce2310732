"""The operator reports missing policies once, and rules that may be weakened. An unreadable policy is not reported as missing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamiq_operator.controller.upkeep.admission_policies import AdmissionPolicies
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import DEFINITIONS, EVENTS, POLICIES, VALIDATING_POLICIES
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, format_time
from tests.support.scripted import Script, failure, listed

EVENTS_PATH = EVENTS.path("default")
ROWS = names.FROZEN_DEFINITIONS[0]


def definition(name: str, **annotations: str) -> Manifest:
    keys = {"named": names.WEAKENING_ANNOTATION, "until": names.WEAKENING_UNTIL_ANNOTATION}
    return {"metadata": {"name": name, "uid": f"uid-of-{name}", "annotations": {keys[key]: value for key, value in annotations.items()}}}


def installed(script: Script, *without: str, binding: dict[str, Any] | None = None) -> Script:
    """Installs all policies but those in `without`. `binding`: fields of each binding's spec besides the policy's name."""
    for resources, policies in ((VALIDATING_POLICIES, names.VALIDATING_POLICIES), (POLICIES, names.MUTATING_POLICIES)):
        for resource in resources:
            named = [name for name in policies if f"{resource.kind} {name}" not in without]
            specs = [{"policyName": name, **(binding or {})} if resource.kind.endswith("Binding") else {} for name in named]
            made = [{"metadata": {"name": name}, "spec": spec} for name, spec in zip(named, specs, strict=True)]
            script.on("GET", resource.path(), listed(*made))
    return script


@pytest.fixture
def script() -> Script:
    script = installed(Script()).on("POST", EVENTS_PATH, {"metadata": {"name": "made"}})
    for name in names.FROZEN_DEFINITIONS:
        script.on("GET", DEFINITIONS.path("", name), definition(name))
    return script


def events(script: Script) -> list[tuple[str, str, str]]:
    """Returns reason, object and message of each Event."""
    made = [sent.body for sent in script.sent if sent.path == EVENTS_PATH]
    return [(event["reason"], event["involvedObject"]["name"], event["message"]) for event in made]


async def test_complete_policies_send_no_event(client: Client, script: Script) -> None:
    await AdmissionPolicies(client, "a").check()
    assert events(script) == []


async def test_missing_policies_and_their_return_are_one_event_each(
    client: Client, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    guards = AdmissionPolicies(client, "a")
    installed(script, "ValidatingAdmissionPolicyBinding dynamiq-rows", "MutatingAdmissionPolicy dynamiq-apps")
    for _ in range(3):
        await guards.check()
    ((reason, about, message),) = events(script)
    assert (reason, about) == ("Unprotected", ROWS)
    assert "ValidatingAdmissionPolicyBinding dynamiq-rows, MutatingAdmissionPolicy dynamiq-apps; apply manifests/admission again" in message
    assert [record.levelno for record in caplog.records if "missing or changed" in record.message] == [logging.ERROR]
    installed(script)
    await guards.check()
    assert [event[0] for event in events(script)] == ["Unprotected", "Protected"]


@pytest.mark.parametrize(
    "spec",
    [{"validationActions": ["Audit"]}, {"policyName": "another"}, {"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}],
)
async def test_a_binding_that_does_not_refuse_is_none(client: Client, script: Script, spec: dict[str, Any]) -> None:
    installed(script, binding=spec)
    await AdmissionPolicies(client, "a").check()
    ((reason, _, message),) = events(script)
    assert reason == "Unprotected"
    assert ": every ValidatingAdmissionPolicyBinding, every MutatingAdmissionPolicyBinding; " in message


async def test_an_event_has_room_for_all_that_may_be_missing(client: Client, script: Script) -> None:
    for resource in (*VALIDATING_POLICIES, *POLICIES):
        script.on("GET", resource.path(), listed())
    await AdmissionPolicies(client, "a").check()
    assert events(script)[0][2].endswith("; apply manifests/admission again")


async def test_unreadable_policies_are_not_missing(client: Client, script: Script) -> None:
    script.on("GET", VALIDATING_POLICIES[0].path(), failure(403, "Forbidden"))
    with pytest.raises(errors.Denied):
        await AdmissionPolicies(client, "a").check()
    assert events(script) == []


async def test_a_cluster_without_mutating_policies_lacks_them(client: Client, script: Script) -> None:
    for resource in POLICIES:
        script.on("GET", resource.path(), failure(404, "NotFound"))
    await AdmissionPolicies(client, "a").check()
    assert ": every MutatingAdmissionPolicy, every MutatingAdmissionPolicyBinding; " in events(script)[0][2]


async def test_a_permitted_weakening_and_its_expiry_are_one_event_each(client: Client, script: Script) -> None:
    guards, name = AdmissionPolicies(client, "a"), names.FROZEN_DEFINITIONS[1]
    soon = format_time(datetime.now(UTC) + timedelta(hours=1))
    script.on("GET", DEFINITIONS.path("", name), definition(name, named="spec.config: a\nfield spec.b", until=soon))
    await guards.check()
    await guards.check()
    assert events(script) == [("WeakeningAllowed", name, f"until {soon} this schema may lose: spec.config: a; field spec.b")]
    script.on("GET", DEFINITIONS.path("", name), definition(name, named="spec.config: a", until="2026-01-01T00:00:00Z"))
    await guards.check()
    assert [event[0] for event in events(script)] == ["WeakeningAllowed", "WeakeningExpired"]


@pytest.mark.parametrize("until", ["", "true", "for ever"])
async def test_an_invalid_time_permits_nothing_and_sends_no_event(client: Client, script: Script, until: str) -> None:
    script.on("GET", DEFINITIONS.path("", ROWS), definition(ROWS, named="spec.config: a", until=until))
    await AdmissionPolicies(client, "a").check()
    assert events(script) == []


async def test_an_existing_event_counts_as_sent(client: Client, script: Script) -> None:
    installed(script, "ValidatingAdmissionPolicy dynamiq-rows")
    script.on("POST", EVENTS_PATH, failure(409, "AlreadyExists"))
    await AdmissionPolicies(client, "a").check()
    assert len(events(script)) == 1


async def test_an_event_that_could_not_be_written_is_written_later(client: Client, script: Script) -> None:
    guards = AdmissionPolicies(client, "a")
    installed(script, "ValidatingAdmissionPolicy dynamiq-rows")
    script.on("POST", EVENTS_PATH, failure(503, "Busy"))
    with pytest.raises(errors.Unavailable):
        await guards.check()
    script.on("POST", EVENTS_PATH, {"metadata": {"name": "made"}})
    await guards.check()
    await guards.check()
    assert len(events(script)) == 2

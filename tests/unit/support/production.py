"""An App whose rows need an approval, and the environments of its pods: variables, access and recording."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.guard_objects import Approval, DeployPolicy
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given
from tests.support.world import World, stamped

STAMPED = given.NOW - timedelta(days=1)
Environment = tuple[tuple[str, ...], bool, str]
"""Variables as JSON, whether Access Keys are checked, and the recording, as JSON."""


class Production(World):
    """A world with a policy that requires one approval. Rows are anna's; bert approves them."""

    def __init__(self, *modifiers: given.Modifier, approvals: bool = True) -> None:
        releases = [given.version_manifest(version) for version in ("v1", "v2", "v3")]
        super().__init__(given.app_manifest(*modifiers), given.runtime_manifest(), *releases)
        self.words: list[Approval] = []
        self.rules: Manifest = {}
        self.beside: tuple[DeployPolicy, ...] = ()
        self.unreadable = ""
        if approvals:
            self.rule(approvals={"count": 1})

    def snapshot(self) -> Snapshot:
        return stamped(super().snapshot(), STAMPED)

    def rule(self, *, unreadable: str = "", **rules: Any) -> None:
        """Sets the policy's rules from now on; without rules there is no policy."""
        self.rules, self.unreadable = rules, unreadable
        self._observe()

    def freeze(self) -> None:
        """Starts a freeze of an hour, besides the policy's rules."""
        window = {"name": "night", "from": format_time(self.now), "to": format_time(self.now + timedelta(hours=1))}
        self.rule(**{**self.rules, "freezes": [window]})

    def freeze_rollbacks(self, after: str) -> None:
        """Starts a freeze of an hour for rollbacks too, besides a policy that requires an approval of all other rows."""
        self.freeze()
        freezes = {"namespaceSelector": {}, "freezes": self.rules.pop("freezes"), "exempt": [], "afterFreeze": after}
        self.beside = (DeployPolicy.of({"metadata": {"name": "nights"}, "spec": freezes}),)
        self._observe()

    def approve(self, row: str) -> None:
        self._say("Approve", row, "bert")

    def resume(self, row: str) -> None:
        """Resumes a row after its freeze, as anna."""
        self._say("Resume", row, "anna")

    def _say(self, purpose: str, row: str, by: str) -> None:
        pinned = self.rows[row].pinned
        assert pinned is not None
        spec = {"row": row, "digest": pinned.digest, "purpose": purpose, "by": by}
        made = {"metadata": {"name": f"word-{len(self.words)}", "creationTimestamp": format_time(self.now)}, "spec": spec}
        self.words.append(Approval.of(made))
        self._observe()

    def ask(self, name: str, version: str = "v1", **asking: Any) -> None:
        """Creates a row as anna, which is pinned, and waits if it has to."""
        self.deploy(name, None if "restores" in asking else version, createdBy="anna", **asking)
        self.settle()

    def deploy_approved(self, name: str, version: str = "v1", **asking: Any) -> None:
        self.ask(name, version, **asking)
        self.approve(name)
        self.run()

    def patch(self, **spec: Any) -> None:
        """Changes the App as a user."""
        made = self.objects[(API_VERSION, kinds.APP.kind, given.NAME)]
        made["spec"] |= spec
        self.edited(made)

    def delete_workloads(self) -> None:
        for name in list(self.workloads):
            del self.objects[("apps/v1", "Deployment", name)]

    @property
    def environments(self) -> set[Environment]:
        """Returns the environment of each workload's template."""
        return {environment_of(made["spec"]["template"]) for made in self.workloads.values()}

    @property
    def tones(self) -> list[str]:
        """Returns the values of variable TONE, by name of the workload."""
        return [
            next((each["value"] for each in _container(made["spec"]["template"])["env"] if each["name"] == "TONE"), "-")
            for _, made in sorted(self.workloads.items())
        ]

    def held(self) -> str:
        """Returns why variables are on hold; empty if they are not."""
        return next((each.message for each in self.app.status.conditions if each.type == "VariablesHeld"), "")

    def _observe(self) -> None:
        spec = {"namespaceSelector": {}, **self.rules}
        policies = (DeployPolicy.of({"metadata": {"name": "production"}, "spec": spec}),) if self.rules else ()
        self.guards = ObservedGuards(
            policies=(*policies, *self.beside), approvals=tuple(self.words), unknown=self.unreadable, stamped_since=STAMPED
        )


def tone(value: str) -> list[Manifest]:
    return [{"name": "TONE", "value": value}]


def environment_of(template: Manifest) -> Environment:
    """Returns the environment of the App in a template, from its container and its volumes alone."""
    env = {each["name"]: each for each in _container(template)["env"]}
    own = [json.dumps(each, sort_keys=True) for name, each in env.items() if not name.startswith("DYNAMIQ_") and name != "PORT"]
    is_private = any(volume["name"] == "access-keys" for volume in template["spec"]["volumes"])
    return tuple(sorted(own)), is_private, env.get("DYNAMIQ_RUNS", {}).get("value", "")


def _container(template: Manifest) -> Manifest:
    (container,) = template["spec"]["containers"]
    found: Manifest = container
    return found

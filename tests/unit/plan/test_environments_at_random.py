"""Random Apps, rows, rules and accidents: no plan makes a template with an environment that was neither approved nor applied.

A template's environment is read from its digest: this includes fields that a pod without a recorder does not get.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterable, Sequence

import pytest

from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import environment_digest, template_digests
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.operations import AdmitRow, ApplyChild, CompleteRow, CreateChild, Operation
from dynamiq_operator.plan.planner import make_plan
from tests.support import factories as given
from tests.support.history_stage import in_full
from tests.support.world import Stale, Taken
from tests.unit.support.production import Production, tone

STORIES, STEPS = (800, 40) if in_full() else (8, 25)
POLICY = ("NetworkPolicy", names.network_policy(given.NAME))
NETWORK = {"ingressFrom": [{"podSelector": {"matchLabels": {"app": "shop"}}}]}


class Story:
    """One App and its events. `apps`: the App by each environment that it had. `applied`: the environment of each workload's template.

    `made_of`: the environment of each inputs digest that templates note.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a seed, so that a failure can be repeated
        self.world = Production(given.with_variables(*tone("kind")), given.with_spec(network=NETWORK))
        self.apps: dict[str, App] = {}
        self.applied: dict[str, str] = {}
        self.last: set[str] = set()
        self.in_force: set[str] = set()
        self.pins: dict[str, Pins] = {}
        self.known: set[tuple[str, str]] = set()
        self.made_of: dict[str, str] = {}
        self.made = 0
        self.told: list[str] = []

    def step(self) -> None:
        acts = (self.patch, self.patch, self.patch, self.switch, self.rule, self.ask, self.ask, self.approve, self.approve, self.break_)
        act = self.chance.choice(acts)
        self.told.append(f"{act.__name__}: {act()}")
        self.world.later(self.chance.choice((1, 60, 1000)))
        for _ in range(self.chance.choice((0, 1, 3, 12))):
            self.plan()
            if self.chance.random() < 0.7:
                self.world.roll()

    # Acts of people.

    def patch(self) -> str:
        patches: list[Manifest] = [
            *({"variables": tone(value)} for value in ("kind", "rude", "worse", "$HOME")),
            *({"access": access} for access in ({"type": "private", "origins": ["https://app.example.com"]}, {"type": "public"})),
            *({"runs": runs} for runs in ({"content": True}, {"content": False}, {"redact": {"fields": ["email"]}})),
        ]
        spec = self.chance.choice(patches)
        self.world.patch(**spec)
        return str(spec)

    def switch(self) -> str:
        strategy = self.chance.choice(("Rolling", "Switch"))
        self.world.patch(rollout={"strategy": strategy})
        return strategy

    def rule(self) -> str:
        event = self.chance.choice(("approvals", "approvals", "freeze", "none", "unreadable", "suspend", "resume", "recorder", "nights"))
        match event:
            case "approvals":
                self.world.rule(approvals={"count": 1})
            case "freeze":
                self.world.freeze()
            case "nights":
                self.world.freeze_rollbacks("Deploy")
            case "none":
                self.world.rule()
            case "unreadable":
                self.world.rule(unreadable="it is away", **self.world.rules)
            case "recorder":
                self.world.settings = Settings(recorder=self.chance.choice((None, "http://recorder")))
            case _:
                self.world.patch(suspend=event == "suspend")
        return event

    def ask(self) -> str:
        """Creates a row, which is pinned in the next plan."""
        self.made += 1
        name = f"row-{self.made:03}"
        ran = [row.name for row in self.world.rows.values() if row.pinned]
        restored = self.chance.choice(ran) if ran else None
        kinds: tuple[Manifest, ...] = ({}, {}, {"bypass": {"reason": "night"}}, {"restores": restored} if restored else {})
        asking = self.chance.choice(kinds)
        version = None if "restores" in asking else self.chance.choice(("v1", "v2"))
        self.world.deploy(name, version, createdBy="anna", **asking)
        return f"{name} {version} {asking}"

    def approve(self) -> str:
        waiting = [row.name for row in self.world.rows.values() if row.pinned and not row.outcome]
        for name in waiting:
            self.world.approve(name)
        return str(waiting)

    def break_(self) -> str:
        """Deletes or edits workloads as an authorized user, or lets their NetworkPolicy be refused."""
        event = self.chance.choice(("all", "one", "note", "template", "refuse", "accept", "accept"))
        found = sorted(self.world.workloads)
        if event == "all":
            self.world.delete_workloads()
        elif event == "refuse":
            self.world.objects.pop(("networking.k8s.io/v1", *POLICY), None)
            self.world.refused[POLICY] = "a label value is invalid"
        elif event == "accept":
            self.world.refused.clear()
            self.world.problems.clear()
        elif found:
            made = self.world.workloads[self.chance.choice(found)]
            if event == "one":
                del self.world.objects[("apps/v1", "Deployment", made["metadata"]["name"])]
            elif event == "note":
                made["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION] = "{}"
                self.world.edited(made)
            else:
                made["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "MINE", "value": "x"})
                self.world.edited(made)
        return event

    # Acts of the operator.

    def plan(self) -> None:
        """Makes a plan, checks each template in it, and performs all of it, or a part as if the operator were killed."""
        snapshot = self.world.snapshot()
        operations = list(make_plan(snapshot).operations)
        self.apps[environment_digest(self.world.app)] = self.world.app
        context = Context.of(snapshot, self.world.app)
        if not context.holds_variables:
            self.in_force = {environment_digest(self.world.app)}
        written = [each for each in operations if isinstance(each, CreateChild | ApplyChild) and each.manifest["kind"] == "Deployment"]
        if written:
            self.look(written, self.allowed(context, operations))
        del operations[self.chance.choice((len(operations), len(operations), len(operations) // 2)) :]
        with contextlib.suppress(Taken, Stale):
            self.world.perform(operations)
        for name, made in self.world.workloads.items():
            if (found := self.environment(made)) is not None:  # where the note was edited its pods have what they had
                self.applied[name] = found
        self.applied = {name: digest for name, digest in self.applied.items() if name in self.world.workloads}
        self.last = set(self.applied.values()) or self.last

    def look(self, written: Sequence[CreateChild | ApplyChild], allowed: set[str]) -> None:
        for each in written:
            name = each.manifest["metadata"]["name"]
            assert self.environment(each.manifest) in allowed, f"the template of {name} has another environment, after {self.told}"

    def environment(self, manifest: Manifest) -> str | None:
        """Returns the digest of the environment from which a template was made; None if its note was edited."""
        note = json.loads(manifest["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION])
        return self.made_of.get(note.get("inputs"))

    def know(self, pinned: Iterable[Pinned]) -> None:
        """Adds the inputs digests of these and all earlier pins with each environment that the App had."""
        self.pins |= {pins.digest: pins for pins in map(Pins.of, pinned)}
        for environment, app in self.apps.items():
            for pins in self.pins.values():
                if (environment, pins.digest) not in self.known:
                    self.known.add((environment, pins.digest))
                    self.made_of |= {template_digests(each, pins)[0]: environment for each in (app, _said(app))}

    def allowed(self, context: Context, operations: Sequence[Operation]) -> set[str]:
        """Returns the allowed environments.

        These are the applied ones, and those noted by rows that were admitted or under no guard and that have not ended. The App's own is
        allowed while no rule holds it. The last such one is also allowed later where there is no workload: it would be the applied one, had
        a workload been made.
        """
        live = context.history.live.name if context.history.live is not None else None
        rows = [row for row in self.world.rows.values() if row.outcome is None or row.name == live]
        pinned = {row.name: row.pinned for row in rows if row.pinned is not None}
        pinned |= {each.row.name: each.pinned for each in operations if isinstance(each, CompleteRow) and each.pinned is not None}
        self.know(pinned.values())
        released = {each.row.name for each in operations if isinstance(each, AdmitRow)}
        released |= {row.name for row in rows if row.spec.released is not None or row.spec.bypass is not None}
        approved = {
            each.environment for name, each in pinned.items() if (name in released or not each.guards) and each.environment is not None
        }
        own = self.in_force if not context.holds_variables or not self.applied else set()
        return own | approved | self.last | set(self.applied.values())


def _said(app: App) -> App:
    """Returns the App with `runs.content: false` where that is left out: pods get the same, and an environment read from them says it."""
    runs = app.spec.runs
    if runs is None or runs.content is not None:
        return app
    return App(app.meta, app.spec.model_copy(update={"runs": runs.model_copy(update={"content": False})}), app.status)


@pytest.mark.full_count
@pytest.mark.parametrize("place", range(4))
def test_no_template_has_an_environment_that_was_neither_approved_nor_applied(place: int) -> None:
    for seed in range(place, STORIES, 4):
        story = Story(seed)
        for _ in range(STEPS):
            story.step()

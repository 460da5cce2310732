"""`promote` and `release`: to another environment, and from a draft to a version."""

from __future__ import annotations

import json

import pytest

from dynamiq_operator.actions.rights import REVIEWS
from dynamiq_operator.cli.commands import promote
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, VERSIONS, WORKFLOWS
from dynamiq_operator.model.names import ENVIRONMENT_LABEL, PROJECT_LABEL
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import failure, listed, missing
from tests.support.scripted_namespace import hostnames
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.waiting import IN_TIME

THERE = "production"
"""The target's namespace."""

MADE = ("deployments", "apps", "workflowversions")


def namespace(name: str, environment: str) -> Manifest:
    return {"metadata": {"name": name, "labels": {PROJECT_LABEL: "support", ENVIRONMENT_LABEL: environment}}}


def row(*modifiers: given.Modifier, name: str = "chat-a") -> Manifest:
    return given.stored(given.row_manifest(name, *modifiers))


@pytest.fixture
def staging(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat, which serves v2 in staging. The production of its project has never had the App."""
    plugin.app(given.stored(given.app_manifest(given.with_hostname("chat.staging.example"))))
    plugin.rows(row(given.live(2, "v2")))
    plugin.flows("v2")
    plugin.runtimes(given.stored(given.runtime_manifest()))
    script = plugin.script
    script.on("GET", NAMESPACES.path("", NAMESPACE), namespace(NAMESPACE, "staging"))
    script.on("GET", NAMESPACES.path(), listed(namespace(NAMESPACE, "staging"), namespace(THERE, "production")))
    script.on("GET", NAMESPACES.path("", THERE), namespace(THERE, "production")).on("GET", APPS.path(), hostnames())
    script.on("GET", APPS.path(THERE), listed())
    script.on("POST", REVIEWS.path(), {"status": {"allowed": True}})
    script.on("GET", APPS.path(THERE, NAME), missing("apps", NAME))
    script.on("GET", VERSIONS.path(THERE, "chat-v2"), missing("workflowversions", "chat-v2"))
    script.on("GET", ROWS.path(THERE), listed())
    for resource in (VERSIONS, APPS):
        script.on("POST", resource.path(THERE), lambda sent: sent.body)
    script.on("POST", ROWS.path(THERE), given.stored(given.row_manifest("chat-p", given.in_namespace(THERE))))
    return plugin


def made(plugin: ScriptedPlugin) -> list[str]:
    """Returns the kinds of the objects created in the target, without dry runs and reviews."""
    return [sent.body["kind"] for sent in plugin.script.writes() if "dryRun" not in sent.query and sent.path != REVIEWS.path()]


def test_a_first_promotion_makes_version_app_and_row(staging: ScriptedPlugin) -> None:
    done = staging("promote", "chat", "--yes", "--hostname", "chat.example.com", "-m", "to all", "--no-wait")
    assert (done.code, done.out) == (0, "chat-p\n")
    assert done.err.startswith(
        "promote demo/chat v2 (#2) to production\n"
        "  App chat is made in production, with hostname chat.example.com\n"
        "  WorkflowVersion chat-v2 is put into production\n"
        "chat in production\n"
        "  version  (nothing) → v2\n"
    )
    assert made(staging) == ["WorkflowVersion", "App", "Deployment"]
    (app,) = staging.script.bodies("POST", APPS.path(THERE))
    assert app["spec"]["hostname"] == "chat.example.com"
    spec = staging.script.bodies("POST", ROWS.path(THERE))[-1]["spec"]
    assert (spec["message"], spec["promotedFrom"]["namespace"], spec["promotedFrom"]["row"]) == ("to all", NAMESPACE, "chat-a")


def test_a_preview_makes_nothing(staging: ScriptedPlugin) -> None:
    done = staging("promote", "chat", "--hostname", "chat.example.com", "--preview")
    assert (done.code, done.out.startswith("promote demo/chat v2 (#2) to production\n")) == (0, True)
    data = json.loads(staging("promote", "chat", "--hostname", "chat.example.com", "--preview", "-o", "json").out)
    assert (data["namespace"], data["from"], data["to"]["version"]) == (THERE, None, "v2")
    assert made(staging) == []


def test_a_terminal_asks_for_a_missing_hostname(staging: ScriptedPlugin) -> None:
    done = staging("promote", "chat", "--no-wait", typed="chat.example.com\ny\n")
    question = "give a hostname: App chat is new in production and needs its own there"
    assert (done.code, done.out) == (0, "chat-p\n")
    assert done.err.startswith(f"{question}\nHostname: ")
    assert done.err.endswith("\nPromote? [y/N] ")
    assert made(staging) == ["WorkflowVersion", "App", "Deployment"]


@pytest.mark.parametrize(
    "how", [{"options": ("--yes",)}, {"typed": "\n"}, {"options": ("--yes",), "typed": ""}, {"options": ("--preview",), "typed": ""}]
)
def test_without_an_answer_the_option_is_named(staging: ScriptedPlugin, how: Manifest) -> None:
    done = staging("promote", "chat", *how.get("options", ()), typed=how.get("typed"))
    assert done.code == 1
    assert done.err.endswith("needs its own there: --hostname\n")
    assert made(staging) == []


def test_without_a_terminal_nothing_is_promoted(staging: ScriptedPlugin) -> None:
    done = staging("promote", "chat", "--hostname", "chat.example.com")
    assert (done.code, done.out, "needs --yes" in done.err) == (2, "", True)
    assert made(staging) == []


def test_no_does_nothing(staging: ScriptedPlugin) -> None:
    done = staging("promote", "chat", "--hostname", "chat.example.com", typed="n\n")
    assert (done.code, done.err) == (1, "\nPromote? [y/N] nothing was done\n")
    assert made(staging) == []


def test_the_targets_own_is_kept(staging: ScriptedPlugin) -> None:
    """The target's App has its own hostname, and its rows have their own config."""
    staging.app(given.stored(given.app_manifest(given.in_namespace(THERE), given.with_hostname("chat.example.com"))), THERE)
    scaled = {**given.CONFIG, "autoscaling": {"minReplicas": 5, "maxReplicas": 5, "targetCPUUtilizationPercentage": 80}}
    staging.rows(row(given.live(7, "v1", config=scaled), given.in_namespace(THERE), name="chat-o"), namespace=THERE)
    staging.releases(given.stored(given.version_manifest("v2", given.in_namespace(THERE))), namespace=THERE)
    staging.flows("v1", namespace=THERE)
    done = staging("promote", "chat", "--yes", "--target-namespace", THERE, "--no-wait")
    assert (done.code, made(staging)) == (0, ["Deployment"])
    assert "  version  v1 (#7) → v2\n  runtime  1.0.0\n  config   5 pods at 80 % CPU\n" in done.err


def test_a_preview_has_the_targets_open_background_runs(staging: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote, "COUNTED_WITHIN", IN_TIME)
    staging.keeps_runs()
    guarded(staging)
    done = staging("promote", "chat", "--target-namespace", THERE, "--preview")
    assert "  2 background runs finish on v1 (#7)\n" in done.out, done.err


def guarded(staging: ScriptedPlugin, *guards: dict[str, object]) -> None:
    """Sets up a target App that serves v1 and has v2, the promoted version. The guards would block its deploys."""
    there = given.stored(given.app_manifest(given.in_namespace(THERE), given.with_hostname("chat.example.com")))
    staging.app({**there, "status": {**there.get("status", {}), "guards": list(guards)}}, THERE)
    staging.rows(row(given.live(7, "v1"), given.in_namespace(THERE), name="chat-o"), namespace=THERE)
    staging.releases(given.stored(given.version_manifest("v2", given.in_namespace(THERE))), namespace=THERE)
    staging.flows("v1", namespace=THERE)


@pytest.mark.parametrize(("seconds", "waits"), [(60, False), (100 * 365 * 86400, True)])
def test_a_soak_time_that_is_over_holds_nothing(staging: ScriptedPlugin, seconds: int, waits: bool) -> None:
    message = f"a promoted version would have to be live at its source for {seconds} s (policy production)"
    soak = {"reason": "Soaking", "message": message, "appliesTo": ["Promotion"], "policy": "production", "seconds": seconds}
    guarded(staging, soak)
    assert (message in staging("promote", "chat", "--target-namespace", THERE, "--preview").out) is waits
    data = json.loads(staging("promote", "chat", "--target-namespace", THERE, "--preview", "-o", "json").out)
    assert [each.get("until", "")[:2] for each in data["guards"]] == (["21"] if waits else [])


@pytest.mark.parametrize(("options", "code"), [((), 1), (("--bypass", "prod is down"), 0)])
def test_a_version_from_a_namespace_that_no_policy_names_is_refused_first(
    staging: ScriptedPlugin, options: tuple[str, ...], code: int
) -> None:
    soak = {
        "reason": "Soaking",
        "message": "x",
        "appliesTo": ["Promotion"],
        "policy": "production",
        "seconds": 60,
        "namespaces": ["qa", "dev"],
    }
    guarded(staging, soak)
    done = staging("promote", "chat", "--target-namespace", THERE, "--preview", *options)
    assert done.code == code
    assert ("policy production accepts versions only from qa, dev, not from demo" in done.err) is (code == 1)


def test_an_obstacle_is_one_sentence(staging: ScriptedPlugin) -> None:
    def refused(*options: str) -> str:
        done = staging("promote", "chat", "--yes", *options)
        assert done.code == 1
        return done.err

    assert refused("--to", "moon") == "error: project support has no environment moon; there are: production, staging\n"
    assert "demo is staging itself" in refused("--to", "staging")
    staging.script.on("POST", REVIEWS.path(), {"status": {"allowed": False}})
    rights = [*(f"create {plural}" for plural in MADE), "deploy deployments"]
    lacking = [f"you may not {each}.dynamiq.getdynamiq.ai in namespace production" for each in rights]
    assert refused("--hostname", "chat.example.com") == f"error: {' and '.join(lacking)}: ask for the role dynamiq-promoter there\n"
    shown = staging("promote", "chat", "--dry-run", "--hostname", "chat.example.com")
    assert (shown.code, [f"  you could not do this: {each}" in shown.out for each in lacking]) == (0, [True] * 4)
    staging.rows()
    assert refused() == "error: chat serves nothing in namespace demo yet: deploy it there first\n"
    staging.script.on("GET", NAMESPACES.path(), failure(403, "Forbidden", "namespaces is forbidden"))
    staging.rows(row(given.live(2, "v2")))
    assert refused() == "error: you may not list namespaces: name the target's (--target-namespace)\n"


# `release`.


@pytest.fixture
def drafted(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on a workflow whose draft is newer than its only release."""
    plugin.draft(given.stored(given.workflow_manifest()))
    plugin.releases(given.stored(given.version_manifest("v1")))
    plugin.script.on("POST", VERSIONS.path(NAMESPACE), lambda sent: sent.body)
    return plugin


def released(plugin: ScriptedPlugin) -> list[Manifest]:
    return plugin.script.bodies("POST", VERSIONS.path(NAMESPACE))


def test_a_draft_becomes_the_next_version(drafted: ScriptedPlugin) -> None:
    done = drafted("release", "chat", "--yes", "--description", "Answers in French")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("chat in demo\n  version  v1 → v2\n\n--- v1\n+++ v2\n")
    assert done.out.endswith("chat v2 is released: deploy it by `kubectl dynamiq deploy APP --version v2 -n demo`\n")
    (made,) = released(drafted)
    assert made["metadata"]["name"] == "chat-v2"
    assert made["spec"] == {"workflow": "chat", "version": "v2", "description": "Answers in French", "flow": given.flow("draft")}


def test_a_flow_that_cannot_run_is_released_by_force_alone(drafted: ScriptedPlugin) -> None:
    broken = "nodes: [{id: answer, type: dynamiq.nodes.utils.Output, depends: [{node: anser}]}]"
    drafted.draft(given.stored(given.workflow_manifest(given.with_spec(flow=broken))))
    done = drafted("release", "chat", "--yes")
    message = 'node "answer" depends on "anser", which is not in the flow'
    assert (done.code, done.err) == (1, f"error: the flow cannot run: {message}; --force releases it as it is\n")
    assert released(drafted) == []
    assert f"  {message}\n" in drafted("release", "chat", "--yes", "--force").out
    assert len(released(drafted)) == 1


def test_a_release_as_data(drafted: ScriptedPlugin) -> None:
    done = drafted("release", "chat", "--yes", "-o", "json")
    assert json.loads(done.out)["spec"]["version"] == "v2"
    assert done.err.startswith("chat in demo\n")


def test_without_a_terminal_nothing_is_released(drafted: ScriptedPlugin) -> None:
    done = drafted("release", "chat")
    assert (done.code, done.out, "needs --yes" in done.err) == (2, "", True)
    assert released(drafted) == []


def test_a_preview_of_a_release(drafted: ScriptedPlugin) -> None:
    assert drafted("release", "chat", "--preview").out.startswith("chat in demo\n  version  v1 → v2\n\n--- v1\n+++ v2\n")
    data = json.loads(drafted("release", "chat", "--preview", "-o", "json").out)
    assert (data["from"], data["to"], data["noOp"], data["flowDiff"][:11]) == ("v1", "v2", False, "--- v1\n+++ ")
    assert released(drafted) == []


def test_a_draft_that_is_released_already(drafted: ScriptedPlugin) -> None:
    drafted.draft(given.stored(given.workflow_manifest(given.with_spec(flow=given.flow("v1")))))
    done = drafted("release", "chat", "--yes")
    assert (done.code, done.err) == (0, "the draft of chat is v1 already: nothing was done\n")
    assert done.out == "chat in demo\n  version  v1 → v2\n  nothing changed since v1\n"
    assert released(drafted) == []


def test_another_description_of_the_same_draft_is_another_version(drafted: ScriptedPlugin) -> None:
    """A version keeps its description, and a given description is not dropped."""
    drafted.draft(given.stored(given.workflow_manifest(given.with_spec(flow=given.flow("v1"), description="of the draft"))))
    assert drafted("release", "chat", "--yes").code == 0
    assert released(drafted) == []
    assert drafted("release", "chat", "--yes", "--description", "Answers in French").code == 0
    assert [made["spec"]["description"] for made in released(drafted)] == ["Answers in French"]


def test_a_release_asks_for_confirmation(drafted: ScriptedPlugin) -> None:
    done = drafted("release", "chat", typed="n\n")
    assert (done.code, done.err, released(drafted)) == (1, "\nRelease? [y/N] nothing was done\n", [])
    assert drafted("release", "chat", typed="y\n").code == 0


def test_no_such_workflow(drafted: ScriptedPlugin) -> None:
    drafted.script.on("GET", WORKFLOWS.path(NAMESPACE, "none"), missing("workflows", "none"))
    drafted.script.on("GET", WORKFLOWS.path(NAMESPACE), listed({"metadata": {"name": "chat"}}))
    done = drafted("release", "none", "--yes")
    assert (done.code, done.err) == (1, "error: no Workflow none in namespace demo; workflows there: chat\n")

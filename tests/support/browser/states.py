"""The screens of the console as a table: where each is, what it reads, and what it says where there is nothing, or where the caller may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.browser import cast

APP = f"/console/apps/{cast.APP}"
OLDER = cast.uid(cast.LIVE - 2)
ASKED = cast.LIVE + 2
"""The sequence of the row that waits."""
FLOW = f"/console/workflows/{cast.WORKFLOW}"


@dataclass(frozen=True)
class Nothing:
    """Answers with nothing in them, and what a screen says then."""

    answers: Mapping[str, Any]
    says: str
    asked: str = ""
    """What is looked for, as the address has it."""


@dataclass(frozen=True)
class Barred:
    """Rights that the caller has not, and the buttons that say so, each with the role that has them."""

    rights: tuple[str, ...]
    buttons: tuple[str, ...]
    call: str = cast.READ_RIGHTS


@dataclass(frozen=True)
class Filled:
    """A field of a form, by its label, and what somebody writes into it."""

    label: str
    text: str


@dataclass(frozen=True)
class Screen:
    name: str
    path: str
    reads: str = ""
    """The call that it is about."""

    shows: str = ""
    """What it says of the answer."""

    nothing: tuple[Nothing, ...] = ()
    barred: Barred | None = None
    filled: Filled | None = None
    opens: tuple[str, ...] = ()
    """Buttons that are pressed to come to it."""

    over: str = ""
    """The button or link, on the screen below, that opens it, where it is a dialog."""

    below: str = ""
    """The path of that screen."""

    @property
    def is_dialog(self) -> bool:
        return bool(self.over)

    def __str__(self) -> str:
        return self.name


SCREENS = (
    Screen(
        "deployments",
        "/console/",
        reads=cast.READ_APPS,
        shows="Customer support",
        nothing=(
            Nothing({cast.READ_APPS: cast.some([])}, "Nothing is deployed here yet"),
            Nothing({}, "No App matches", "?q=no-such-text"),
        ),
    ),
    Screen(
        "app",
        APP,
        reads=cast.READ_APP,
        shows="Live: v2",
        nothing=(Nothing({cast.READ_APP: cast.one(cast.app(live=None, warm=[]))}, "Nothing is live"),),
        barred=Barred(("promote", "deploy", "roll_back"), ("Promote deployment", "Deploy", "Roll back to v2…")),
    ),
    Screen(
        "history",
        f"{APP}/history",
        reads=cast.READ_ROWS,
        shows=f"#{cast.LIVE}",
        nothing=(
            Nothing({cast.READ_ROWS: cast.some([])}, "Nothing has been deployed yet"),
            Nothing({}, "No deployment fits these filters", "?q=no-such-text"),
        ),
        barred=Barred(("roll_back",), (f"Roll back to v2 (#{cast.LIVE - 2})",)),
    ),
    Screen(
        "details of a row",
        f"{APP}/history/{OLDER}",
        reads=f"GET /v1/apps/{cast.APP}/deployments/{OLDER}",
        shows="kubectl dynamiq",
        barred=Barred(("roll_back",), ("Roll back",)),
        over=f"Details of v2 (#{cast.LIVE - 2})",
        below=f"{APP}/history",
    ),
    Screen(
        "compare",
        f"{APP}/compare?a={OLDER}&b={cast.ROW}",
        reads=cast.READ_ROW_DIFF,
        shows="Answer shortly",
        barred=Barred(("roll_back",), (f"Roll back to v2 (#{cast.LIVE - 2})",)),
    ),
    Screen(
        "deploy",
        f"{APP}/deploy",
        reads=cast.READ_VERSIONS,
        shows="Select deployment",
        nothing=(
            Nothing({cast.READ_VERSIONS: cast.some([])}, "No version is released yet"),
            Nothing({cast.READ_APP: cast.one(cast.app(workflow_id=None))}, "The workflow of this App was deleted"),
        ),
        barred=Barred(("deploy",), ("Deploy v2",)),
        filled=Filled("Message (optional)", "Tuesday's"),
        over="Deploy",
        below=APP,
    ),
    Screen(
        "deploy of a workflow",
        f"{FLOW}/deploy",
        reads=cast.READ_VERSIONS,
        shows="Source version",
        filled=Filled("Message (optional)", "For the south"),
        over="Deploy",
        below=FLOW,
    ),
    Screen(
        "roll back",
        f"{APP}/history/{OLDER}/roll-back",
        reads=f"GET /v1/apps/{cast.APP}/deployments/{OLDER}",
        shows="goes back to",
        barred=Barred(("roll_back",), (f"Roll back to v2 (#{cast.LIVE - 2})",)),
        filled=Filled("Message (optional)", "Tuesday's was wrong"),
        over=f"Roll back to v2 (#{cast.LIVE - 2})",
        below=f"{APP}/history",
    ),
    Screen(
        "review",
        f"{APP}/history/{cast.WAITING}/review",
        reads=f"GET /v1/apps/{cast.APP}/deployments/{cast.WAITING}",
        shows="Asked",
        barred=Barred(("approve",), (f"Approve v2 (#{ASKED})", "Reject")),
        filled=Filled("Message (optional)", "Read the diff"),
        over=f"Approve… v2 (#{ASKED})",
        below=f"{APP}/history",
    ),
    Screen(
        "promote",
        f"{APP}/promote",
        reads=cast.READ_ENVIRONMENTS,
        shows="Environment",
        nothing=(
            Nothing({cast.READ_ENVIRONMENTS: {"data": cast.environments()[:1]}}, "This project has no other environment"),
            Nothing({cast.READ_APP: cast.one(cast.app(live=None, warm=[]))}, "Nothing is live yet"),
        ),
        filled=Filled("Hostname", "support.example.com"),
        over="Promote deployment",
        below=APP,
    ),
    Screen(
        "rollout",
        f"{APP}/rollouts/{cast.ROW}",
        reads=cast.READ_ROW,
        shows="Rollout of v2",
        nothing=(Nothing({cast.READ_PODS: {"data": []}}, "None: those of this row are gone."),),
        barred=Barred(("logs",), ("Show the last 200 lines",)),
    ),
    Screen(
        "runs",
        f"{APP}/runs",
        reads=cast.READ_RUNS,
        shows=cast.RUN[:8],
        nothing=(
            Nothing({cast.READ_RUNS: cast.some_runs([])}, "No run is recorded yet"),
            Nothing({cast.READ_RUNS: cast.some_runs([])}, "No run fits these filters", "?tag=no-such-tag"),
        ),
    ),
    Screen(
        "run",
        f"{APP}/runs/{cast.RUN}",
        reads=cast.READ_RUN,
        shows="summarize",
        nothing=(Nothing({cast.READ_RUN: cast.one(cast.run(nodes=[], nodes_kept=False))}, "Its nodes were too old to be kept."),),
        barred=Barred(("runs_delete", "runs_score", "run_contents"), ("Delete…", "Score", "Show inputs and outputs")),
        over=cast.RUN[:8],
        below=f"{APP}/runs",
    ),
    Screen(
        "monitoring",
        f"{APP}/monitoring",
        reads=cast.READ_METRICS,
        shows="Invocations",
        nothing=(Nothing({cast.READ_METRICS: cast.one(cast.data(cast.READ_METRICS) | {"series": []})}, "No run in the last 24 h"),),
    ),
    Screen(
        "workflows",
        "/console/workflows",
        reads=cast.READ_WORKFLOWS,
        shows="Answers customers' questions",
        nothing=(
            Nothing({cast.READ_WORKFLOWS: cast.some([])}, "No workflows here yet"),
            Nothing({}, "No workflow matches", "?q=no-such-text"),
        ),
    ),
    Screen(
        "workflow",
        FLOW,
        reads=cast.READ_WORKFLOW,
        shows="Versions",
        nothing=(Nothing({cast.READ_VERSIONS: cast.some([])}, "Nothing is released yet"),),
        barred=Barred(("release",), ("Release",), cast.READ_PROJECT_RIGHTS),
    ),
    Screen(
        "version",
        f"{FLOW}/versions/{cast.VERSION}",
        reads=cast.READ_FLOW_DIFF,
        shows="Answer shortly",
        nothing=(Nothing({cast.READ_VERSIONS: cast.some(cast.versions()[1:])}, "There is no such version"),),
    ),
    Screen(
        "configuration",
        f"{APP}/configuration",
        reads=cast.READ_CONFIGURATION,
        shows="A_VARIABLE_WITH_A_NAME",
        nothing=(
            Nothing({cast.READ_CONFIGURATION: cast.one(cast.configuration(variables=[]))}, "None. Change the configuration"),
            Nothing({cast.READ_KEYS: {"data": []}}, "No key: nobody can call this App"),
        ),
        barred=Barred(("configure", "keys_write", "delete"), ("Change", "Create a key", "Revoke website", "Delete App")),
    ),
    Screen(
        "triggers",
        f"{APP}/triggers",
        reads=cast.READ_TRIGGERS,
        shows="Every working day",
        nothing=(Nothing({cast.READ_TRIGGERS: cast.some([])}, "No triggers yet"),),
        barred=Barred(("triggers",), ("New trigger", "Run now Every working day", "Deactivate Every working day")),
    ),
    Screen(
        "trigger",
        f"{APP}/triggers?trigger={cast.TRIGGER}",
        reads=cast.READ_EVENTS,
        shows="Failed",
        nothing=(Nothing({cast.READ_EVENTS: cast.some([])}, "It has run nothing yet"),),
        barred=Barred(("triggers",), ("Change", "Delete")),
        over="Every working day",
        below=f"{APP}/triggers",
    ),
)
"""Those that read something that is theirs alone."""

FORMS = (
    Screen(
        "change of the configuration",
        f"{APP}/configuration",
        shows="Save changes",
        opens=("Change",),
        filled=Filled("Description", "Answers at night, too"),
    ),
    Screen("verified history", f"{APP}/history", shows="Expected digest", opens=("Verify",)),
    Screen("export", f"{APP}/history", shows="Export", opens=("Export",), over="Export", below=f"{APP}/history"),
    Screen("print", f"{APP}/history", shows="Print", opens=("Print",), over="Print", below=f"{APP}/history"),
    Screen("keys of the history", f"{APP}/history", shows="Single letters", opens=("Keys",), over="Keys", below=f"{APP}/history"),
    Screen("account", "/console/", shows="Signed in as", opens=("Account",)),
    Screen(
        "new deployment",
        f"{FLOW}/deploy",
        shows="What will be created",
        barred=Barred(("create_app",), ("Deploy v2",), cast.READ_PROJECT_RIGHTS),
        filled=Filled("Name", "Support of the south"),
        opens=("New deployment",),
        over="Deploy",
        below=FLOW,
    ),
    Screen(
        "new key",
        f"{APP}/configuration",
        shows="The key is random",
        opens=("Create a key",),
        over="Create a key",
        below=f"{APP}/configuration",
    ),
    Screen(
        "revoked key",
        f"{APP}/configuration",
        shows="It cannot be brought back",
        opens=("Revoke website",),
        over="Revoke website",
        below=f"{APP}/configuration",
    ),
    Screen(
        "suspension",
        f"{APP}/configuration",
        shows="nothing that goes past the rules",
        opens=("Suspend…",),
        over="Suspend…",
        below=f"{APP}/configuration",
    ),
    Screen(
        "rejection",
        f"{FLOW}/versions/{cast.VERSION}",
        shows="Nobody deploys its flow",
        filled=Filled("Why nobody is to deploy it", "It loses invoices"),
        opens=("Reject…",),
        over="Reject…",
        below=f"{FLOW}/versions/{cast.VERSION}",
    ),
    Screen(
        "withdrawal of a rejection",
        f"{FLOW}/versions/{cast.BEFORE}",
        shows="was rejected by",
        filled=Filled("Why it may be deployed again", "It was the mail server"),
        opens=("Withdraw the rejection…",),
        over="Withdraw the rejection…",
        below=f"{FLOW}/versions/{cast.BEFORE}",
    ),
    Screen(
        "deletion",
        f"{APP}/configuration",
        shows="This cannot be undone",
        opens=("Delete App",),
        over="Delete App",
        below=f"{APP}/configuration",
    ),
    Screen(
        "new trigger",
        f"{APP}/triggers?trigger=new",
        shows="Activate it at once",
        filled=Filled("Name", "Each night"),
        over="New trigger",
        below=f"{APP}/triggers",
    ),
    Screen(
        "release",
        FLOW,
        shows="What is new",
        opens=("Release",),
        filled=Filled("Description", "Speaks at night"),
        over="Release",
        below=FLOW,
    ),
    Screen("no such page", f"{APP}/no-such-page", shows="There is no such page"),
)
"""Those that read what another screen has read already, or nothing."""

"""Lists every screen of the console with its address, for tests of all screens."""

from __future__ import annotations

from collections.abc import Mapping

SIGN_IN = "/console/sign-in"
SCREENS: Mapping[str, str] = {
    "deployments": "/console/",
    "overview": "/console/apps/{app}",
    "history": "/console/apps/{app}/history",
    "row": "/console/apps/{app}/history/{row}",
    "roll back": "/console/apps/{app}/history/{older}/roll-back",
    "review": "/console/apps/{app}/history/{row}/review",
    "compare": "/console/apps/{app}/compare?a={row}&b={older}",
    "rollout": "/console/apps/{app}/rollouts/{row}",
    "deploy": "/console/apps/{app}/deploy",
    "promote": "/console/apps/{app}/promote",
    "runs": "/console/apps/{app}/runs",
    "run": "/console/apps/{app}/runs/{row}",
    "background run": "/console/apps/{app}/runs/{row}?open=true",
    "sessions": "/console/apps/{app}/sessions",
    "session": "/console/apps/{app}/sessions?session=s-1",
    "monitoring": "/console/apps/{app}/monitoring",
    "configuration": "/console/apps/{app}/configuration",
    "triggers": "/console/apps/{app}/triggers",
    "workflows": "/console/workflows",
    "workflow": "/console/workflows/{workflow}",
    "deploy of a workflow": "/console/workflows/{workflow}/deploy",
    "version": "/console/workflows/{workflow}/versions/{version}",
    "unknown": "/console/nowhere/{app}",
}
"""Path of each screen by name, with ids in braces: app, row, older row, workflow and version. A run has any id."""

DIALOGS = frozenset({"row", "roll back", "review", "run", "background run", "session", "deploy", "promote", "deploy of a workflow"})
"""Screens that lie over another screen."""

REFUSED = frozenset({"deployments", "overview", "row", "run", "workflow"})
"""Screens to test with refused reads: a list, an App, the dialogs of each list, and a workflow. Other screens use the same components."""


def addresses(**ids: str) -> dict[str, str]:
    """Returns the address of each screen for these objects."""
    return {name: path.format(**ids) for name, path in SCREENS.items()}

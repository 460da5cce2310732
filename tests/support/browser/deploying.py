"""Prepares tests of the deploying dialogs: a workflow of their own, its Apps, and a user with all rights on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect

from dynamiq_operator.model import kinds
from dynamiq_operator.model import names as model
from tests.support import factories, rest
from tests.support.api import Manifest
from tests.support.browser.served import User
from tests.support.history_stage import HistoryStage

SERVER = {"type": "server"}


@dataclass(frozen=True)
class Deploying:
    """A workflow with versions v1 to v3, and Apps of it."""

    stage: HistoryStage
    workflow: str
    production: str

    @classmethod
    def made(cls, stage: HistoryStage, workflow: str) -> Deploying:
        stage.create(factories.workflow_manifest(factories.in_namespace(stage.namespace), name=workflow))
        stage.release("v1", "v2", "v3", workflow=workflow)
        label = f"{model.PROJECT_LABEL}={stage.namespace},{model.ENVIRONMENT_LABEL}=production"
        (production,) = stage.api.get("Namespace", "", "", labelSelector=label).body["items"]
        return cls(stage, workflow, production["metadata"]["name"])

    @property
    def workflow_id(self) -> str:
        return rest.uid(self.stage.api, kinds.WORKFLOW.kind, self.workflow, self.stage.namespace)

    def app(self, name: str, *versions: str, **options: Any) -> str:
        """Makes an App that serves the last of these versions; returns its id."""
        self.stage.app(name, factories.public(), workflow=self.workflow)
        for version in versions:
            self.live(name, version, **options)
        return rest.uid(self.stage.api, kinds.APP.kind, name, self.stage.namespace)

    def live(self, name: str, version: str, **options: Any) -> str:
        """Deploys as another user, and waits until its row is live and its App's status names it; returns the row's name.

        Without the second wait a panel would preview again.
        """
        row = self.stage.live(name, version, **{"runtime": self.stage.default_runtime, "config": SERVER, **options})
        return self.stage.until_told(row, name)

    def user(self, name: str, *roles: str) -> User:
        """Makes a service account with these roles in staging, and with the right to promote to production."""
        api, home = self.stage.api, self.stage.namespace
        token = rest.account(api, home, name, *roles)
        rest.bind(api, "", name, "dynamiq-runtimes", home)
        rest.bind(api, self.production, name, "dynamiq-promoter", home)
        return User(name, token)

    def rows(self, app: str) -> list[Manifest]:
        """Returns the rows of an App, oldest first, once each is settled."""
        return self.stage.rows(app)


def dialog(page: Page, title: str) -> Locator:
    """Returns the dialog of this title, once it is open."""
    opened = page.get_by_role("dialog", name=title)
    expect(opened).to_be_visible()
    return opened


def newest_two_alone(page: Page) -> None:
    """Limits the page to the newest two versions of a workflow, instead of 500: no list has the older ones."""
    page.route(re.compile(r"/versions\?"), lambda route: route.continue_(url=route.request.url.replace("page_size=500", "page_size=2")))


def previewed(page: Page, version: str) -> None:
    """Waits until the preview shows this version and the current form."""
    outlook = page.get_by_role("region", name="Preview")
    expect(outlook.locator(".pairs strong").first).to_have_text(version)
    expect(outlook).to_have_attribute("aria-busy", "false")


def rolled_out(page: Page) -> str:
    """Waits for the rollout's screen; returns the row's id."""
    page.wait_for_url("**/rollouts/*")
    return page.url.rpartition("/")[2].partition("?")[0]

"""Rows in another user's name: created in every way under every kind of identity, each names its real author."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support.admission import ADMIN, COLLECTOR, OPERATOR, RESTORERS, RESTORING, made
from tests.support.api import Answer, Api, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.factories import in_namespace, row_manifest, with_meta, with_spec
from tests.support.history_stage import counted
from tests.support.identities import Identity, account, allow_rows, impersonated, user
from tests.support.swarm import APPLY, Request, Swarm, shared, swarm

pytestmark = [pytest.mark.usefixtures("guarded"), pytest.mark.timeout(900)]

CREATES = 1000
SEED = 4
NAMES = (
    "",
    "ada",
    ADMIN,
    OPERATOR,
    COLLECTOR,
    RESTORERS,
    "system:masters",
    "system:admin",
    "système 日本",
    "a" * 1024,
    " admin",
    '{"user": "ada"}',
)
"""Names that the created rows claim as their author."""


@dataclass(frozen=True)
class Forged:
    """A create by `by` in the name of `as_`."""

    number: int
    by: Identity
    as_: str
    way: str

    def request(self, namespace: str) -> Request:
        name = f"row-{self.number}"
        sent = row_manifest(name, in_namespace(namespace), with_spec(createdBy=self.as_))
        collection = f"/apis/{sent['apiVersion']}/namespaces/{namespace}/deployments"
        query = {"fieldManager": "forger"}
        if self.way == "as the operator's field manager":
            query["fieldManager"] = "dynamiq-operator"
        if self.way == "a generated name":
            sent["metadata"] = {"generateName": f"{name}-", "namespace": namespace}
        if self.way == "restoring":
            with_meta(annotations={RESTORING: "true", "groups": RESTORERS})(sent)
        if self.way.startswith("applied"):
            query["force"] = "true"
            return Request("PATCH", f"{collection}/{name}", sent, APPLY, query, self.by.headers)
        content = "application/yaml" if self.way == "as YAML" else "application/json"
        return Request("POST", collection, sent, content, query, self.by.headers)


WAYS = ("created", "as YAML", "applied", "a generated name", "as the operator's field manager", "restoring")


@pytest.fixture(scope="module")
def identities(cluster: Cluster, accounts_of: str) -> list[Identity]:
    api = Api.of(cluster)
    return [
        Identity(ADMIN),
        user(api, "alice"),
        user(api, "bob", "developers", "auditors"),
        user(api, RESTORERS, "restorers"),
        user(api, "carol", "cluster-admins"),
        *(account(api, accounts_of, name) for name in ("builder", "flux", "dynamiq-operator")),
        impersonated("dave"),
        impersonated("erin", "system:masters"),
        impersonated("frank", "Dynamiq:restorers", "dynamiq:restorer", "dynamiq:restorers,admins"),
        impersonated(f"{OPERATOR}2", f"system:serviceaccounts:{OPERATOR_NAMESPACE}"),
        impersonated(OPERATOR.rpartition(":")[0], "system:serviceaccounts"),
        impersonated("grace", "system:masters", scopes=RESTORERS),
    ]


@pytest.fixture(scope="module")
def accounts_of(cluster: Cluster) -> Iterator[str]:
    """Yields a namespace for service accounts and for the rows that are created."""
    with fresh_namespace(Api.of(cluster), "forgery") as namespace:
        allow_rows(Api.of(cluster), namespace)
        yield namespace


def forgeries(identities: list[Identity], count: int) -> Iterator[Forged]:
    """Yields each identity in each way first, then random pairs; the same each time."""
    chance = random.Random(SEED)  # noqa: S311 - a test that is the same each time
    every = [(by, way) for by in identities for way in WAYS]
    for number in range(count):
        by, way = every[number] if number < len(every) else chance.choice(every)
        yield Forged(number, by, chance.choice([name for name in NAMES if name != by.name]), way)


@pytest.mark.full_count
async def test_no_user_creates_a_row_in_anothers_name(cluster: Cluster, api: Api, identities: list[Identity], accounts_of: str) -> None:
    attempts = list(forgeries(identities, counted(CREATES)))
    answers: dict[Forged, Answer] = {}
    async with AsyncExitStack() as stack:
        swarms: dict[Any, Swarm] = {}
        for identity in identities:
            if identity.credentials not in swarms:
                swarms[identity.credentials] = await stack.enter_async_context(swarm(cluster, identity.credentials))

        async def create(_: int, forged: Forged) -> None:
            answers[forged] = await swarms[forged.by.credentials].send(forged.request(accounts_of))

        await shared(attempts, create)
    authors = {forged: made(answer)["spec"]["createdBy"] for forged, answer in answers.items()}
    assert [(str(forged.by), forged.as_, forged.way) for forged, name in authors.items() if name == forged.as_] == []
    assert {forged.by.name: name for forged, name in authors.items() if name != forged.by.name} == {}
    stored = made(api.request("GET", f"/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/{accounts_of}/deployments"))["items"]
    assert Counter(row["spec"]["createdBy"] for row in stored) == Counter(forged.by.name for forged in attempts)
    print(f"{len(authors)} creates in another's name, by {len(identities)} identities in {len(WAYS)} ways: 0 accepted as sent")


def test_an_impersonated_request_is_that_of_the_impersonated_user(kubectl: Kubectl, api: Api, namespace: str) -> None:
    for number, flags in enumerate(
        (["--as=dave", "--as-group=system:masters"], ["--as=erin", "--as-group=system:masters", "--as-uid=1"], [])
    ):
        sent = row_manifest(f"row-{number}", in_namespace(namespace), with_spec(createdBy="mallory"))
        kubectl("create", *flags, "-f", "-", input=sent)
        assert made(api.read(sent))["spec"]["createdBy"] == ("dave", "erin", ADMIN)[number]

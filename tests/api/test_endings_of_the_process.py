"""The operator's process ends by itself only if another process in its place may recover and this one cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support.api import Api, fresh_namespace
from tests.support.faults import deploys, operators
from tests.support.faults.faults import Wrong
from tests.support.faults.operators import Login, OperatorProcess
from tests.support.faults.proxy import Answer, Call, Fault, Proxy
from tests.support.operator import NOT_RECOVERING, install_rights
from tests.support.waiting import eventually

PATIENCE = 20.0  # seconds that the operator has to recover
ENDS_WITHIN = 300.0


class Rotated(Fault):
    """A fault: the API server accepts only the token of `accepted`."""

    accepted = "first"

    async def before(self, call: Call) -> Answer | None:
        if call.headers.get("Authorization") == f"Bearer {self.accepted}":
            return None
        self.count += 1
        return Answer(401, "Unauthorized")


@dataclass(frozen=True)
class Place:
    """A namespace with a live App, and an operator behind a proxy."""

    namespace: str
    proxy: Proxy
    operator: OperatorProcess
    token: Path


@pytest.fixture
def place(cluster: Cluster, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Place]]:
    """Returns a function that makes separate places. They are deleted at the end of the test."""
    install_rights(cluster)
    with ExitStack() as stack:

        def make() -> Place:
            namespace, proxy = stack.enter_context(fresh_namespace(api, "endings")), stack.enter_context(operators.proxied(cluster, api))
            operators.allow_leases(api, namespace)
            deploys.prepare(api, namespace)
            folder = tmp_path_factory.mktemp("endings")
            token = folder / "token"
            token.write_text("first")
            login = Login(proxy.url, token_file=token)
            options = ("--recovers-within", f"{PATIENCE:.0f}")
            operator = stack.enter_context(operators.running(login, namespace, folder, *options))
            deploys.deploy(api, namespace, "a")
            return Place(namespace, proxy, operator, token)

        yield make


def end_of(operator: OperatorProcess) -> int:
    eventually("the process ends", lambda: not operator.alive, ENDS_WITHIN)
    return operator.process.wait()


def test_the_process_ends_where_it_could_recover_anew_and_lives_on_otherwise(api: Api, place: Callable[[], Place]) -> None:
    with ThreadPoolExecutor() as pool:
        refused, rotated, unheard, down = (making.result() for making in [pool.submit(place) for _ in range(4)])
    rotation = Rotated()
    goes_wrong: list[tuple[Place, Fault]] = [
        (refused, Wrong(Answer(401, "Unauthorized"))),
        (rotated, rotation),
        (unheard, Wrong(None, lambda call: call.is_watch and call.path.endswith("/pods"))),
        (down, Wrong(Answer(503, "ServiceUnavailable"))),
    ]
    for where, fault in goes_wrong:
        where.proxy.faults.append(fault)
        if isinstance(fault, Wrong):
            fault.is_on.set()
        where.proxy.cut_watches()
    rotation.accepted = "second"
    eventually("the old token is refused", lambda: rotation.count)
    rotated.token.write_text("second")

    assert end_of(refused.operator) == NOT_RECOVERING
    assert refused.operator.said(f"the API server has not accepted the operator's credentials for {PATIENCE:.0f} s")
    assert end_of(unheard.operator) == NOT_RECOVERING
    assert unheard.operator.said(f"/pods was silent for {PATIENCE:.0f} s, while the API server answered others")

    # These operators had faults as long, and run on: a new process would not have helped, or they recovered.
    assert rotated.operator.alive
    assert down.operator.alive
    deploys.deploy(api, rotated.namespace, "b")
    for _, fault in goes_wrong:
        if isinstance(fault, Wrong):
            fault.is_on.clear()
    deploys.deploy(api, down.namespace, "b")

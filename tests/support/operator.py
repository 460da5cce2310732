"""Runs the operator of this checkout as it is installed: under its service account, with or without the admission policies."""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType

from dynamiq_operator.model import names
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import factories, programs, versions
from tests.support.api import Api, Manifest
from tests.support.cluster import REPOSITORY, Kubectl, install_files, kustomized, login_of
from tests.support.inside import in_network
from tests.support.waiting import IN_TIME, eventually

OPERATOR_ACCOUNT = "dynamiq-operator"
BASE = REPOSITORY / "manifests" / "base"
RBAC = REPOSITORY / "manifests" / "rbac"
ADMISSION = REPOSITORY / "manifests" / "admission"
WORKS_WITHIN = IN_TIME  # seconds, on a busy machine
NOT_RECOVERING = 3
"""The exit code of an operator that wants a restart: a pause of most of a minute may have hidden events of a watch."""


def install_rights(cluster: Cluster) -> None:
    """Gives the cluster the operator's account and its rights, without an operator."""
    install_files(cluster, OPERATOR_NAMESPACE, BASE / "namespace.yaml", BASE / "service-account.yaml")
    Kubectl(cluster)("apply", "--server-side", "--force-conflicts", "-f", "-", input=_rights(cluster.kubectl))


@functools.cache
def _rights(kubectl: Path) -> list[Manifest]:
    return kustomized(kubectl, RBAC)


def install_account(cluster: Cluster, folder: Path) -> Path:
    """Installs the operator's account and rights; returns a kubeconfig in `folder` that logs in as that account."""
    install_rights(cluster)
    return logged_in(cluster, folder, OPERATOR_NAMESPACE)


def logged_in(cluster: Cluster, folder: Path, namespace: str) -> Path:
    """Returns a kubeconfig in `folder` of the operator's account in `namespace`."""
    return login_of(cluster, OPERATOR_ACCOUNT, namespace, folder / "operator.kubeconfig")


@contextlib.contextmanager
def admission_policies(cluster: Cluster, *, leave: bool = False) -> Iterator[None]:
    """Installs the admission policies of this Kubernetes while the block runs. `leave`: they are not deleted, since the cluster is."""
    api, stamps = Api.of(cluster), versions.stamps(cluster)
    install_rights(cluster)  # its binding identifies the operator: without it the policies refuse everybody
    try:
        versions.apply_policies(cluster, ADMISSION)
        eventually("the policies work", lambda: _guarded(api) and _guarded_last(api) and _stamped(api) == stamps)
        yield
    finally:
        if not leave:
            versions.delete_policies(cluster, ADMISSION)
            eventually("the policies are gone", lambda: not (_guarded(api) or _guarded_last(api) or _stamped(api)))


def _guarded(api: Api) -> bool:
    return not api.create(_probe(factories.numbered(1)), dry_run=True).ok


def _guarded_last(api: Api) -> bool:
    """Returns True if the last applied one works: the API server may know only the earlier ones."""
    container = {"name": "probe", "image": "registry.test/probe:1"}
    template = {"metadata": {"labels": {"app": "probe"}}, "spec": {"containers": [container]}}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "probe", "namespace": "default", "annotations": {names.APPLIED_TEMPLATE_ANNOTATION: "probe"}},
        "spec": {"selector": {"matchLabels": {"app": "probe"}}, "template": template},
    }
    return api.create(workload, dry_run=True).status == HTTPStatus.FORBIDDEN


def _stamped(api: Api) -> bool:
    """Returns True if rows are stamped.

    A refusal proves no stamp: until the API server knows the stamp, too, it refuses a name that nobody stamped.
    """
    row = api.create(_probe(factories.with_spec(createdBy="nobody")), dry_run=True)
    return row.ok and row.body["spec"].get("createdBy") != "nobody"


def _probe(modify: factories.Modifier) -> Manifest:
    return factories.row_manifest("probe", factories.in_namespace("default"), modify)


class Operator:
    """One operator process at a time for these namespaces, with its lease in one of its own; it can be restarted at will.

    With `cluster` it runs in the network of the cluster's node, where it reaches pods.
    """

    def __init__(
        self,
        kubeconfig: Path,
        folder: Path,
        namespaces: Sequence[str],
        options: Sequence[str] = (),
        home: str = OPERATOR_NAMESPACE,
        cluster: Cluster | None = None,
    ) -> None:
        self._cluster = cluster
        self._kubeconfig, self._folder, self._namespaces, self._options, self._home = kubeconfig, folder, namespaces, options, home
        self._process: programs.StartedAnew | None = None
        self.log = folder / "operator.log"

    def start(self, program: Sequence[str] = ("-m", "dynamiq_operator"), *, leads: bool = True) -> None:
        """Starts it, and returns once it leads, or once it follows if not `leads`. `program`: what Python runs instead.

        Raises AssertionError with its log.
        """
        assert self._process is None, "it runs already"
        self.log = self._folder / f"operator-{uuid.uuid4().hex[:6]}.log"
        node, kubeconfig = in_network(self._cluster, self._kubeconfig, self._folder)
        options = [f"--kubeconfig={kubeconfig}", *self._options, f"--lease-namespace={self._home}"]
        options += [f"--namespace={each}" for each in self._namespaces]
        begin = functools.partial(programs.python, program, "run", *options, log=self.log, network_of=node)
        self._process = programs.StartedAnew(NOT_RECOVERING, begin)
        try:
            if leads:
                self.until_leading()
            else:
                self._until("follows", "following: ")
        except BaseException:
            self._process.kill()  # nobody would stop it, and it would lead instead of the next one
            self._process = None
            raise

    @property
    def runs(self) -> bool:
        """Returns True if it was started, and neither stopped nor killed since."""
        return self._process is not None

    def until_leading(self) -> None:
        """Waits until it leads. Raises AssertionError with its log."""
        self._until("leads", "leading as")

    def _until(self, state: str, text: str) -> None:
        process = self._process
        assert process is not None, "it does not run"
        eventually(f"the operator {state}: see {self.log}", lambda: process.poll() is None and text in self.log.read_text(), WORKS_WITHIN)

    def stop(self) -> None:
        """Ends it as Kubernetes does, and asserts a good exit code."""
        process, self._process = self._process, None
        if process is None:
            return
        code = programs.ended(process)
        assert code == (NOT_RECOVERING if process.ended_by_itself else 0), f"the operator ended with exit code {code}: see {self.log}"

    def kill(self) -> None:
        """Kills it, like a power loss of its node."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Operator:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

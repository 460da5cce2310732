"""Connects to the API server."""

from __future__ import annotations

from pathlib import Path

from dynamiq_operator.kube.api import in_a_pod
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.credentials import Credentials


class NoCluster(Exception):  # noqa: N818
    """A cluster configuration that cannot be read; the message has the reason."""


async def connect(kubeconfig: Path | None, context: str | None) -> Client:
    """Returns a client with the pod's account, or with a kubeconfig, which needs the package `kubernetes`.

    Raises NoCluster.
    """
    is_pod = kubeconfig is None and context is None and in_a_pod()
    credentials = Credentials.of_pod() if is_pod else Credentials.of(kubeconfig, context)
    try:
        await credentials.login()
    except Exception as error:
        raise NoCluster(f"the cluster's configuration cannot be read: {error}") from error
    return Client(credentials)

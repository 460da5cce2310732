"""What the Kubernetes that the tests run on has of what ours uses: docs/versions.md says it to users.

A test that needs what an older one lacks is marked `stamped`. Before Kubernetes 1.36 it has to fail, by `xfail` with `strict`: nothing is left out
unseen, and a mark that is not needed is told. What is there in place of it other tests assert, on every version: `tests/api/test_versions.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from local import components
from local.clusters import Cluster
from tests.support.api import Api, Manifest
from tests.support.cluster import Kubectl

REFUSING, STAMPING = "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"
"""Kinds of policies, and of their bindings, begin so."""

STAMPS_SINCE = 36
"""The minor version that brought MutatingAdmissionPolicy v1: policies of ours that stamp are of this kind."""

REASON = "no policy stamps before Kubernetes 1.36, as docs/versions.md says"


def minor_of(cluster: Cluster) -> int:
    """The minor version that the API server says it is."""
    said: Manifest = Api.of(cluster).request("GET", "/version").body
    return int("".join(letter for letter in said["minor"] if letter.isdigit()))


def stamps(cluster: Cluster) -> bool:
    """Whether the API server knows policies that stamp."""
    return minor_of(cluster) >= STAMPS_SINCE


def expect(items: Iterable[pytest.Item], version: str = components.KUBERNETES.version) -> None:
    """Expects each test that is marked `stamped` to fail, where the version has no policies that stamp."""
    if int(version.split(".")[1]) >= STAMPS_SINCE:
        return
    for item in items:
        if item.get_closest_marker("stamped"):
            item.add_marker(pytest.mark.xfail(reason=REASON, raises=(AssertionError, KeyError), strict=True))


def apply_policies(cluster: Cluster, folder: Path) -> None:
    """Applies what a folder has, without the policies that stamp where the API server does not know them."""
    kubectl, all_known = Kubectl(cluster), stamps(cluster)
    known = [each for each in kubectl.kustomized(folder) if all_known or not each["kind"].startswith(STAMPING)]
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=known)


def delete_policies(cluster: Cluster, folder: Path) -> None:
    """Takes the admission policies of a folder away again, and nothing else that it has."""
    kubectl = Kubectl(cluster)
    kinds = (REFUSING, STAMPING) if stamps(cluster) else (REFUSING,)
    policies = [each for each in kubectl.kustomized(folder) if each["kind"].startswith(kinds)]
    kubectl("delete", "--ignore-not-found", "-f", "-", input=policies)

"""Adapts tests to features that the cluster's Kubernetes lacks: docs/versions.md lists them for users.

A test of a feature that older versions lack is marked `stamped`. Before Kubernetes 1.36 it must fail, by `xfail` with `strict`: nothing is
skipped silently, and an unnecessary mark is an error. Tests of the alternatives run on every version: `tests/api/test_versions.py`.
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
"""The beginnings of kinds of policies, and of their bindings."""

STAMPS_SINCE = 36
"""The first minor version with MutatingAdmissionPolicy v1, the kind of our policies that stamp."""

REASON = "no policy stamps before Kubernetes 1.36, as docs/versions.md says"


def minor_of(cluster: Cluster) -> int:
    """Returns the API server's minor version."""
    version: Manifest = Api.of(cluster).request("GET", "/version").body
    return int("".join(letter for letter in version["minor"] if letter.isdigit()))


def stamps(cluster: Cluster) -> bool:
    """Returns True if the API server has policies that stamp."""
    return minor_of(cluster) >= STAMPS_SINCE


def expect(items: Iterable[pytest.Item], version: str = components.KUBERNETES.version) -> None:
    """Expects each test with the mark `stamped` to fail, if the version has no policies that stamp."""
    if int(version.split(".")[1]) >= STAMPS_SINCE:
        return
    for item in items:
        if item.get_closest_marker("stamped"):
            item.add_marker(pytest.mark.xfail(reason=REASON, raises=(AssertionError, KeyError), strict=True))


def apply_policies(cluster: Cluster, folder: Path) -> None:
    """Applies the objects of a folder, without policies that stamp if the API server lacks them."""
    kubectl, all_known = Kubectl(cluster), stamps(cluster)
    known = [each for each in kubectl.kustomized(folder) if all_known or not each["kind"].startswith(STAMPING)]
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=known)


def delete_policies(cluster: Cluster, folder: Path) -> None:
    """Deletes the admission policies of a folder, and none of its other objects."""
    kubectl = Kubectl(cluster)
    kinds = (REFUSING, STAMPING) if stamps(cluster) else (REFUSING,)
    policies = [each for each in kubectl.kustomized(folder) if each["kind"].startswith(kinds)]
    kubectl("delete", "--ignore-not-found", "-f", "-", input=policies)

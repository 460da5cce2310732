"""Checks by a dry run that the API server accepts objects. The namespaces of the objects are made for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.support.api import Api, Manifest
from tests.support.cluster import Kubectl
from tests.support.waiting import eventually


@contextlib.contextmanager
def namespaces_of(api: Api, objects: list[Manifest]) -> Iterator[None]:
    """Makes the missing namespaces of the objects while the block runs: those among the objects, and those that they expect to exist."""
    names = {each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"}
    names |= {each["metadata"]["namespace"] for each in objects if "namespace" in each["metadata"]}
    every = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(names)]
    missing = [each for each in every if not api.read(each).ok]
    # A dry run makes no namespace, and settings of Argo CD expect one.
    for each in missing:
        assert api.create(each).ok
    try:
        yield
    finally:
        for each in missing:
            api.delete(each)
    eventually("they are gone, before another folder brings them", lambda: not any(api.read(each).ok for each in missing))


def taken(api: Api, kubectl: Kubectl, objects: list[Manifest]) -> None:
    """Asserts that the API server would accept the objects, strictly by its schemas."""
    with namespaces_of(api, objects):
        # It is a dry run: real objects would disturb other tests.
        arguments = ("apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-f", "-")
        output = kubectl(*arguments, input=objects).stdout
    assert len(output.splitlines()) == len(objects)

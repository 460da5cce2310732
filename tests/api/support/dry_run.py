"""Asks the API server whether it would take objects, for which it has to have their namespaces."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.support.api import Api, Manifest
from tests.support.cluster import Kubectl
from tests.support.waiting import eventually


@contextlib.contextmanager
def namespaces_of(api: Api, objects: list[Manifest]) -> Iterator[None]:
    """Those that the objects are in and bring along, since a dry run makes none, or expect, as settings of Argo CD do."""
    names = {each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"}
    names |= {each["metadata"]["namespace"] for each in objects if "namespace" in each["metadata"]}
    every = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(names)]
    wanted = [each for each in every if not api.read(each).ok]
    for each in wanted:
        assert api.create(each).ok
    try:
        yield
    finally:
        for each in wanted:
            api.delete(each)
    eventually("they are gone, before another folder brings them", lambda: not any(api.read(each).ok for each in wanted))


def taken(api: Api, kubectl: Kubectl, objects: list[Manifest]) -> None:
    """Asserts that it would, strictly by its schemas. In earnest they would meet other tests."""
    with namespaces_of(api, objects):
        arguments = ("apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-f", "-")
        said = kubectl(*arguments, input=objects).stdout
    assert len(said.splitlines()) == len(objects)

"""What the API server has to have before it can be asked whether it would take objects."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.support.api import Api, Manifest
from tests.support.waiting import eventually


@contextlib.contextmanager
def namespaces_of(api: Api, objects: list[Manifest]) -> Iterator[None]:
    """Those that the objects are in and bring along: a dry run makes none."""
    wanted = [each for each in objects if each["kind"] == "Namespace" and not api.read(each).ok]
    for each in wanted:
        assert api.create(each).ok
    yield
    for each in wanted:
        api.delete(each)
    eventually("they are gone, before another folder brings them", lambda: not any(api.read(each).ok for each in wanted))

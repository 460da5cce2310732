"""Sends an object, or a change of it, to the API server in each possible way. Every request is a dry run: nothing is stored."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from dynamiq_operator.model.kinds import KINDS
from dynamiq_operator.model.objects import Manifest
from tests.api.support.schema.rules import BASES
from tests.support.api import Answer, Api
from tests.support.factories import in_namespace, with_meta

OF_THE_CLUSTER = tuple(kind.kind for kind in KINDS if not kind.namespaced)
Way = Callable[[Api, Manifest, Manifest], Answer]
"""Sends an object as a new one, or in place of the stored one."""


@contextlib.contextmanager
def stored(api: Api, namespace: str) -> Iterator[dict[str, Manifest]]:
    """Yields one stored object of each kind, to be updated. Cluster-scoped objects are named after the namespace."""
    made = {}
    for kind, base in BASES.items():
        manifest = base(in_namespace(namespace), *([with_meta(name=namespace)] if kind in OF_THE_CLUSTER else []))
        if kind in OF_THE_CLUSTER:
            del manifest["metadata"]["namespace"]
        answer = api.apply(manifest)
        assert answer.ok, answer.message
        made[kind] = answer.body
    yield made
    for kind in OF_THE_CLUSTER:
        api.delete(made[kind])


def create(api: Api, _stored: Manifest, wanted: Manifest) -> Answer:
    return api.create(wanted, dry_run=True)


def apply(api: Api, _stored: Manifest, wanted: Manifest) -> Answer:
    return api.apply(wanted, dry_run=True)


def merge_patch(api: Api, stored: Manifest, wanted: Manifest) -> Answer:
    removed = {name: None for name in stored["spec"] if name not in wanted["spec"]}
    return api.merge(stored, {"spec": {**wanted["spec"], **removed}}, dry_run=True)


def apply_over(api: Api, stored: Manifest, wanted: Manifest) -> Answer:
    return api.apply({**wanted, "metadata": _identity(stored)}, dry_run=True)


def replace(api: Api, stored: Manifest, wanted: Manifest) -> Answer:
    replaced = copy.deepcopy(stored)
    replaced["spec"] = wanted["spec"]
    return api.replace(replaced, dry_run=True)


def _identity(stored: Manifest) -> Manifest:
    return {key: value for key, value in stored["metadata"].items() if key in ("name", "namespace")}


NEW: tuple[Way, ...] = (create, apply)
CHANGED: tuple[Way, ...] = (merge_patch, apply_over, replace)


def by_turns(cases: Iterable[Any], *ways: Sequence[Callable[..., Answer]]) -> list[Any]:
    """Returns parameters of a test: each case with one of these ways, in turn."""
    # The API server checks an object alike in every way of sending it: one way for each case is enough.
    turns = zip(*(itertools.cycle(each) for each in ways), strict=False)
    return [
        pytest.param(case, *turn, id="-".join([str(case), *(way.__name__ for way in turn)]))
        for case, turn in zip(cases, turns, strict=False)
    ]

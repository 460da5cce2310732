"""Every bound and enumeration of the schemas on the real API server: the last accepted value and the first refused one."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from dynamiq_operator.model import crd
from dynamiq_operator.model.kinds import KINDS
from dynamiq_operator.model.objects import Manifest
from local.clusters import Cluster
from tests.api.support.schema import writes
from tests.api.support.schema.rules import BASES
from tests.api.support.schema.writes import CHANGED, NEW, OF_THE_CLUSTER, Way, by_turns
from tests.support.api import Api, fresh_namespace
from tests.support.factories import in_namespace

ITEM, VALUE = "[0]", ".any"
"""Steps into a list and into a map."""

UNREACHABLE = ("maxLength", 3 * 1024 * 1024)
"""A bound that no request reaches: the API server does not read one that large. A rule bounds flows, see test_large_flows."""


@dataclass(frozen=True)
class Bound:
    """A bound of a schema: `inside` is the last value that the field may have, `outside` one that it may not."""

    kind: str
    steps: tuple[str, ...]
    about: str
    inside: Any
    outside: Any
    says: str

    @property
    def path(self) -> str:
        return "".join(self.steps).removeprefix(".")

    def __str__(self) -> str:
        return f"{self.kind} {self.path} {self.about}"


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    with fresh_namespace(Api.of(cluster), "bounds") as name:
        yield name


@pytest.fixture(scope="module")
def stored(cluster: Cluster, namespace: str) -> Iterator[dict[str, Manifest]]:
    """Yields the stored objects that are updated."""
    with writes.stored(Api.of(cluster), namespace) as made:
        yield made


@functools.cache
def _spec(kind: str) -> Manifest:
    found: Manifest = crd.schema(next(known for known in KINDS if known.kind == kind).spec)
    return found


def _bounds(kind: str, schema: Manifest, steps: tuple[str, ...]) -> Iterator[Bound]:
    for about, inside, outside, says in _bounds_of(schema):
        yield Bound(kind, steps, about, inside, outside, says)
    for name, part in schema.get("properties", {}).items():
        yield from _bounds(kind, part, (*steps, f".{name}"))
    if "items" in schema:
        yield from _bounds(kind, schema["items"], (*steps, ITEM))
    if "additionalProperties" in schema:
        yield from _bounds(kind, schema["additionalProperties"], (*steps, VALUE))


def _bounds_of(schema: Manifest) -> Iterator[tuple[str, Any, Any, str]]:
    for name, bound in schema.items():
        if (name, bound) == UNREACHABLE:
            continue
        match name:
            case "minimum":
                yield f"from {bound}", bound, bound - 1, f"should be greater than or equal to {bound}"
            case "maximum":
                yield f"to {bound}", bound, bound + 1, f"should be less than or equal to {bound}"
            case "minLength":
                yield f"from {bound} characters", "x" * bound, "x" * (bound - 1), f"should be at least {bound} chars long"
            case "maxLength":
                yield f"to {bound} characters", "x" * bound, "x" * (bound + 1), f"Too long: may not be more than {bound} bytes"
            case "maxItems":
                inside, outside = ([_example(schema["items"], str(number)) for number in range(size)] for size in (bound, bound + 1))
                yield f"to {bound} items", inside, outside, f"must have at most {bound} item"
            case "maxProperties":
                fits, passes = ({f"a{number}": "" for number in range(size)} for size in (bound, bound + 1))
                yield f"to {bound} keys", fits, passes, f"must have at most {bound} items"
            case "enum":
                for value in bound:
                    yield f"may be {value}", value, f"{value}s", "supported values: " + ", ".join(f'"{one}"' for one in bound)
            case "format":
                yield "is a time", "2027-01-01T00:00:00Z", "2027-01-01", "must be of type date-time"


def _example(schema: Manifest, which: str = "") -> Any:
    """Returns the smallest value of the schema's shape. Its texts contain `which`."""
    if schema["type"] == "object":
        return {name: _example(schema["properties"][name], which) for name in schema.get("required", ())}
    if schema.get("format") == "date-time":
        return "2027-01-01T00:00:00Z"
    return {"string": schema.get("enum", [f"x{which}"])[0], "integer": 1, "number": 1.0, "boolean": True, "array": []}[schema["type"]]


def _placed(schema: Manifest, steps: tuple[str, ...], value: Any, whole: Any = None) -> Any:
    """Returns `whole` with `value` at `steps`. The default of `whole` is the smallest object of the schema's shape."""
    if not steps:
        return value
    step, *rest = steps
    if step == ITEM:
        (item,) = whole or [None]
        return [_placed(schema["items"], tuple(rest), value, item)]
    if "properties" not in schema:
        return {"any": _placed(schema["additionalProperties"], tuple(rest), value, (whole or {}).get("any"))}
    whole, name = whole or _example(schema), step.removeprefix(".")
    return {**whole, name: _placed(schema["properties"][name], tuple(rest), value, whole.get(name))}


BOUNDS = [bound for kind in KINDS for bound in _bounds(kind.kind, _spec(kind.kind), (".spec",))]


def _together(kind: str) -> list[list[Bound]]:
    """Returns the bounds of a kind in as few groups as possible. No place of a group lies in another one."""
    groups: list[list[Bound]] = []
    for bound in (each for each in BOUNDS if each.kind == kind):
        fitting = (group for group in groups if not any(_is_within(bound.steps, each.steps) for each in group))
        group = next(fitting, None)
        if group is None:
            groups.append(group := [])
        group.append(bound)
    return groups


def _is_within(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Returns True if a place equals the other one, or lies in it."""
    return all(step == of_other for step, of_other in zip(one, other, strict=False))


@pytest.mark.parametrize(("kind", "new", "changed"), by_turns(BASES, NEW, CHANGED))
def test_bounds(api: Api, namespace: str, stored: dict[str, Manifest], kind: str, new: Way, changed: Way) -> None:
    """The API server names every field that is out of bounds, so one object tests many bounds."""

    def outside(way: Way, group: Sequence[Bound], values: Iterable[Any]) -> list[Bound]:
        """Returns the bounds that the API server reports as violated for an object with these values."""
        made = BASES[kind](in_namespace(namespace))
        made["metadata"] = {"name": "new", **({"namespace": namespace} if kind not in OF_THE_CLUSTER else {})}
        made["spec"] = None
        for bound, value in zip(group, values, strict=True):
            made["spec"] = _placed(_spec(kind), bound.steps[1:], value, made["spec"])
        causes = [(each["field"], each["message"]) for each in way(api, stored[kind], made).body.get("details", {}).get("causes", ())]
        return [bound for bound in group if any(bound.path == field and bound.says in text for field, text in causes)]

    for way, group in itertools.product((new, changed), _together(kind)):
        assert outside(way, group, (bound.inside for bound in group)) == [], way.__name__
        assert outside(way, group, (bound.outside for bound in group)) == group, way.__name__


def test_there_are_bounds_to_test() -> None:
    assert {bound.kind for bound in BOUNDS} == set(BASES)


@pytest.mark.parametrize("phase", ["Pending", "Progressing", "Live", "Superseded", "Failed"])
def test_a_status_is_written_beside_the_spec(api: Api, namespace: str, phase: str) -> None:
    row = BASES["Deployment"](in_namespace(namespace))
    created = api.apply(row).body
    answer = api.merge(row, {"status": {"phase": phase}, "spec": {"app": "other"}}, subresource="/status", dry_run=True)
    assert answer.ok, answer.message
    assert answer.body["status"]["phase"] == phase
    assert (answer.body["spec"], answer.body["metadata"]["generation"]) == (created["spec"], created["metadata"]["generation"])


def test_a_status_has_a_phase_of_the_life_cycle(api: Api, namespace: str) -> None:
    row = BASES["Deployment"](in_namespace(namespace))
    api.apply(row)
    refused = api.merge(row, {"status": {"phase": "Deploying"}}, subresource="/status", dry_run=True)
    assert 'supported values: "Pending", "Progressing", "Live", "Superseded", "Failed"' in refused.message

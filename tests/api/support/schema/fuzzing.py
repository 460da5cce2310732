"""Draws requests that would change a row, from its schema: every field, in every way of writing an object."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dynamiq_operator.model import crd
from dynamiq_operator.model.base import RULES
from dynamiq_operator.model.kinds import ROW
from dynamiq_operator.model.row import SERVERLESS_FIELDS, ConfigType
from tests.support.api import Manifest
from tests.support.swarm import APPLY, JSON, JSON_PATCH, MERGE, Request

Path = tuple[str, ...]
SCHEMA: Manifest = crd.crd(ROW)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
MANAGER = "fuzz"
"""Field manager that applies the row. A field that another apply of it leaves out is removed."""

METADATA = (("metadata", "ownerReferences"), ("metadata", "finalizers"))
WAYS = (
    "merge",
    "json patch",
    "apply",
    "apply the changed part",
    "replace",
    "status by merge",
    "status by replace",
    "status by apply",
    "scale",
)
SETS, REMOVES, SPOILS = "set", "remove", "spoil"
ONLY_SOME = {
    "status by merge": 0.04,
    "status by replace": 0.03,
    "status by apply": 0.03,
    "scale": 0.02,
    SPOILS: 0.03,
    REMOVES: 0.25,
    "more": 0.3,
}
"""Shares of the requests that change least: most requests should change something if nothing prevents it."""

_TEXTS = (
    ("chat", "other"),
    ("v1", "v2"),
    ("100m", "200m"),
    (f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"),
    ("/a", "/b"),
    ("$.a", "$.b"),
)
_TIMES = ("2026-11-24T12:00:00Z", "2026-11-25T12:00:00Z")
_WRONG: tuple[Any, ...] = (None, "", 0, -1, True, [], {}, "x" * 2000, {"a": "b"}, ["a"], 1.5)


def fields(schema: Manifest = SCHEMA, path: Path = ("spec",)) -> Iterator[Path]:
    """Yields the path of each field below `path`. A list is one field."""
    for name, below in schema.get("properties", {}).items():
        yield (*path, name)
        yield from fields(below, (*path, name))


def value(schema: Manifest, variant: int) -> Any:
    """Returns a valid value of a schema. Variants 0 and 1 differ in every leaf."""
    if "enum" in schema:
        return schema["enum"][variant]
    if schema["type"] == "object":
        return {name: value(below, variant) for name, below in schema["properties"].items()}
    if schema["type"] == "array":
        return [value(schema["items"], variant)]
    if schema["type"] in ("integer", "number"):
        return max(schema.get("minimum", 1), 1) + variant
    if schema["type"] == "boolean":
        return variant == 0
    if schema.get("format") == "date-time":
        return _TIMES[variant]
    patterns = [found[1] for rule in schema.get(RULES, ()) if (found := re.search(r'self\.matches\(r"(.*)"\)', rule["rule"]))]
    return next(texts[variant] for texts in _TEXTS if all(re.search(pattern, text) for pattern in patterns for text in texts))


def full(variant: int) -> Manifest:
    """Returns a spec with every field."""
    made: Manifest = value(SCHEMA, variant)
    return made


def of_type(spec: Manifest, kind: ConfigType) -> Manifest:
    """Returns the spec with configs of this type, without fields of the other type."""
    others = SERVERLESS_FIELDS if kind is ConfigType.SERVER else ("autoscaling",)
    for part in (spec, spec.get("pinned", {})):
        if "config" in part:
            part["config"] = {name: value for name, value in part["config"].items() if name not in others} | {"type": kind.value}
    return spec


def shapes() -> dict[str, Manifest]:
    """Returns the specs of rows in each stage of their life."""
    # A spec with every field is invalid: a row restores or names a version, and has one type.
    every = full(0)

    def but(*names: str, kind: ConfigType = ConfigType.SERVER) -> Manifest:
        return of_type({name: copy.deepcopy(part) for name, part in every.items() if name not in names}, kind)

    return {
        "ended": but("restores"),
        "restoring": but("workflowVersion", kind=ConfigType.SERVERLESS),
        "pinned": but("restores", "outcome"),
        "waiting": but("restores", "outcome", "released", "verified"),
        "numbered": but("restores", "outcome", "released", "verified", "pinned"),
        "asked": but("restores", "outcome", "released", "verified", "pinned", "sequence"),
        "bare": {"app": every["app"], "createdBy": every["createdBy"]},
    }


@dataclass(frozen=True)
class Change:
    """A change of a row: sets the field at `path` to `value`, or removes it."""

    path: Path
    value: Any = None
    removes: bool = False

    def apply(self, document: Manifest) -> None:
        *above, last = self.path
        for name in above:
            if not isinstance(document.get(name), dict):
                document[name] = {}
            document = document[name]
        if self.removes:
            document.pop(last, None)
        else:
            document[last] = copy.deepcopy(self.value)

    def merge_patch(self) -> Manifest:
        made: Any = None if self.removes else self.value
        for name in reversed(self.path):
            made = {name: made}
        assert isinstance(made, dict)
        return made

    def operation(self, document: Manifest) -> Manifest:
        """Returns the change as a JSON Patch operation. If the field's parents are missing, it adds them too."""
        pointer = "/" + "/".join(self.path)
        if self.removes:
            return {"op": "remove", "path": pointer}
        made = self.value
        for depth, name in enumerate(self.path[:-1]):
            if name not in document:
                for below in reversed(self.path[depth + 1 :]):
                    made = {below: made}
                return {"op": "add", "path": "/" + "/".join(self.path[: depth + 1]), "value": made}
            document = document[name]
        return {"op": "replace" if self.path[-1] in document else "add", "path": pointer, "value": made}


@dataclass(frozen=True)
class Attempt:
    """One request to change a row of `shape`, in one way."""

    shape: str
    way: str
    changes: tuple[Change, ...]

    def request(self, row: Manifest, collection: str) -> Request:
        """Returns the request for `row` as it is stored, among its `collection`."""
        url = f"{collection}/{row['metadata']['name']}"
        changed = copy.deepcopy(row)
        for change in self.changes:
            change.apply(changed)
        if self.way == "scale":
            return Request("PATCH", f"{url}/scale", {"spec": {"replicas": 0}}, MERGE)
        if self.way == "json patch":
            return Request("PATCH", url, [change.operation(row) for change in self.changes], JSON_PATCH)
        if self.way.startswith("status"):
            changed["status"] = {**changed.get("status", {}), "phase": "Failed"}
            url += "/status"
        if self.way.endswith("merge"):
            body: Manifest = {"status": changed["status"]} if self.way.startswith("status") else {}
            for change in self.changes:
                _deep(body, change.merge_patch())
            return Request("PATCH", url, body, MERGE)
        if self.way.endswith("replace"):
            return Request("PUT", url, changed, JSON)
        manager = "another" if self.way == "apply the changed part" else MANAGER
        return Request("PATCH", url, self._applied(changed), APPLY, {"fieldManager": manager, "force": "true"})

    def _applied(self, changed: Manifest) -> Manifest:
        kept = {name: changed["metadata"][name] for name in ("name", "ownerReferences", "finalizers") if name in changed["metadata"]}
        made: Manifest = {"apiVersion": changed["apiVersion"], "kind": changed["kind"], "metadata": kept}
        if self.way == "apply the changed part":
            made["metadata"] = {"name": kept["name"]}
            for change in self.changes:
                change.apply(made)
            return made
        return made | {name: changed[name] for name in ("spec", "status") if name in changed and (name == "spec") == (self.way == "apply")}


def _deep(into: Manifest, patch: Manifest) -> None:
    for name, part in patch.items():
        if isinstance(part, dict) and isinstance(into.get(name), dict):
            _deep(into[name], part)
        else:
            into[name] = copy.deepcopy(part)


def attempts(count: int, seed: int, owner: Manifest) -> Iterator[Attempt]:
    """Yields `count` attempts, the same for a seed: first one of every field, then random ones. `owner` exists."""
    chance = random.Random(seed)  # noqa: S311 - a test that is the same each time
    every: list[Path] = [*fields(), *METADATA]
    other = {"spec": full(1), "metadata": {"ownerReferences": [owner], "finalizers": ["fuzz.test/kept"]}}
    first = chance.sample(every, len(every))
    for number in range(count):
        path = first[number] if number < len(first) else chance.choice(every)
        yield _attempt(chance, path, other, every)


def _attempt(chance: random.Random, path: Path, other: Manifest, every: Sequence[Path]) -> Attempt:
    way = next((way for way in WAYS if chance.random() < ONLY_SOME.get(way, 0)), None) or chance.choice(WAYS[:5])
    paths = [path]
    while chance.random() < ONLY_SOME["more"]:
        paths.append(chance.choice(every))
    apart = [
        path for number, path in enumerate(paths) if not any(_within(path, before) or _within(before, path) for before in paths[:number])
    ]
    changes = tuple(_change(chance, path, other) for path in apart)
    if way == "apply the changed part":  # it removes nothing
        changes = tuple(replace(change, removes=False, value=at(other, change.path)) for change in changes)
    return Attempt(_shape(chance, changes), way, changes)


def _change(chance: random.Random, path: Path, other: Manifest) -> Change:
    drawn = chance.random()
    if drawn < ONLY_SOME[SPOILS]:
        return Change(path, chance.choice(_WRONG))
    if drawn < ONLY_SOME[SPOILS] + ONLY_SOME[REMOVES] and path[0] == "spec":
        return Change(path, removes=True)
    return Change(path, at(other, path))


def _shape(chance: random.Random, changes: Sequence[Change]) -> str:
    """Returns the shape of a row that has what is removed and the parents of what is set."""
    # With another shape most requests would be malformed.
    fitting = [name for name, spec in shapes().items() if all(_fits(change, {"spec": spec, "metadata": {}}) for change in changes)]
    return chance.choice(fitting or ["ended"])


def _fits(change: Change, document: Manifest) -> bool:
    for name in change.path[:-1]:
        if name not in document:
            return False
        document = document[name]
    return change.path[-1] in document or not change.removes


def _within(path: Path, above: Path) -> bool:
    return path[: len(above)] == above


def at(document: Any, path: Path) -> Any:
    for name in path:
        document = document[name]
    return document

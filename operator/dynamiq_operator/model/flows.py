"""Converts a flow's text, YAML or JSON, to the JSON that the management API returns.

JSON stays as written, to the digit. YAML is parsed like in runtimes: dates stay text, `1e3` is a number, a duplicate key is an error.
Flows that are nested too deeply, or too large with their aliases expanded, are refused before they are built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from dynamiq_operator.model.base import FLOW_MAX_BYTES

DEPTH_MAX = 100
WRITTEN_MAX = 4 * FLOW_MAX_BYTES
"""Characters and values of a flow with its aliases expanded."""
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\.\d[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))$"
)
_MERGE = "tag:yaml.org,2002:merge"


class FlowError(ValueError):
    """The text cannot be serialized as JSON; the message is one line."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that parses scalars like the runtimes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    raise FlowError(f"line {key.start_mark.line + 1}: the key {key.value[:100]!r} occurs twice")
                seen.add(key.value)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


_DROPPED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def as_json(text: str, *, expanded_most: int = WRITTEN_MAX) -> str:
    """Serializes the flow as JSON text: an object. `expanded_most`: characters and values of YAML with its aliases expanded. Raises FlowError."""
    if text.lstrip(" \t\r\n").startswith("{"):
        try:
            json.loads(text, parse_constant=_refused, parse_float=len, parse_int=len)
        except (ValueError, RecursionError):
            pass  # YAML may begin with a bracket, too
        else:
            return text
    try:
        _measure(text, expanded_most)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
        made = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except FlowError:
        raise
    # Safe loaders raise other errors, too, for a tag that does not fit its value.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError) as error:
        raise FlowError(" ".join(f"the flow cannot be written as JSON: {error}".split())[:500]) from None
    if not isinstance(data, dict):
        raise FlowError("the flow is not a mapping")
    return made


def _measure(text: str, most: int) -> None:
    """Adds up the size of the text with its aliases expanded, event by event; builds nothing. Raises FlowError and yaml.YAMLError."""
    open_nodes = [_Measured()]
    anchors: dict[str, _Measured] = {}
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append(_Measured(event.anchor))
            if len(open_nodes) > DEPTH_MAX:
                raise _too_deep()
            continue
        if isinstance(event, yaml.ScalarEvent):
            done = _Measured(event.anchor, 1 + len(event.value))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = open_nodes.pop()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise FlowError(f"the alias {str(event.anchor)[:100]} names nothing before it")
            done = anchors[event.anchor]
        else:
            continue
        if done.anchor is not None:
            anchors[done.anchor] = done
        around = open_nodes[-1]
        around.size += done.size
        around.depth = max(around.depth, done.depth + 1)
        if around.size > most:
            raise FlowError("the flow is too large with its aliases written out")
        if around.depth + len(open_nodes) > DEPTH_MAX:
            raise _too_deep()


def _too_deep() -> FlowError:
    return FlowError(f"the flow is nested more than {DEPTH_MAX} levels deep")


@dataclass
class _Measured:
    """A node: its size with aliases expanded, and the number of levels below it."""

    anchor: str | None = None
    size: int = 1
    depth: int = 0


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

"""A flow's text, YAML or JSON, serialized as the JSON that the management API answers with.

JSON stays as it was written, to the digit. YAML is read as runtimes read it: dates stay text, `1e3` is a number, a repeated
key is an error. What is nested too deeply, or grows too large where its aliases are written out, is refused before it is built.
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
"""Characters and values of a flow with its aliases written out."""
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\.\d[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))$"
)
_MERGE = "tag:yaml.org,2002:merge"


class FlowError(ValueError):
    """The text cannot be serialized as JSON; the message is one line."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader, with the runtimes' reading of scalars."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    raise FlowError(f"line {key.start_mark.line + 1}: the key {key.value[:100]!r} is there twice")
                seen.add(key.value)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


_DROPPED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def as_json(text: str) -> str:
    """The flow as JSON text: an object. Raises FlowError."""
    if text.lstrip(" \t\r\n").startswith("{"):
        try:
            json.loads(text, parse_constant=_refused, parse_float=len, parse_int=len)
        except (ValueError, RecursionError):
            pass  # YAML may begin with a bracket, too
        else:
            return text
    try:
        _measure(text)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
        made = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except FlowError:
        raise
    # What safe loaders raise for a tag that does not fit its value is not theirs alone.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError) as error:
        raise FlowError(" ".join(f"the flow cannot be told as JSON: {error}".split())[:500]) from None
    if not isinstance(data, dict):
        raise FlowError("the flow is no mapping")
    return made


def _measure(text: str) -> None:
    """Adds up the size of the text with its aliases expanded, event by event; nothing is built. Raises FlowError and yaml.YAMLError."""
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
        if around.size > WRITTEN_MAX:
            raise FlowError("the flow is too large with its aliases written out")
        if around.depth + len(open_nodes) > DEPTH_MAX:
            raise _too_deep()


def _too_deep() -> FlowError:
    return FlowError(f"the flow is nested more than {DEPTH_MAX} levels deep")


@dataclass
class _Measured:
    """A node: its size with aliases expanded, and how many levels are below it."""

    anchor: str | None = None
    size: int = 1
    depth: int = 0


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")

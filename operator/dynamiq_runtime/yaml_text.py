"""Parses a flow's YAML to plain data, like the SDK. Separate from `text`, so that a start with a JSON flow does not load the library."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

FLOAT = re.compile(
    r"[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\.\d[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)


class NotYAMLError(ValueError):
    """The text is no YAML. `where`: line and column, if known; the message is the reason."""

    def __init__(self, where: str, problem: str) -> None:
        self.where = where
        super().__init__(problem)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with the SDK's parsing of scalars."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in keys:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} occurs twice", key.start_mark)
                keys.add(key.value)
        return super().construct_mapping(node, deep)


_DROPPED = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float"}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"^(?:{FLOAT.pattern})$"), list("-+0123456789."))


def parse_yaml(text: str) -> Any:
    """Parses `text`. Raises NotYAMLError, RecursionError."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise NotYAMLError(f", line {mark.line + 1}, column {mark.column + 1}" if mark else "", str(error.problem or error)) from None
    except yaml.YAMLError as error:
        raise NotYAMLError("", str(error)) from None

"""Parses a flow's text to plain data: JSON or YAML, safely, with exact integers.

It reads YAML like the SDK: dates stay text, `1e3` is a number, a duplicate key is an error. It builds no Python objects from tags. It
refuses text that is too large, too deep, or grows too much when its aliases are expanded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 1 << 20  # an App's flow is at most 900 KiB, the limit of a ConfigMap
MAX_DEPTH = 100
MAX_VALUES = 200_000
VARIABLE = re.compile(r"\$\{oc\.env:\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:,([^${}]*))?\}")


class FlowError(ValueError):
    """The flow cannot be served; the message is one line with the place and the reason."""


def load_text(text: str) -> Any:
    """Parses `text`. Raises FlowError."""
    if len(text.encode()) > MAX_BYTES:
        raise FlowError(f"the flow is larger than {MAX_BYTES >> 10} KiB")
    try:
        data = _parse(text)
    except RecursionError:
        raise FlowError(f"the flow is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as error:
        raise FlowError(_line(f"the flow is neither YAML nor JSON{getattr(error, 'where', '')}: {error}")) from None
    _measure(data)
    return data


def substitute_environment(data: Any, environment: Mapping[str, str]) -> Any:
    """Copies `data` with `${oc.env:NAME}` and `${oc.env:NAME,default}` replaced in its strings. Raises FlowError."""

    def replace(match: re.Match[str]) -> str:
        value = environment.get(match[1], match[2])
        if value is None:
            raise FlowError(f"the flow reads the variable {match[1]}, which the App does not set")
        return value if match[1] in environment else value.strip()

    if isinstance(data, str):
        return VARIABLE.sub(replace, data)
    if isinstance(data, dict):
        return {key: substitute_environment(value, environment) for key, value in data.items()}
    if isinstance(data, list):
        return [substitute_environment(value, environment) for value in data]
    return data


def _parse(text: str) -> Any:
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            pass  # YAML may begin with a bracket too
    from dynamiq_runtime.yaml_text import parse_yaml

    return parse_yaml(text)


def _measure(data: Any) -> None:
    """Counts values as a reader meets them, an alias each time, so that a small text cannot stand for a huge one."""
    level, seen = [data], 0
    for _ in range(MAX_DEPTH):
        seen += len(level)
        if seen > MAX_VALUES:
            raise FlowError(f"the flow holds more than {MAX_VALUES} values")
        level = [
            child for value in level for child in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        ]
        if not level:
            return
    raise FlowError(f"the flow is nested more than {MAX_DEPTH} levels deep")


def _line(text: str) -> str:
    return " ".join(text.split())[:1000]

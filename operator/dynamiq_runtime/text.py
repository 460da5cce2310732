"""A flow's text to plain data: JSON or YAML, safely, with every integer kept whole.

It reads YAML as the SDK does: dates stay text, `1e3` is a number, a repeated key is an error. It builds no Python objects from
tags, and refuses text that is too large, too deep, or that grows when its aliases are written out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 1 << 20  # an App's flow is at most 900 KiB, which is what a ConfigMap can hold
MAX_DEPTH = 100
MAX_VALUES = 200_000
VARIABLE = re.compile(r"\$\{oc\.env:\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:,([^${}]*))?\}")


class FlowError(ValueError):
    """The flow can't be served; the message is one line that says which part, and why."""


def load_text(text: str) -> Any:
    """The data in `text`. Raises FlowError."""
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
    """A copy of `data` with `${oc.env:NAME}` and `${oc.env:NAME,default}` replaced in its strings. Raises FlowError."""

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
    """Counts values the way a reader meets them: an alias counts each time, so that a small text can't stand for a huge one."""
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

"""Reads the examples of the OpenAPI document, by the names of their schemas. `$like` names the example that another one extends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_STORED: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_bytes())


def _whole(part: Any) -> Any:
    if isinstance(part, list):
        return [_whole(each) for each in part]
    if not isinstance(part, dict):
        return part
    base = _whole(_STORED[part["$like"]]) if "$like" in part else {}
    return base | {name: _whole(each) for name, each in part.items() if name != "$like"}


EXAMPLES: dict[str, Any] = {name: _whole(example) for name, example in _STORED.items()}

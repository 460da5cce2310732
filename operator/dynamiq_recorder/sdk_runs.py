"""A run in the SDK's shape, and what of it is content: what callers wrote and were answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONTENT = ("input", "output", "error")
_METADATA_WITH_CONTENT = frozenset({"tool_data", "hooks", "skip"})


def without_content(given: Mapping[str, Any]) -> dict[str, Any]:
    """The run without it: there, in its executions, and in what it notes of prompts, tools and hooks."""
    kept = {name: value for name, value in given.items() if name not in CONTENT}
    if isinstance(executions := kept.get("executions"), list):
        kept["executions"] = [
            {name: value for name, value in each.items() if name not in CONTENT} for each in executions if isinstance(each, dict)
        ]
    if isinstance(metadata := kept.get("metadata"), dict):
        kept["metadata"] = {name: value for name, value in metadata.items() if name not in _METADATA_WITH_CONTENT}
        if isinstance(node := metadata.get("node"), dict) and isinstance(prompt := node.get("prompt"), dict):
            kept["metadata"]["node"] = node | {"prompt": {name: value for name, value in prompt.items() if name != "messages"}}
    return kept

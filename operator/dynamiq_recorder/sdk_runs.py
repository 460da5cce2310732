"""Removes content from a run in the SDK's shape: what callers wrote, and the answers. It parses no run.

Fields that stay are listed. Any other field, of this SDK version or a later one, may hold a caller's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RUN = frozenset(
    {
        *("id", "name", "type", "trace_id", "source_id", "session_id", "parent_run_id", "start_time", "end_time", "status", "tags"),
        *("metadata", "executions"),
    }
)
_METADATA = frozenset(
    {
        *("node", "workflow", "flow", "run_depends", "usage", "is_output_from_cache", "is_mocked", "failed_nodes"),
        *("host", "user_id"),
    }
)
_FAILED_NODE = frozenset({"id", "name"})


def without_content(run: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the run, and its executions, without input, output, errors and other content."""
    kept = {name: value for name, value in run.items() if name in _RUN}
    if "executions" in kept:
        kept["executions"] = [without_content(each) for each in _dictionaries(kept["executions"])]
    if isinstance(metadata := kept.get("metadata"), dict):
        kept["metadata"] = {name: _without_messages(value) for name, value in metadata.items() if name in _METADATA}
        if "failed_nodes" in metadata:
            failed = _dictionaries(metadata["failed_nodes"])
            kept["metadata"]["failed_nodes"] = [{name: each[name] for name in each if name in _FAILED_NODE} for each in failed]
    return kept


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _without_messages(value: Any) -> Any:
    """Returns a node without the messages of its prompt, and of prompts inside it: they contain what the caller wrote."""
    if isinstance(value, list):
        return [_without_messages(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _without_messages(each) for name, each in value.items()}
    if isinstance(prompt := kept.get("prompt"), dict):
        kept["prompt"] = {name: each for name, each in prompt.items() if name != "messages"}
    return kept

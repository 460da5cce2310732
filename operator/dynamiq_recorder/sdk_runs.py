"""A run in the SDK's shape, and what of it is no content: what stays where callers' words and what they were answered do not.

What may stay is listed. Whatever else a run says of itself, in this version of the SDK or in a later one, may be somebody's words.
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


def without_content(given: Mapping[str, Any]) -> dict[str, Any]:
    """The run without what was said, answered or went wrong in it, and the same of its executions."""
    kept = {name: value for name, value in given.items() if name in _RUN}
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
    """A node as it was written: the messages of its prompt, and of a node's in it, are made of what the caller wrote."""
    if isinstance(value, list):
        return [_without_messages(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _without_messages(each) for name, each in value.items()}
    if isinstance(prompt := kept.get("prompt"), dict):
        kept["prompt"] = {name: each for name, each in prompt.items() if name != "messages"}
    return kept

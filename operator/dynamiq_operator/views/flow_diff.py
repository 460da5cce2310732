"""Makes a unified diff of two flows, within bounded time and size. Flows are untrusted text, and other requests wait meanwhile."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

READABLE_MOST = 4 * 1024 * 1024
"""Characters of an indented flow, at most. Deep inside, each line is mostly indentation."""
STEPS_MOST = 8_000_000
"""Comparisons of two lines, at most: about a second of a processor. Beyond them the rest of a flow counts as replaced."""
AROUND = 3
"""Equal lines that are shown around those that differ."""


def flow_diff(before: str | None, after: str, before_name: str, after_name: str) -> tuple[str, ...]:
    """Returns a unified diff of two flows; empty if they are equal or there is no earlier one."""
    if before is None or before == after:
        return ()
    return tuple(_unified(readable(before), readable(after), before_name, after_name))


def readable(flow: str) -> list[str]:
    """Returns a flow's lines. Compact JSON, one long line, is indented unless it exceeds READABLE_MOST then."""
    if flow.lstrip().startswith("{") and "\n" not in flow.strip():
        try:
            return _indented(json.loads(flow)) or flow.splitlines()
        except (ValueError, RecursionError):
            pass
    return flow.splitlines()


def _indented(flow: object) -> list[str]:
    parts, size = [], 0
    for part in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(flow):
        size += len(part)
        if size > READABLE_MOST:
            return []
        parts.append(part)
    return "".join(parts).splitlines()


class _Matcher(difflib.SequenceMatcher[str]):
    """difflib's matcher with a limit of steps: in the worst case it takes the cube of the lines."""

    def __init__(self, before: list[str], after: list[str]) -> None:
        super().__init__(None, before, after)
        self._before, self._steps = before, STEPS_MOST
        self._places: dict[str, list[int]] = self.b2j  # type: ignore[attr-defined]

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> difflib.Match:
        end = len(self._before) if ahi is None else ahi
        self._steps -= sum(1 + len(self._places.get(self._before[at], ())) for at in range(alo, end))
        return super().find_longest_match(alo, ahi, blo, bhi) if self._steps > 0 else difflib.Match(alo, blo, 0)


def _unified(before: list[str], after: list[str], before_name: str, after_name: str) -> Iterator[str]:
    """Yields the lines that `difflib.unified_diff` would write. difflib's function takes no other matcher."""
    same = _same_at_begin(before, after)
    tail = _same_at_begin(before[same:][::-1], after[same:][::-1])
    # Equal lines at both ends are not compared; AROUND of them are shown.
    first, skipped = max(same - AROUND, 0), max(tail - AROUND, 0)
    old, new = before[first : len(before) - skipped], after[first : len(after) - skipped]
    has_header = False
    for group in _Matcher(old, new).get_grouped_opcodes(AROUND):
        if not has_header:
            has_header = True
            yield from (f"--- {before_name}", f"+++ {after_name}")
        yield f"@@ -{_range(group[0][1] + first, group[-1][2] + first)} +{_range(group[0][3] + first, group[-1][4] + first)} @@"
        for kind, old_from, old_to, new_from, new_to in group:
            if kind == "equal":
                yield from (f" {line}" for line in old[old_from:old_to])
                continue
            yield from (f"-{line}" for line in old[old_from:old_to])
            yield from (f"+{line}" for line in new[new_from:new_to])


def _same_at_begin(before: list[str], after: list[str]) -> int:
    count = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        count += 1
    return count


def _range(begin: int, end: int) -> str:
    """Returns the lines of a hunk: the first and how many; for an empty hunk the line before."""
    count = end - begin
    return f"{begin + 1}" if count == 1 else f"{begin + 1 if count else begin},{count}"

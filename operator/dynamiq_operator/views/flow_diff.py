"""A unified diff of two flows, in a bounded time and size whatever they hold: flows are their authors' text, and others wait meanwhile."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

READABLE_MOST = 4 * 1024 * 1024
"""Characters of a flow with its lines indented: deep inside, each line is mostly indentation."""
STEPS_MOST = 8_000_000
"""Comparisons of two lines: about a second of a processor. Where they are used up, what is left is told as replaced, and not line by line."""
AROUND = 3
"""Lines that are the same, told around those that are not."""


def flow_diff(before: str | None, after: str, before_name: str, after_name: str) -> tuple[str, ...]:
    """A unified diff of two flows; empty where they are equal or there is none before."""
    if before is None or before == after:
        return ()
    return tuple(_unified(readable(before), readable(after), before_name, after_name))


def readable(flow: str) -> list[str]:
    """A flow's lines. Compact JSON, which is one long line, is indented, where that does not make it many times as large."""
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
    """difflib's, which takes the cube of the lines in the worst case, with an end."""

    def __init__(self, before: list[str], after: list[str]) -> None:
        super().__init__(None, before, after)
        self._before, self._steps = before, STEPS_MOST
        self._places: dict[str, list[int]] = self.b2j  # type: ignore[attr-defined]

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> difflib.Match:
        end = len(self._before) if ahi is None else ahi
        self._steps -= sum(1 + len(self._places.get(self._before[at], ())) for at in range(alo, end))
        return super().find_longest_match(alo, ahi, blo, bhi) if self._steps > 0 else difflib.Match(alo, blo, 0)


def _unified(before: list[str], after: list[str], before_name: str, after_name: str) -> Iterator[str]:
    """As `difflib.unified_diff` writes it, which takes no other matcher."""
    same = _same_at_begin(before, after)
    tail = _same_at_begin(before[same:][::-1], after[same:][::-1])
    # What is the same at both ends is not compared, but for what is told of it.
    first, skipped = max(same - AROUND, 0), max(tail - AROUND, 0)
    old, new = before[first : len(before) - skipped], after[first : len(after) - skipped]
    named = False
    for group in _Matcher(old, new).get_grouped_opcodes(AROUND):
        if not named:
            named = True
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
    """The lines of a hunk: the first and how many; of none, the line before."""
    count = end - begin
    return f"{begin + 1}" if count == 1 else f"{begin + 1 if count else begin},{count}"

"""Decides which redaction patterns are usable: those that RE2 and Python read alike, and that end soon on every text.

`re` blocks the whole process while it matches, and any caller of the App chooses the text.
"""

from __future__ import annotations

import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

PIECE = 2048  # characters that a pattern is applied to at once
SHORT = 64  # characters that show if each more of them doubles a pattern's time
TRIAL = 0.1  # seconds of CPU for one trial text
POSIX_CLASS = r"\[:\^?\w+:\]"
MANY = 32  # repeats from which a repeat counts as unbounded
KINDS = 8  # most kinds of characters that a pattern is tried on
NEVER = (re._constants.LITERAL, 0x10FFFF)  # type: ignore[attr-defined]
_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "DIGIT": str.isdecimal,
    "SPACE": str.isspace,
    "WORD": lambda letter: letter.isalnum() or letter == "_",
}


class PatternError(ValueError):
    """The pattern is no regular expression, or may take for ever; the message tells which."""


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compiles a pattern that is quick enough to be used while other runs wait. Raises PatternError."""
    if re.search(POSIX_CLASS, pattern):
        raise PatternError(f"{pattern!r} has a POSIX class, which Python reads otherwise than RE2: write \\d for [[:digit:]]")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            compiled = re.compile(pattern)
            parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        raise PatternError(f"{pattern!r} is not a regular expression of Python: {error}") from None
    if _has_nested_repeats(parsed, inside=False):
        raise PatternError(
            f"{pattern!r} repeats a repeat, which may take for ever: give one of them a fixed count, or the outer a bound below {MANY}"
        )
    if threading.current_thread() is threading.main_thread() and not _passes_trial(compiled, parsed):
        raise PatternError(f"{pattern!r} takes too long on a text of {PIECE} characters")
    return compiled


def _has_nested_repeats(parsed: Any, *, inside: bool) -> bool:
    """Returns True if an unbounded repeat contains a repeat of varying length: matching then tries every way to split a text."""
    for operation, value in parsed:
        repeats = _repeats(operation)
        if repeats and inside and value[0] != value[1] and value[1] > 1:
            return True
        if any(_has_nested_repeats(part, inside=inside or (repeats and value[1] >= MANY)) for part in _parts(value)):
            return True
    return False


def _repeats(operation: Any) -> bool:
    return str(operation) in ("MAX_REPEAT", "MIN_REPEAT")


def _parts(value: Any) -> Iterable[Any]:
    """Yields the patterns inside an operation's value."""
    if isinstance(value, re._parser.SubPattern):  # type: ignore[attr-defined]
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _parts(part)


def _sets(parsed: Any) -> Iterator[list[tuple[str, Any]]]:
    """Yields the characters that each place of the pattern takes, as members of a set."""
    for operation, value in parsed:
        match str(operation):
            case "LITERAL":
                yield [("LITERAL", value)]
            case "NOT_LITERAL":
                yield [("NEGATE", None), ("LITERAL", value)]
            case "IN":
                yield [(str(member), what) for member, what in value]
            case _:
                for part in _parts(value):
                    yield from _sets(part)


def _takes(members: list[tuple[str, Any]], letter: str) -> bool:
    is_member = False
    for member, what in members:
        if member == "LITERAL":
            is_member |= what == ord(letter)
        elif member == "RANGE":
            is_member |= what[0] <= ord(letter) <= what[1]
        elif member == "CATEGORY":
            name = str(what).removeprefix("CATEGORY_")
            is_member |= _CATEGORIES[name.removeprefix("NOT_")](letter) != name.startswith("NOT_")
    return is_member != (members[0][0] == "NEGATE")


def _letters(parsed: Any) -> list[str]:
    """Returns one letter of each kind: every set of the pattern treats letters of a kind alike. Kinds change at the ends of ranges."""
    sets = list(_sets(parsed))
    edges: set[int] = set()
    for member, what in (each for members in sets for each in members):
        if member in ("LITERAL", "RANGE"):
            first, last = what if member == "RANGE" else (what, what)
            edges |= {first, min(last + 1, 0x10FFFE)}
    kinds: dict[tuple[bool, ...], str] = {}
    for letter in ["a", "0", " ", ".", "_", "\n", "\xe9", *(chr(edge) for edge in sorted(edges))]:
        kinds.setdefault(tuple(_takes(members, letter) for members in sets), letter)
    return sorted(kinds.values(), key=lambda letter: -sum(_takes(members, letter) for members in sets))[:KINDS]


def _tails(items: list[Any], after: list[Any]) -> Iterator[list[Any]]:
    """Yields the rest of the pattern from each repeat on, as a text may lead there at once. `after`: the items that follow."""
    for place, (operation, value) in enumerate(items):
        rest = [*items[place + 1 :], *after]
        if _repeats(operation) and value[1] > 1:
            rest = [items[place], *rest]
            yield rest
        for part in _parts(value):
            yield from _tails(list(part), rest)


class _TooLong(BaseException):
    """Ends a match."""


def _passes_trial(compiled: re.Pattern[str], parsed: Any) -> bool:
    """Returns True if the pattern, and its rest from each repeat on, ends soon on texts that repeat a few letters and then break off."""
    letters = _letters(parsed)
    long = [letter * (PIECE - 1) + "\0" for letter in letters]
    short = ["".join(word) * (SHORT // size) + "\0" for size in (2, 3) for word in product(letters, repeat=size)]
    tails = [
        re._compiler.compile(re._parser.SubPattern(parsed.state, [*tail, NEVER]))  # type: ignore[attr-defined]
        for tail in _tails(list(parsed), [])
    ]
    try:
        with _trial() as attempt:
            for text in long:
                attempt(compiled.search, text)
            for tail in tails:
                for text in (*long, *short):
                    attempt(tail.match, text)
    except _TooLong:
        return False
    return True


@contextmanager
def _trial() -> Iterator[Any]:
    """Yields a function that ends a call after `TRIAL`. Raises _TooLong."""
    # Possible since `re` checks for signals while it matches.

    def end(*_: object) -> None:
        raise _TooLong

    def attempt(call: Any, text: str) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, TRIAL)
        call(text)

    before = signal.signal(signal.SIGVTALRM, end)
    try:
        yield attempt
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)

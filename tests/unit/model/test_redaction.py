"""The operator and the pods judge a pattern alike, though neither imports the other."""

from __future__ import annotations

import pytest

from dynamiq_operator.model.redaction import MANY, POSIX_CLASS, problem_of
from dynamiq_runtime import patterns

USED = ["[0-9]{13,16}", r"\b\d{4}[ -]?\d{4}\b", "(?i)secret", "[:;]", "a{3,}", "(?:ab){1,31}c+", r"\[:x:", "x?y*z+?", "(?: ?[0-9]{4})+"]
REFUSED = [
    "(",
    "[[:digit:]]",
    "[a[:^space:]]",
    r"\pL",
    r"\z",
    r"\Qa\E",
    "(?U)a+",
    "(a+)+",
    "(?:[x-z]{1,31})*b",
    "(?:a{2,3}){1,40}",
    "(a{1,40}){1,40}",
    "[[a]",
    "[a--b]",
    "a**",
    "(?i:a)(?i)b",
]


@pytest.mark.parametrize("pattern", USED + REFUSED)
def test_operator_and_pods_take_the_same_patterns(pattern: str) -> None:
    try:
        patterns.compile_pattern(pattern)
        taken = True
    except patterns.PatternError:
        taken = False
    assert (taken, problem_of(pattern) is None) == (pattern in USED, pattern in USED)


def test_the_rules_have_the_same_bounds() -> None:
    assert (POSIX_CLASS, MANY) == (patterns.POSIX_CLASS, patterns.MANY)

"""Only patterns that terminate on any input are accepted: the whole pod waits while one is matched."""

from __future__ import annotations

import pytest

from dynamiq_runtime.patterns import PatternError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", "ann.b@example.co.uk"),
        (r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b", "ann+b@example.com"),
        (r"[^\s@]+@[^\s@]+\.[^\s@]+", "ann@example.com"),
        (r"\b(?:\d[ -]*?){13,16}\b", "4111 1111-1111 1111"),
        (r"\b\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b", "4111111111111111"),
        (r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?", "DE89 3704 0044 0532 0130 00"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}\b", "10.0.255.1"),
        (r"(?:[0-9A-F]{2}:)+[0-9A-F]{2}", "0A:1B:2C"),
        (r"(?i)(?:api[_-]?key|token|password)\s*[:=]\s*\S+", "API_KEY = abc"),
        (r"sk-[A-Za-z0-9]{20,}", "sk-" + "aB3" * 9),
        (r"gh[pousr]_[A-Za-z0-9]{36,255}", "ghp_" + "aB3" * 12),
        (r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "eyJh.eyJz.x-_"),
        (r"(?i)https?://[^\s/]+:[^\s@]+@\S+", "https://ann:pw@host/x"),
        (r"\+?\d[\d ()-]{7,}\d", "+49 (30) 123-456"),
        (r".*secret.*", "a secret thing"),
        (r"(?:[xyz]|[x-z])*b", "xyzb"),
    ],
)
def test_common_patterns_are_taken_and_find_what_they_are_for(pattern: str, found: str) -> None:
    assert compile_pattern(pattern).sub("-", f"< {found} >", count=1) in ("< - >", "-", "< -  >")


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:[x-z]{1,31})*b",
        "(?:[x-z]{1,31}){1,31}b",
        "[x-z]*[x-z]*[x-z]*[x-z]*1",
        "[^@]*[^@]*[^@]*#",
        "@[x-z]*[x-z]*[x-z]*1",
        "(?:k[x-z]*)[x-z]*[x-z]*1",
        "(?i)q[x-z]*[X-Z]*[x-z]*1",
        "(?:[^a]|[^b]{1,2}){1,31}c",
        "key=(?:xy|x|y)*z",
        "key=(?:x?[xy]?){1,31}z",
        r"\W(?:\s|\W\W?){1,31}a",
    ],
)
def test_patterns_that_take_for_ever_on_some_text_are_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)

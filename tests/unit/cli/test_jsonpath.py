"""Templates of `-o jsonpath=…`, as kubectl evaluates them."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.cli.jsonpath import BadTemplate, parsed, rendered

ROWS = [{"name": "a", "spec": {"n": 1, "on": True, "x.y": None}, "tags": ["p", "q"]}, {"name": "b", "spec": {"n": 2}}]


@pytest.mark.parametrize(
    ("template", "data", "shown"),
    [
        ("{.name}", ROWS[0], "a"),
        ("{.spec.n} {.spec.on}", ROWS[0], "1 true"),
        ("{.spec}", ROWS[1], '{"n":2}'),
        ("{.none.at.all}", ROWS[0], ""),
        ("{.spec['x.y']}", ROWS[0], ""),
        ("{.tags[0]}-{.tags[-1]}", ROWS[0], "p-q"),
        ("{.tags[9]}", ROWS[0], ""),
        ("{[*].name}", ROWS, "a b"),
        ("{.items[*].name}", ROWS, "a b"),
        ("{[1].name}", ROWS, "b"),
        ('{range [*]}{.name}={.spec.n}{"\\n"}{end}', ROWS, "a=1\nb=2\n"),
        ("{range .items[*]}{@.name},{end}", ROWS, "a,b,"),
        ("{$.name}{'.'}{.spec.*}", ROWS[1], "b.2"),
        ("plain", ROWS, "plain"),
    ],
)
def test_a_template(template: str, data: Any, shown: str) -> None:
    assert rendered(template, data) == shown


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{.name", "an unmatched brace"),
        ("{.items[?(@.x==1)].name}", "use -o json with jq"),
        ("{range .items[*]}{.name}", "{range} has no {end}"),
        ("{end}", "{end} has no {range}"),
        ("{name}", "not a path"),
    ],
)
def test_an_invalid_template_is_refused_with_the_reason(template: str, why: str) -> None:
    with pytest.raises(BadTemplate, match=why):
        parsed(template)


def test_a_template_of_many_quotes_is_read_in_time() -> None:
    with pytest.raises(BadTemplate):
        parsed("{" + '""' * 200)

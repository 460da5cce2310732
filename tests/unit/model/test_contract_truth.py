"""A contract tells of code what the code does: small programs are run with a field and without it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from itertools import cycle, product
from typing import Any

import pytest

from tests.support.contracts import python, told_of

READS = (
    'x = inputs["q"]',
    'x = inputs.get("q")',
    'x = inputs.get("q", None)',
    'x = inputs.get("q", "d")',
    'x = inputs.get("q", "")',
    'x = inputs.get("q") or "d"',
    'x = inputs.get("q") or ""',
    'x = inputs.pop("q", None)',
    'x = y = inputs.get("q")',
    'x: str = inputs.get("q")',
    'data = inputs\nx = data.get("q")',
    'y = inputs.get("q")\nx = y',
    'x = inputs["q"] if "q" in inputs else None',
    'x = inputs.get("q") if inputs.get("q") else "d"',
    'inputs["q"] = inputs.get("q", "d")\nx = inputs["q"]',
    'inputs["q"] = inputs.get("q") or "d"\nx = inputs["q"]',
    'if "q" not in inputs:\n    inputs["q"] = "d"\nx = inputs["q"]',
    'if not inputs.get("q"):\n    inputs["q"] = "d"\nx = inputs["q"]',
    'if inputs.get("q") is None:\n    inputs["q"] = "d"\nx = inputs["q"]',
    'if "q" not in inputs:\n    raise ValueError\nx = inputs["q"]',
    'try:\n    x = inputs["q"]\nexcept KeyError:\n    x = "d"',
    'try:\n    x = inputs["q"]\nexcept Exception:\n    raise ValueError',
    'x = "d"\nwith contextlib.suppress(KeyError):\n    x = inputs["q"]',
    'if (x := inputs.get("q")) is None:\n    x = "d"',
    'has = "q" in inputs\nassert has\nx = "v"',
)
CHECKS = (
    "pass",
    "if x is None:\n    raise ValueError",
    "if x == None:\n    raise ValueError",
    "if not x:\n    raise ValueError",
    "if not x:\n    print()\n    raise ValueError",
    "if x is not None:\n    pass\nelse:\n    raise ValueError",
    'if x is None or x == "":\n    raise ValueError',
    'if x is None or not inputs["o"]:\n    raise ValueError',
    'if x is None and inputs["o"]:\n    raise ValueError',
    'if x is None and not inputs["o"]:\n    raise ValueError',
    'if not (x and inputs["o"]):\n    raise ValueError',
    'if not all([x, inputs["o"]]):\n    raise ValueError',
    'if None in (x, inputs["o"]):\n    raise ValueError',
    'if x in (None, ""):\n    raise ValueError',
    "if not isinstance(x, str):\n    raise ValueError",
    "assert x",
    "assert x is not None",
    "ok = x is not None\nassert ok",
    "if x is None:\n    return 0",
    "if not x:\n    return 0",
    'if x is None:\n    x = "d"',
    'if x == "v":\n    return 1',
)
PLACES = (
    "{}",
    "if inputs['o']:\n{}",
    "for each in [1]:\n{}",
    "while True:\n{}\n    break",
    "try:\n{}\nexcept TypeError:\n    return 0",
    "try:\n{}\nexcept KeyError:\n    return 0",
    "try:\n{}\nexcept Exception:\n    return 0",
)
OTHERS = (1, 0)
USES = ("return 1", "return x", "return str(x).upper()")


def run(code: str, inputs: Mapping[str, Any]) -> bool:
    """Returns True if the code answers."""
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the programs of this file
    try:
        names["run"](dict(inputs))
    except (KeyError, ValueError, AssertionError, NameError):
        return False
    return True


def programs(read: str) -> Iterator[str]:
    """Yields the programs that read the field so, with every check in every place."""
    for (place, check), use in zip(product(PLACES, CHECKS), cycle(USES), strict=False):
        indent = "" if place == "{}" else "    "
        yield "\n".join(["import contextlib", place.format(textwrap.indent(f"{read}\n{check}", indent)), use])


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("selector", "sent"), [(None, {}), ({"q": "$.q", "o": "$.o"}, {"q": None})], ids=["the key is absent", "a selector sets null"]
)
def test_a_field_that_a_run_fails_without_is_told_and_no_other(read: str, selector: dict[str, str] | None, sent: Mapping[str, Any]) -> None:
    """A field that is told to fail a run does, and a run that fails without it is never told to have a default."""
    wrong = []
    for program in programs(read):
        node = python(*program.splitlines(), selector=selector)
        told = told_of({"code": node}).split()
        answers = [run(node["code"], {"o": other, **sent}) for other in OTHERS if run(node["code"], {"o": other, "q": "v"})]
        if (any(answers) and "q!" in told) or (not all(answers) and not {"q", "q!"} & {*told}):
            wrong.append(f"answers {answers}, told {told}:\n{node['code']}")
    assert not wrong, "\n\n".join(wrong)

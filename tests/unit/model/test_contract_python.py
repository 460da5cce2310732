"""Fields that the code of a Python node reads, each rule with the code that shows it."""

from __future__ import annotations

import pytest

from dynamiq_operator.model.contract_paths import TooMuch, Work
from dynamiq_operator.model.contract_python import CODE_MOST, keys_of
from tests.support.contracts import PYTHON, node, python, told_of

UNTOLD = "(code)"
SELECTED = {name: f"$.{name}" for name in ("a", "b", "n", "q")}
EVERY = "a b n q"


@pytest.mark.parametrize(
    ("code", "without", "selected"),
    [
        pytest.param(['return inputs["q"]'], "q!", "q", id="a subscript"),
        pytest.param(['return inputs.get("q")'], "q", "q", id="get without a default"),
        pytest.param(['return inputs.get("q", None)'], "q", "q", id="get with None for a default"),
        pytest.param(['return inputs.get("q", "d")'], "q?", "q", id="get with a default, which a null does not get"),
        pytest.param(['return inputs.pop("q")'], "q!", "q", id="pop"),
        pytest.param(['return inputs.pop("q", 1)'], "q?", "q", id="pop with a default"),
        pytest.param(['return inputs.get("q") or "d"'], "q?", "q?", id="or after get"),
        pytest.param(['return inputs["q"] or "d"'], "q!", "q?", id="or after a subscript"),
        pytest.param(['return inputs.get("q") or None'], "q", "q", id="or None, which is no default"),
        pytest.param(['inputs["q"] = inputs["q"] + 1', 'return inputs["q"]'], "q!", "q", id="a key that is read before it is set"),
        pytest.param(['a = inputs["q"].get("a")', 'inputs["q"] = 1', "return a"], "q!", "q", id="a part of a key that is set later"),
        pytest.param(['q = inputs.get("q")', "return q if q else 1"], "q?", "q?", id="a name that is tested"),
        pytest.param(['q = inputs.get("q")', "if q is None: q = 1", "return q"], "q?", "q?", id="a name that is compared with None"),
        pytest.param(['q = inputs.get("q")', "return q"], "q", "q", id="a name that is not tested"),
        pytest.param(['if "q" in inputs: return inputs["q"]', "return 1"], "q?", "q", id="in, and then a subscript"),
        pytest.param(['if "q" not in inputs: return 1', 'return inputs["q"]'], "q?", "q", id="not in, and an early return"),
        pytest.param(['if "q" not in inputs: raise ValueError', "return 1"], "q!", "q", id="a check that raises"),
        pytest.param(['if not inputs.get("q"): raise ValueError', "return 1"], "q!", "q!", id="a check of a value that raises"),
        pytest.param(['assert inputs.get("q")', "return 1"], "q!", "q!", id="an assertion"),
        pytest.param(['try: return inputs["q"]', "except KeyError: return 1"], "q?", "q", id="a KeyError that is caught"),
        pytest.param(['try: return inputs["q"]', "except: return 1"], "q?", "q", id="every error is caught"),
        pytest.param(['try: return inputs["q"]', "except ValueError: return 1"], "q", "q", id="another error is caught"),
        pytest.param(['try: return inputs["q"]', "except KeyError: raise ValueError"], "q", "q", id="a KeyError that is raised again"),
        pytest.param(['if inputs["a"]: return 1', 'return inputs["q"]'], "a! q", "a q", id="after an early return"),
        pytest.param(['if inputs["a"]:', '    return inputs["q"]', "return 1"], "a! q", "a q", id="in a branch"),
        pytest.param(['def f(): return inputs["q"]', "return f()"], "q", "q", id="in a nested function"),
        pytest.param(["def f(inputs): return 1", "return f({})"], UNTOLD, EVERY, id="a nested function with a parameter of that name"),
        pytest.param(["data = inputs", 'return data["q"]'], "q!", "q", id="another name of the input"),
        pytest.param(["data = inputs", "data = {}", "return 1"], UNTOLD, EVERY, id="a name that is assigned twice"),
        pytest.param(['inputs["q"] = 1', 'return inputs["q"]'], "", "", id="a key that the code has written"),
        pytest.param(['if inputs["a"]: inputs["q"] = 1', 'return inputs["q"]'], "a! q", "a q", id="a key that it writes at times"),
        pytest.param(['x = inputs["q"]', 'inputs["q"] = 1', "return x"], "q!", "q", id="a key that is written after it was read"),
        pytest.param(['del inputs["q"]', "return 1"], "q!", "q", id="del"),
        pytest.param(["for x in inputs['q']: print(x)", "return 1"], "q!", "q", id="a loop over a field"),
        pytest.param(["return f\"{inputs['q']}\""], "q!", "q", id="a formatted text"),
        pytest.param(['return 1 if inputs.get("n", 0) > 3 else 2'], "n?", "n", id="an ordering, which null fails"),
        pytest.param(['return inputs["q"].get("k", 1)'], "q!", "q", id="a default inside a field"),
        pytest.param(['return inputs.get("q", {})["k"]'], "q!", "q", id="a subscript of a default"),
        pytest.param(['return (inputs.get("q") or {})["k"]'], "q", "q", id="a subscript of what stands in"),
        pytest.param(['key = "q"', "return inputs[key]"], UNTOLD, EVERY, id="a key that only a run knows"),
        pytest.param(["return f(inputs)"], UNTOLD, EVERY, id="the input is passed on"),
        pytest.param(["return [key for key in inputs]"], UNTOLD, EVERY, id="an iteration"),
        pytest.param(["return inputs.items()"], UNTOLD, EVERY, id="all items"),
        pytest.param(["return dict(**inputs)"], UNTOLD, EVERY, id="the input is unpacked"),
        pytest.param(["return inputs"], UNTOLD, EVERY, id="the input is the answer"),
        pytest.param(["return 1"], "", "", id="nothing is read"),
    ],
)
def test_fields_that_code_reads(code: list[str], without: str, selected: str) -> None:
    """A selector sets each key: a field that is missing is None then."""
    assert told_of({"code": python(*code)}) == without
    assert told_of({"code": python(*code, path="$.start.output")}) == without
    assert told_of({"code": python(*code, selector=SELECTED)}) == selected


def test_the_result_of_the_input_node_is_read_only_without_a_transformer() -> None:
    line = 'return inputs["start"]["output"]["q"]'
    assert told_of({"code": python(line)}) == "q!"
    assert told_of({"code": python(line, path="$.start.output")}) == "start!"
    assert told_of({"code": python(line, selector=SELECTED)}) == UNTOLD, "it fails for every caller"


@pytest.mark.parametrize(
    ("head", "line", "without", "selected"),
    [
        pytest.param("def run(a, b=1):", "return a", f"a! b? {UNTOLD}", "a b", id="without ** any other field fails"),
        pytest.param("def run(*, a, b=1):", "return a", f"a! b? {UNTOLD}", "a b", id="by name only"),
        pytest.param("def run(a, b=1, **rest):", "return a", "a! b?", "a b", id="others are taken and not used"),
        pytest.param("def run(a, **rest):", "return rest", UNTOLD, EVERY, id="others are taken and used"),
        pytest.param("def run(a, *args, **rest):", "return a", UNTOLD, EVERY, id="positions"),
        pytest.param("def run(a, /, **rest):", "return a", UNTOLD, EVERY, id="by position only"),
        pytest.param("def run(q=None, **rest):", "return q or 1", "q?", "q?", id="a parameter that is tested"),
    ],
)
def test_parameters_are_fields(head: str, line: str, without: str, selected: str) -> None:
    assert told_of({"code": {**python(line, head=head), "use_multiple_params": True}}) == without
    assert told_of({"code": {**python(line, head=head, selector=SELECTED), "use_multiple_params": True}}) == selected


@pytest.mark.parametrize(
    "code",
    [
        *(
            "",
            "def run(",
            "def go(inputs): return 1",
            "def run(a, b): return a",
            "run = lambda inputs: inputs['q']",
            "\0",
            "\ud800",
            None,
            3,
        ),
        "@cached\ndef run(inputs): return inputs['q']",
        "if 1:\n    def run(inputs): return inputs['q']",
        "def run(inputs): return inputs['q']\ndef run(inputs): return 1",
        "def run(inputs):\n    return 1\n" + "#" * CODE_MOST,
        "x = " + "(" * 500 + ")" * 500,
    ],
)
def test_code_that_is_not_read_cannot_be_told_unless_a_selector_tells(code: object) -> None:
    assert told_of({"code": node(PYTHON, code=code)}) == UNTOLD
    assert told_of({"code": node(PYTHON, {"a": "$.q"}, code=code)}) == "q"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["if inputs: 0", *["elif inputs['a']: 0"] * 500], id="branches within branches"),
        pytest.param([f"x{'[0]' * 200}"] * 20, id="subscripts of subscripts"),
        pytest.param(["-x;" * 3_000], id="many statements"),
    ],
)
def test_code_that_takes_too_many_steps_is_given_up(lines: list[str]) -> None:
    code = python(*lines)
    assert len(code["code"]) <= CODE_MOST
    with pytest.raises(TooMuch):
        keys_of(code["code"], Work(25_000), as_parameters=False)
    assert told_of({"code": code}) == "(flow)"

"""Lists pairs with Choice and Map."""

from __future__ import annotations

from typing import Any

from tests.sdk.support.pair_flows import MODEL, SDK, START, Pair, both, callers, chosen, condition, flow, mapped, node, output, python

KIND = condition("$.kind", "string-equals", "order")
SEVEN = {"kind": "order", "number": 7}
NUMBERS = [{"number": 1, "size": "S"}, {"number": 2, "size": "M"}]


def inner(code: str) -> dict[str, Any]:
    """Returns a Python node that runs once for each item."""
    return {"type": "dynamiq.nodes.tools.Python", "code": f"def run(inputs):\n    {code}\n"}


def prompt(content: str) -> dict[str, Any]:
    """Returns a model that is called once for each item."""
    return {**MODEL, "prompt": {"messages": [{"role": "user", "content": content}]}}


def exclusive(*kinds: str) -> str:
    """Returns a flow with an option for each kind, in this order."""
    options = [{"id": kind, "condition": condition("$.start.output.kind", "string-equals", kind)} for kind in kinds]
    nodes = {kind: python(f"def run(inputs):\n    return 'a{kind}'", f"choice:{kind}") for kind in sorted(kinds)}
    answers = output(" ".join(nodes), answer=" || ".join(f"$.{kind}.output.content" for kind in nodes))
    return flow({"start": START, "choice": node("operators.Choice", "start", options=options), **nodes, "output": answers})


def conditional(when: dict[str, Any]) -> str:
    """Returns a flow whose Python node runs if this holds of the Input's result."""
    code = {**python("def run(inputs):\n    return 'an order'"), "depends": [{"node": "start", "condition": when}]}
    return flow({"start": START, "code": code, "output": output("code")})


def with_notes(*lists: str) -> str:
    """Returns a flow that runs a node for each item of these lists, and answers with the first."""
    maps = {name: node("operators.Map", "start", node=inner("return 1"), selector={"input": f"$.start.output.{name}"}) for name in lists}
    return flow({"start": START, **maps, "output": output(" ".join(maps), answer=f"$.{lists[0]}.output.output")})


NUMBER = inner("return inputs['number']")

CHOICE_BREAKING = (
    Pair(
        "a dependency on a new field",
        SDK,
        conditional(condition("$.status", "string-equals", "success")),
        conditional(condition("$.output.tier", "string-equals", "gold")),
        callers({"kind": "order", "tier": "gold"}, web="tier", mobile="tier"),
    ),
    Pair(
        "a comparison of a new number",
        SDK,
        chosen(KIND),
        chosen(both(KIND, condition("$.amount", "numeric-greater-than", 10))),
        callers({"kind": "order", "amount": 50}, {"batch": {"amount": None}}, nightly="amount"),
    ),
    Pair(
        "a branch reads a new key",
        SDK,
        chosen(KIND, "return 'order 7'"),
        chosen(KIND, "return 'order ' + str(inputs['number'])"),
        callers(SEVEN, {"partner": {"kind": "chat"}}, web="number", batch="number"),
    ),
)
CHOICE_SAFE = (
    Pair(
        "a condition that is written otherwise",
        SDK,
        chosen(KIND),
        chosen(condition("$['start'].output.kind", "string-equals", "order")),
        callers({"kind": "order"}, {"web": {"kind": "chat"}}, partner="kind"),
    ),
    Pair(
        "a condition on a field with a default",
        SDK,
        chosen(KIND),
        chosen(
            both(KIND, condition("$.tier", "string-equals", "gold")),
            selector={"kind": "$.kind", "tier": "$.tier || gold"},
        ),
        callers({"kind": "order", "tier": "gold"}, {"batch": {"kind": "chat"}}, nightly="tier", mobile="tier"),
    ),
    Pair(
        "another order of options",
        SDK,
        exclusive("order", "chat"),
        exclusive("chat", "order"),
        callers({"kind": "order"}, {"web": {"kind": "chat"}, "mobile": {"kind": "mail"}}, batch="kind"),
    ),
)
MAP_BREAKING = (
    Pair(
        "another list",
        SDK,
        mapped(NUMBER, "$.start.output.items"),
        mapped(NUMBER, "$.start.output.orders"),
        callers({"items": NUMBERS, "orders": NUMBERS}, nightly="orders", partner="orders"),
    ),
    Pair(
        "a list loses its alternative",
        SDK,
        mapped(NUMBER, "$.orders || $.items"),
        mapped(NUMBER, "$.orders"),
        callers({"items": NUMBERS, "orders": NUMBERS}, {"mobile": {"orders": None}}, web="orders", partner="items"),
    ),
    Pair(
        "a second list",
        SDK,
        with_notes("items"),
        with_notes("items", "notes"),
        callers({"items": NUMBERS, "notes": []}, web="notes", mobile="notes", batch="notes"),
    ),
)
MAP_SAFE = (
    Pair(
        "other names, and another key of the items",
        SDK,
        mapped(NUMBER, "$.start.output.items"),
        mapped(inner("return inputs['number'] if inputs['size'] else 0"), "$['items']", "every", max_workers=2),
        callers({"items": NUMBERS}, {"web": {"number": 5}}),
    ),
    Pair(
        "another variable of the items' prompt",
        SDK,
        mapped(prompt("No. {{ number }}"), "$.items"),
        mapped(prompt("No. {{ number }}{% if not size %}?{% endif %}"), "$.items"),
        callers({"items": NUMBERS}, {"nightly": {"size": "S"}}),
    ),
    Pair(
        "a list with an alternative",
        SDK,
        mapped(NUMBER, "$.items"),
        mapped(NUMBER, "$.start.output.orders || $.start.output.items"),
        callers({"items": NUMBERS}, {"web": {"orders": NUMBERS}}),
    ),
)

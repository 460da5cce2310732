"""Lists pairs whose models' prompts change. The model repeats the last message."""

from __future__ import annotations

from tests.sdk.support.pair_flows import MODEL, SDK, START, Pair, callers, flow, node, output, prompted

BOTH = {"question": "Where is my order?", "language": "en"}
QUESTION, LANGUAGE = {"question": "$.start.output.question"}, {"language": "$.start.output.language"}
IN_EN, IN_LANGUAGE = "{{ question }} (en)", "{{ question }} ({{ language }})"


def renamed(content: str) -> str:
    """Returns a flow with other names of nodes, whose system message is no template."""
    messages = [{"role": "system", "content": "Never answer with {{ language }}.", "static": True}, {"role": "user", "content": content}]
    model = {**node("llms.OpenAI", "begin", prompt={"messages": messages}, selector={"question": "$.begin.output.question"}), **MODEL}
    return flow({"output": output("writer"), "writer": model, "begin": START})


BREAKING = (
    Pair(
        "a new variable of the system message",
        SDK,
        prompted("Answer in en.", "{{ question }}"),
        prompted("Answer in {{ language }}.", "{{ question }}"),
        callers(BOTH, web="language", batch="language"),
    ),
    Pair(
        "a new variable by a selector is None",
        SDK,
        prompted(IN_EN, selector=QUESTION),
        prompted(IN_LANGUAGE, selector=QUESTION | LANGUAGE),
        callers(BOTH, {"mobile": {"language": None}}, nightly="language"),
    ),
    Pair(
        "a default in the prompt does not help",
        SDK,
        prompted(IN_EN),
        prompted("{{ question }} ({{ language | default('en') }}){% if tone is defined %}{{ tone }}{% endif %}"),
        callers({**BOTH, "tone": ""}, nightly="language tone", partner="language tone"),
    ),
    Pair(
        "a variable becomes the field of an object",
        SDK,
        prompted("Order {{ number }}?"),
        prompted("Order {{ order.number }}?", path="$.start.output"),
        callers({"number": 7, "order": {"number": 7}}, mobile="order", batch="order", partner="order"),
    ),
    Pair(
        "a default moves from the selector into the prompt",
        SDK,
        prompted(IN_LANGUAGE, selector={**QUESTION, "language": "$.start.output.language || en"}),
        prompted("{{ question }} ({{ language | default('en') }})", selector=QUESTION | LANGUAGE),
        callers(BOTH, {"web": {"language": None}}, batch="language"),
    ),
)

SAFE = (
    Pair(
        "other names and a comment",
        SDK,
        prompted("{{ question }}"),
        renamed("{{question}}{# not {{ language }} #}"),
        callers(BOTH, web="language", partner="language"),
    ),
    Pair(
        "a new variable with a default of its own",
        SDK,
        prompted(IN_EN),
        prompted("{{ question }} ({{ language or 'en' }})", selector=QUESTION | LANGUAGE),
        callers(BOTH, nightly="language", mobile="language"),
    ),
    Pair(
        "a new variable that is asked for first",
        SDK,
        prompted("{{ question }}"),
        prompted("{{ question }}{% if tone %} ({{ tone }}){% endif %}", selector={**QUESTION, "tone": "$.tone"}),
        callers(BOTH, {"web": {"tone": ""}, "batch": {"tone": None}}),
    ),
    Pair("a new variable that all send", SDK, prompted(IN_EN), prompted(IN_LANGUAGE), callers(BOTH, {"web": {"tone": "kind"}})),
    Pair(
        "variables of the prompt itself",
        SDK,
        prompted(IN_EN),
        prompted("{% set language = 'en' %}{% for word in [question] %}{{ word }}{% endfor %} ({{ language }})", path="$.start.output"),
        callers(BOTH, nightly="language", web="language", partner="question"),
    ),
)

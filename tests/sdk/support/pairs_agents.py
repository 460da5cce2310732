"""Lists pairs whose agents change. An agent answers with what it was asked."""

from __future__ import annotations

from typing import Any

from tests.sdk.support.pair_flows import SDK, START, Pair, agent, answered, callers, flow, output

ASKED = {"question": "Where is my order?"}
QUESTION = {"input": "$.start.output.question"}
TOOL = {
    "id": "status",
    "type": "dynamiq.nodes.tools.Python",
    "name": "order-status",
    "description": "Says where an order is.",
    "code": "def run(inputs):\n    return 'Order ' + inputs['order'] + ' was sent'\n",
}


def message(content: str) -> dict[str, Any]:
    """Returns the field of an agent whose user's message is a template."""
    return {"input_message": {"role": "user", "content": content}}


BREAKING = (
    Pair(
        "its input is another field",
        SDK,
        answered(selector=QUESTION),
        answered(selector={"input": "$.start.output.text"}),
        callers({**ASKED, "text": ASKED["question"]}, {"partner": {"text": None}}, web="text"),
    ),
    Pair(
        "its input loses its default",
        SDK,
        answered(selector={"input": "$.question || Hello"}),
        answered(selector={"input": "$.question"}),
        callers(ASKED, nightly="question", batch="question"),
    ),
    Pair(
        "its role is a template with a new variable",
        SDK,
        answered(role="You answer in en."),
        answered(role="{% raw %}You answer{% endraw %} in {{ language }}."),
        callers({"input": "Where?", "language": "en"}, {"mobile": {"language": None}}, nightly="language", web="language"),
    ),
    Pair(
        "its message has another variable",
        SDK,
        answered(**message("Q: {{ question }}")),
        answered(**message("Q: {{ text }}")),
        callers({**ASKED, "text": ASKED["question"]}, nightly="text", mobile="text", partner="text"),
    ),
    Pair(
        "its metadata is selected, and may not be None",
        SDK,
        answered(selector=QUESTION),
        answered(selector={**QUESTION, "metadata": "$.start.output.metadata"}),
        callers({**ASKED, "metadata": {"shop": 1}}, web="metadata", mobile="metadata", batch="metadata"),
    ),
)

SAFE = (
    Pair(
        "its role is no template",
        SDK,
        answered(path="$.start.output"),
        answered(path="$.start.output", role="Write {{ language }} as it is.", instructions="Never fill in {{ tone }}."),
        callers({"input": "Where is my order?", "language": "en"}, nightly="language"),
    ),
    Pair(
        "it takes a user and a session, which are optional",
        SDK,
        answered(selector=QUESTION),
        answered(selector={**QUESTION, "user_id": "$.user_id", "session_id": "$.start.output.session_id"}),
        callers(ASKED, {"web": {"user_id": "u1", "session_id": "s1"}, "mobile": {"user_id": "u2"}}),
    ),
    Pair(
        "a tool reads what the model sends it",
        SDK,
        answered(selector=QUESTION),
        answered(selector=QUESTION, tools=[TOOL], max_loops=5),
        callers(ASKED, {"web": {"order": "1001"}}),
    ),
    Pair(
        "its input gets a default",
        SDK,
        answered(selector=QUESTION),
        flow({"output": output("clerk"), "clerk": agent(selector={"input": "$.question || $.text || Hello"}), "start": START}),
        callers(ASKED, {"batch": {"text": "Hello"}}),
    ),
    Pair(
        "its question is in its message",
        SDK,
        answered(selector=QUESTION),
        answered(**message("{{ question }}")),
        callers(ASKED, {"nightly": {"language": "en"}}),
    ),
)

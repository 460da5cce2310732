"""Tests examples/agent/: an agent with a tool, called as an App's callers call it, with a model of our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support import openai
from tests.support.cluster import REPOSITORY
from tests.support.preloaded import Preloaded
from tests.support.runtime import Served, serving

AGENT = REPOSITORY / "examples" / "agent"
CALLS = 2  # of the model: one that names the tool, one that answers
CACHED, CACHED_PRICE = 600, 0.075e-6
"""Tokens of the prompt in the model's cache, and US dollars for each of them."""
USAGE = openai.USAGE | {"prompt_tokens_details": {"cached_tokens": CACHED}}
PRICE = (openai.PROMPT_TOKENS - CACHED) * openai.PROMPT_PRICE + CACHED * CACHED_PRICE + openai.COMPLETION_TOKENS * openai.COMPLETION_PRICE
WITHIN = 300.0  # seconds for one answer on a busy machine


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((AGENT / name).read_text())
    return content


@pytest.fixture(scope="module")
def helpdesk(sdk: Preloaded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, openai.Model]]:
    """Provides its pod, with the variables that its App reads from a Secret."""
    with openai.serving() as model:
        model.calls["order-status"] = {"order": "1001"}
        model.usages[openai.NAME] = USAGE
        secret = {"url": model.url, "key": openai.KEY}
        variables = {each["name"]: secret[each["secret"]["key"]] for each in read("app.yaml")["spec"]["variables"]}
        folder, flow = tmp_path_factory.mktemp("helpdesk"), read("helpdesk-v1.yaml")["spec"]["flow"]
        with serving(folder, flow, python=sdk, **variables, DYNAMIQ_ENGINE=read("runtime.yaml")["spec"]["engine"]) as served:
            yield served, model


def test_it_looks_the_order_up_and_answers(helpdesk: tuple[Served, openai.Model]) -> None:
    served, model = helpdesk
    before = model.asked[openai.NAME]
    answer = served.run({"question": "Where is my order 1001?"}, timeout=WITHIN)
    assert (answer.status, answer.body) == (200, {"answer": "Order 1001 was sent on Monday"})
    assert model.asked[openai.NAME] == before + CALLS


def test_tokens_are_counted_once_for_the_agent_and_its_model(helpdesk: tuple[Served, openai.Model]) -> None:
    served, _ = helpdesk
    names = [f'dynamiq_runtime_tokens_total{{kind="{kind}",node="agent"}}' for kind in ("prompt", "completion")]
    names.append('dynamiq_runtime_cost_usd_total{node="agent"}')
    before = [served.metric(name) for name in names]
    served.run({"question": "And 1002?"}, timeout=WITHIN)
    used = [served.metric(name) - was for name, was in zip(names, before, strict=True)]
    assert used == [CALLS * openai.PROMPT_TOKENS, CALLS * openai.COMPLETION_TOKENS, pytest.approx(CALLS * PRICE)]


def test_a_busy_model_is_called_again(helpdesk: tuple[Served, openai.Model]) -> None:
    served, model = helpdesk
    model.busy[openai.NAME] = 1
    assert served.run({"question": "Where is my order 1001?"}, timeout=WITHIN).status == 200
    assert not model.busy[openai.NAME]


def test_the_draft_is_what_was_released() -> None:
    assert read("workflow.yaml")["spec"]["flow"] == read("helpdesk-v1.yaml")["spec"]["flow"]


def test_its_key_is_in_no_file_and_in_no_line_of_the_log(helpdesk: tuple[Served, openai.Model]) -> None:
    served, _ = helpdesk
    assert openai.KEY not in served.log.read_text()
    assert all(each["kind"] != "Secret" for path in AGENT.glob("*.yaml") for each in yaml.safe_load_all(path.read_text()))

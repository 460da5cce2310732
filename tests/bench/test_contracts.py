"""Measures the contracts of ten thousand flows that are made by chance. It asserts no time."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from dynamiq_operator.model.contract import Contract, contract_of
from tests.support.measured import MEASURED, kept
from tests.support.random_flows import LARGE_LEAST, LARGE_MOST, flows

FLOWS, SEED = 10_000, 1
LARGE_SHARE = 0.01


@pytest.mark.timeout(900)
def test_no_flow_raises_an_exception() -> None:
    contract_of("{}")  # the first one also builds the models
    took: list[float] = []
    sizes: list[int] = []
    raised: Counter[str] = Counter()
    slowest: dict[str, float] = {}
    untold = 0
    for kind, text in flows(SEED, FLOWS):
        contract = Contract()
        began = time.process_time()
        try:
            contract = contract_of(text)
        except Exception as error:
            raised[f"{kind}: {type(error).__name__}"] += 1
        took.append((time.process_time() - began) * 1e3)
        sizes.append(len(text.encode("utf-8", "replace")))
        slowest[kind] = max(took[-1], slowest.get(kind, 0))
        untold += bool(contract.untold)
    large = [milliseconds for milliseconds, size in zip(took, sizes, strict=True) if LARGE_LEAST <= size <= LARGE_MOST]
    with kept(MEASURED / "contracts.txt") as say:
        say(
            f"contracts of {len(took)} random flows: {raised.total()} exceptions; CPU p50 {_part(took, 0.5):.2f} ms, "
            f"p99 {_part(took, 0.99):.2f} ms, max {max(took):.1f} ms; {len(large)} of 200 to 900 KiB: p50 {_part(large, 0.5):.2f} ms, "
            f"p99 {_part(large, 0.99):.2f} ms, max {max(large):.1f} ms; something cannot be told of {untold}"
        )
        say("slowest by kind: " + ", ".join(f"{kind} {milliseconds:.1f} ms" for kind, milliseconds in sorted(slowest.items())))
    assert raised == {}
    assert len(took) == FLOWS
    assert len(large) >= LARGE_SHARE * FLOWS


def _part(took: list[float], part: float) -> float:
    return sorted(took)[int(len(took) * part)]

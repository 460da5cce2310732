"""Contracts of flows that are made by chance: none raises an exception, and each can be pinned into a row."""

from __future__ import annotations

import json

import pytest

from dynamiq_operator.model.contract import ChangeKind, Contract, changes, contract_of
from tests.support.random_flows import KINDS, flows

FLOWS, SEED = 400, 7
LONG = 5_000
MAY_BREAK = {ChangeKind.FAILS, ChangeKind.READS, ChangeKind.CANNOT_TELL}


@pytest.fixture(scope="module")
def contracts() -> list[tuple[str, str, Contract]]:
    return [(kind, text, contract_of(text)) for kind, text in flows(SEED, FLOWS)]


def test_contracts_of_random_flows_can_be_stored(contracts: list[tuple[str, str, Contract]]) -> None:
    assert {kind for kind, *_ in contracts} == set(KINDS)
    for _, _, contract in contracts:
        stored = contract.as_json()
        assert Contract.model_validate(stored) == contract
        assert Contract.model_validate(json.loads(json.dumps(stored))) == contract
        json.dumps(stored, ensure_ascii=False).encode("utf-8")


def test_a_flow_changes_nothing_against_itself(contracts: list[tuple[str, str, Contract]]) -> None:
    for _, text, contract in contracts:
        assert len(text) > LONG or contract_of(text) == contract
        assert not MAY_BREAK & {each.kind for each in changes(contract, contract)}


def test_a_field_that_is_needed_is_read_and_has_no_default(contracts: list[tuple[str, str, Contract]]) -> None:
    for _, _, contract in contracts:
        assert set(contract.needs) <= set(contract.reads)
        assert not set(contract.reads) & set(contract.defaults)


def test_a_text_that_is_no_flow_cannot_be_told(contracts: list[tuple[str, str, Contract]]) -> None:
    no_flows = [contract for kind, _, contract in contracts if kind == "characters"]
    assert no_flows
    assert all(contract.untold and not contract.reads for contract in no_flows)
    for text in ("", "null", "1", "[]", "{", "nodes", "nodes: {}", "nodes: [", "\0", "\ud800", "{" * 100_000, "- " * 100_000):
        (untold,) = contract_of(text).untold
        assert untold.node == ""

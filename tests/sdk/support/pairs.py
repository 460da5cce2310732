"""Lists all pairs of flows by group: those whose new flow breaks callers, and those whose new flow breaks none."""

from __future__ import annotations

from collections.abc import Mapping

from tests.sdk.support import pairs_agents, pairs_operators, pairs_prompts, pairs_python, pairs_selectors
from tests.sdk.support.pair_flows import Pair

BREAKING: Mapping[str, tuple[Pair, ...]] = {
    "selectors": pairs_selectors.BREAKING,
    "python": pairs_python.BREAKING,
    "prompts": pairs_prompts.BREAKING,
    "agents": pairs_agents.BREAKING,
    "choice": pairs_operators.CHOICE_BREAKING,
    "map": pairs_operators.MAP_BREAKING,
}
SAFE: Mapping[str, tuple[Pair, ...]] = {
    "selectors": pairs_selectors.SAFE,
    "python": pairs_python.SAFE,
    "prompts": pairs_prompts.SAFE,
    "agents": pairs_agents.SAFE,
    "choice": pairs_operators.CHOICE_SAFE,
    "map": pairs_operators.MAP_SAFE,
}


def named(groups: Mapping[str, tuple[Pair, ...]]) -> dict[str, Pair]:
    """Returns the pairs by group and name."""
    return {f"{group}: {pair.name}": pair for group, pairs in groups.items() for pair in pairs}

"""Limits of a gate: all that they allow together fits into its memory."""

from __future__ import annotations

import pytest

from dynamiq_operator.gate.limits import CONNECTION, OWN, Limits

MIB = 1 << 20


@pytest.mark.parametrize("memory", [128 * MIB, 256 * MIB, 512 * MIB, 1024 * MIB, 4096 * MIB])
def test_all_that_is_allowed_together_fits_into_the_memory(memory: int) -> None:
    limits = Limits.within(memory, 1000, 5000, 1 << 30)
    callers = limits.connections * CONNECTION + limits.heads * 9 // 8 + limits.calls + limits.answers + limits.runs * 9 // 8
    assert callers <= memory - max(min(OWN, memory // 2), memory // 4)
    assert callers > memory // 3


def test_the_default_limits_fit_into_the_memory_of_the_manifests() -> None:
    limits = Limits.within(1 << 30, 1000, 5000, 1 << 30)
    assert (limits.connections, limits.runs, limits.answers) == (16384, 64 * MIB, 128 * MIB)
    assert limits.cost(1024, 1024) * 5000 <= limits.calls, "as many calls are under way as the setting says"
    assert limits.cost(60 << 10, None) * 1000 > limits.calls // 2, "but not with heads and bodies as large as they may be"

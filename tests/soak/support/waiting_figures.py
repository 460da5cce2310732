"""Holds the figures of runs that wait for a person: the tests of several files write them into one log."""

from __future__ import annotations

from tests.support.measured import Figures

FIGURES = Figures("waiting-runs")

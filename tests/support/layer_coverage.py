"""Prints the coverage of each layer by unit tests, and its minimum: `python -m tests.support.layer_coverage`, after a run with coverage."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coverage import Coverage

PACKAGE = Path(__file__).parents[2] / "operator" / "dynamiq_operator"
WANTED = {
    "model": 95.0,
    "desired": 95.0,
    "plan": 95.0,
    "views": 95.0,
    "kube": 80.0,
    "serving": 80.0,
    "actions": 80.0,
    "controller": 80.0,
    "gate": 80.0,
    "rest": 80.0,
    "cli": 80.0,
}
"""Per cent of the lines of each layer: decisions are pure code, and have no excuse."""

FILES = 3
"""Files to list for a layer below its minimum, those with most missing lines first."""


@dataclass(frozen=True)
class Layer:
    """A layer's lines: their number, and how many each file lacks."""

    name: str
    lines: int
    missing: Mapping[str, int]

    @property
    def percent(self) -> float:
        return 100.0 * (1 - sum(self.missing.values()) / self.lines) if self.lines else 100.0

    @property
    def falls_short(self) -> bool:
        return self.percent < WANTED[self.name]


def layers(files: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[Layer]:
    """Returns all layers. `files`: the part of that name of coverage's JSON report."""
    all_layers = []
    for name in WANTED:
        within = {path: report["summary"] for path, report in files.items() if Path(path).absolute().is_relative_to(PACKAGE / name)}
        missing = {str(Path(path).absolute().relative_to(PACKAGE)): summary["missing_lines"] for path, summary in within.items()}
        all_layers.append(Layer(name, sum(summary["num_statements"] for summary in within.values()), missing))
    return all_layers


def table(all_layers: list[Layer]) -> list[str]:
    """Returns one line for each layer."""
    lines = ["layer        lines  reached  wanted"]
    for layer in all_layers:
        line = f"{layer.name:<12} {layer.lines:>5}  {layer.percent:>5.1f} %  {WANTED[layer.name]:>4.0f} %"
        if layer.falls_short:
            worst = sorted(layer.missing.items(), key=lambda file: -file[1])[:FILES]
            line += "  falls short: " + ", ".join(f"{name} lacks {count}" for name, count in worst)
        lines.append(line)
    return lines


def main() -> int:
    """Prints the table; returns 1 if a layer is below its minimum."""
    report = PACKAGE.parents[1] / "build" / "coverage.json"
    measured = Coverage(data_file=str(report.with_name(".coverage")))
    measured.load()
    measured.json_report(outfile=str(report))
    all_layers = layers(json.loads(report.read_text())["files"])
    print("\n".join(table(all_layers)))
    return 1 if any(layer.falls_short for layer in all_layers) else 0


if __name__ == "__main__":
    sys.exit(main())

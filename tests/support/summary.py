"""Summarizes a run of several suites: its failures, flaky tests, the slowest tests, and the time of each step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support import cost, results
from tests.support.lanes import Ended

WIDTH = 100
NAMED = 5
"""The number of tests with one reason that the summary names, as with a cluster that did not start; the report before it names all."""
REASON_SHOWN = 160
"""Characters of a reason in the summary; the report before it has all."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: its steps, flaky tests, and the objections to these.

    `seconds` and `core_seconds` are the machine's, from beginning to end; `costs`: core-seconds of suites that kept accounts.
    """

    ended: Sequence[Ended]
    seconds: float
    core_seconds: float = 0.0
    costs: Mapping[str, float] = field(default_factory=dict)
    flaky: Collection[str] = ()
    objections: Sequence[str] = ()

    def results(self) -> results.Results:
        """Returns the results of all suites."""
        return results.read(*(each.command.results for each in self.ended if each.command.results is not None), flaky=self.flaky)


def report(outcome: Outcome) -> list[str]:
    """Returns the lines at the end of a run: failures, and a summary."""
    lines = []
    for each in outcome.ended:
        if each.code is not None and _is_read(each):
            lines += [title(each.command.name), results.end_of(each.command.log.read_text())]
    whole = outcome.results()
    for failure in (*whole.flaky, *whole.failures):
        lines += [title(failure.test), failure.text]
    return [*lines, *summary(outcome)]


def summary(outcome: Outcome) -> list[str]:
    """Returns the slowest tests, each step's time, failures with a line of their reason, and the number of passed tests.

    Failures are last: a CI that cuts its log keeps the end.
    """
    whole = outcome.results()
    lines = []
    if whole.tests:
        lines += [title(f"slowest {results.SLOWEST} tests"), *(f"{took:8.1f} s  {test}" for test, took in whole.slowest())]
    lines += [title("time of each step"), *(_about(each, outcome) for each in outcome.ended)]
    lines.append(f"{outcome.seconds:8.1f} s  {outcome.core_seconds:.0f} core-s of the whole machine")
    if whole.flaky:
        lines += [title("flaky: failed, and passed when run once more, alone"), *_by_reason(whole.flaky), *outcome.objections]
    if whole.failures:
        lines += [title("failed"), *_by_reason(whole.failures)]
    return [*lines, title(f"{whole.counts()} in {outcome.seconds:.2f}s")]


def _by_reason(failures: Sequence[results.Failure]) -> list[str]:
    lines = []
    for reason, tests in results.reasons(failures).items():
        lines += [*tests[:NAMED], *([f"and {len(tests) - NAMED} more"] if len(tests) > NAMED else []), f"    {reason[:REASON_SHOWN]}"]
    return lines


def _is_read(step: Ended) -> bool:
    """Returns True if its log is printed: on request, or if no results explain its failure."""
    written = step.command.results is not None and step.command.results.exists()
    return step.command.shown or not (step.ok or written)


def _about(step: Ended, outcome: Outcome) -> str:
    name = step.command.name
    if step.code is None:
        return f"       -    {'':<26} {name:<12} {step}"
    read_results = results.read(*([step.command.results] if step.command.results is not None else []), flaky=outcome.flaky)
    outcome_text = read_results.counts() if read_results.tests else "done" if step.ok else f"exit code {step.code}"
    more = f", {len(read_results.flaky)} of them flaky" if read_results.flaky else ""
    more += "" if step.ok else f"  see {step.command.log}"
    took = cost.against_budget(name, outcome.costs.get(name, step.core_seconds))
    return f"{step.seconds:8.1f} s  {took:<26} {name:<12} {outcome_text}{more}"


def title(text: str) -> str:
    """Returns a line across with `text` in its middle, as pytest prints one."""
    return f" {text} ".center(WIDTH, "=")

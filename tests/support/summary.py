"""The end of a run of several suites: its failures, what was flaky, the slowest tests, and what each step took."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tests.support import cost, results
from tests.support.lanes import Ended

WIDTH = 100
NAMED = 5
"""Of tests that failed for one reason, as all do of a cluster that did not start, so many are named in the summary; the report before it has all."""
REASON_SHOWN = 160
"""Characters of a reason in the summary; the report before it has all."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run: its steps, the tests that passed when they were run once more, and why these do not do.

    `seconds` and `core_seconds` are the machine's, from beginning to end; `costs` has the core-seconds of suites that kept accounts.
    """

    ended: Sequence[Ended]
    seconds: float
    core_seconds: float = 0.0
    costs: Mapping[str, float] = field(default_factory=dict)
    flaky: Collection[str] = ()
    objections: Sequence[str] = ()

    def results(self) -> results.Results:
        """The results of all suites."""
        return results.read(*(each.command.results for each in self.ended if each.command.results is not None), flaky=self.flaky)


def report(outcome: Outcome) -> list[str]:
    """What is said at the end: failures, and a summary."""
    lines = []
    for each in outcome.ended:
        if each.code is not None and _is_read(each):
            lines += [title(each.command.name), results.end_of(each.command.log.read_text())]
    found = outcome.results()
    for failure in (*found.flaky, *found.failures):
        lines += [title(failure.test), failure.text]
    return [*lines, *summary(outcome)]


def summary(outcome: Outcome) -> list[str]:
    """Returns the slowest tests, each step's time, what failed with a line of why, and how many passed.

    What failed comes last: a CI that cuts its log keeps the end.
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


def _is_read(one: Ended) -> bool:
    """Whether its log is printed: where it is what was asked for, or where nothing else says why it failed."""
    written = one.command.results is not None and one.command.results.exists()
    return one.command.shown or not (one.ok or written)


def _about(one: Ended, outcome: Outcome) -> str:
    name = one.command.name
    if one.code is None:
        return f"       -    {'':<26} {name:<12} {one}"
    found = results.read(*([one.command.results] if one.command.results is not None else []), flaky=outcome.flaky)
    said = found.counts() if found.tests else "done" if one.ok else f"exit code {one.code}"
    more = f", {len(found.flaky)} of them flaky" if found.flaky else ""
    more += "" if one.ok else f"  see {one.command.log}"
    took = cost.against_budget(name, outcome.costs.get(name, one.core_seconds))
    return f"{one.seconds:8.1f} s  {took:<26} {name:<12} {said}{more}"


def title(text: str) -> str:
    """A line across with `text` in its middle, as pytest prints one."""
    return f" {text} ".center(WIDTH, "=")

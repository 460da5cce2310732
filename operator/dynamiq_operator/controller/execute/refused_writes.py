"""Keeps a refused write of a child as a problem, which the next plan reports in a condition. It does not end the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.kube import errors
from dynamiq_operator.model import ownership
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason

MESSAGE_MAX = 900
"""Characters of the API server's message that are kept: an Event and a condition take a few more."""


@contextmanager
def reporting(execution: Execution, manifest: Manifest, digest: str) -> Iterator[Callable[[], None]]:
    """Keeps Invalid and Denied as the problem of a child; other errors pass. `digest`: of the child's manifest.

    Yields what drops the problem that the child had before: to be called once it was written.
    """
    state, child = execution.state, (manifest["kind"], manifest["metadata"]["name"])
    before = state.problems.get(child)

    def resolve() -> None:
        if state.problems.get(child) is before:
            state.problems.pop(child, None)

    try:
        yield resolve
    except (errors.Invalid, errors.Denied) as error:
        state.keep_problem(child, refusal(" ".join(child), error, digest), execution.states.clock())


def refusal(what: str, error: errors.Invalid | errors.Denied, digest: str) -> ChildProblem:
    """Returns the problem of a refused write, with the API server's message."""
    message = str(error)[:MESSAGE_MAX]
    if isinstance(error, errors.Denied):
        return ChildProblem(ProblemReason.DENIED, f"{what} is not allowed: {message}", digest, may_pass=True)
    return ChildProblem(ProblemReason.REFUSED, f"the API server refuses {what}: {message}", digest, may_pass=not error.is_final)


def report_taken(execution: Execution, manifest: Manifest, existing: Manifest, message: str = "") -> None:
    """Keeps the problem that another manager's object has the name of a child. It does not change that object."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    message = message or f"{kind} {name} exists and is not this App's: rename or delete it, or name the App otherwise"
    other_app = ownership.app_of(existing) if ownership.app_of(existing) != ownership.app_of(manifest) else ""
    problem = ChildProblem(ProblemReason.TAKEN, message, other_app=other_app)
    execution.state.keep_problem((kind, name), problem, execution.states.clock())

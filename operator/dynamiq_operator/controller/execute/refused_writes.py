"""Keeps a refused write of a child as a problem, which the next plan reports in a condition. It does not end the plan."""

from __future__ import annotations

from types import TracebackType

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.kube import errors
from dynamiq_operator.model import ownership
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason

MESSAGE_MAX = 900
"""Characters of the API server's message that are kept: an Event and a condition take a few more."""


class reporting:  # noqa: N801 - used like a function
    """A context that keeps Invalid and Denied as the problem of a child; other errors pass. `digest`: of the child's manifest."""

    def __init__(self, execution: Execution, manifest: Manifest, digest: str) -> None:
        self._state, self._clock, self._digest = execution.state, execution.states.clock, digest
        self._child = (manifest["kind"], manifest["metadata"]["name"])
        self._before = self._state.problems.get(self._child)

    def __enter__(self) -> reporting:
        return self

    def resolve(self) -> None:
        """Drops the problem that the child had before: it was written."""
        if self._state.problems.get(self._child) is self._before:
            self._state.problems.pop(self._child, None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, errors.Invalid | errors.Denied):
            return False
        self._state.keep_problem(self._child, refusal(" ".join(self._child), error, self._digest), self._clock())
        return True


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

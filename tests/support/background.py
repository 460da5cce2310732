"""Starts pods of an App with a journal, and calls the Runs API as a caller with an Access Key does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from dynamiq_recorder.journal.store import SteadyClock
from tests.support.journal import APP, POD, JournalStage
from tests.support.preloaded import Preloaded
from tests.support.runtime import DEADLINE, Answer, Served, events_in, serving
from tests.support.waiting import eventually

KEY = "key-of-ann"
ENDED = ("completed", "failed", "canceled")


def steps_flow(*names: str, code: str = "") -> str:
    """Returns a flow of Python nodes, one after the other. Each adds a line with its name to the file that the input names `log`.

    It then waits while the file exists that the input names by the node, and answers with the names of the nodes so far. `code`: lines of
    `run(inputs)`, executed by each node before that, with `name`.
    """
    nodes: list[dict[str, Any]] = [{"id": "in", "type": "dynamiq.nodes.utils.Input"}]
    before = "in"
    for name in names:
        text = (
            f"import io, time\ndef run(inputs):\n    name = '{name}'\n{code}"
            "    with io.open(inputs['log'], 'a') as file:\n        file.write(name + '\\n')\n"
            "    while inputs.get(name):\n        try:\n            io.open(inputs[name]).close()\n"
            "        except OSError:\n            break\n        time.sleep(0.02)\n"
            f"    before = inputs.get('{before}', {{}}).get('output', {{}}).get('content', [])\n"
            "    return {'content': before + [name]}\n"
        )
        nodes.append({"id": name, "name": name, "type": "dynamiq.nodes.tools.Python", "code": text, "depends": [{"node": before}]})
        before = name
    last = {"path": f"$.{before}.output.content"}
    nodes.append({"id": "out", "type": "dynamiq.nodes.utils.Output", "depends": [{"node": before}], "output_transformer": last})
    return json.dumps({"nodes": nodes})


class Caller:
    """A caller of one pod with an Access Key, by default KEY."""

    def __init__(self, pod: Served, key: str = KEY) -> None:
        self.pod, self.key = pod, key

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        sent = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        return self.pod.request(method, path, None if body is None else json.dumps(body).encode(), sent)

    def begin(self, given: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> str:
        """Starts a background run, which must be accepted. Returns its id."""
        answer = self.ask("POST", "/v1/runs", {"input": given, "background": True}, headers)
        assert answer.status == 202, answer.body
        return str(answer.body["data"]["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        answer = self.ask("GET", f"/v1/runs/{run_id}")
        assert answer.status == 200, answer.body
        run: dict[str, Any] = answer.body["data"]
        return run

    def ended(self, run_id: str, within: float = DEADLINE) -> dict[str, Any]:
        """Returns a run once it has ended."""
        return eventually(f"run {run_id} ends", lambda: run if (run := self.run(run_id))["status"] in ENDED else None, within)

    def waiting(self, run_id: str, *questions: str, within: float = DEADLINE) -> dict[str, Any]:
        """Returns a run once it waits, for a time or with these questions open."""

        def waits() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["status"] == "paused" and [each["id"] for each in run["input_requests"]] == list(questions) else None

        return eventually(f"run {run_id} waits", waits, within)

    def answer(self, run_id: str, question: str, text: str) -> Answer:
        """Answers a question for a text."""
        body = {"type": "human_feedback", "data": {"request_id": question, "feedback": text}}
        return self.ask("POST", f"/v1/runs/{run_id}/input", body)

    def approve(self, run_id: str, question: str, approved: object = True, **data: Any) -> Answer:
        """Answers whether a node may run. `data`: further fields of the answer."""
        body = {"type": "approval_request", "data": {"request_id": question, "is_approved": approved, **data}}
        return self.ask("POST", f"/v1/runs/{run_id}/input", body)

    def events(self, run_id: str, after: int = 0) -> list[tuple[str, Any]]:
        """Returns a run's events, from its stream, which ends with the run."""
        return events_in(self.ask("GET", f"/v1/runs/{run_id}/stream?after_sequence={after}").body)


class HasUrl(Protocol):
    """A journal, of this process or of another."""

    @property
    def url(self) -> str: ...


@contextmanager
def pod(
    folder: Path, flow: str, journal: HasUrl, *, token: str = POD, python: str | Preloaded | None = None, **variables: str
) -> Iterator[Served]:
    """Runs a pod of APP; `token`: the pod's, as the journal's table knows it."""
    folder.mkdir(exist_ok=True)
    (folder / "keys").mkdir(exist_ok=True)
    (folder / "keys" / "ann").write_text(KEY)
    (folder / "token").write_text(token)
    own = {
        "DYNAMIQ_ACCESS_KEYS_DIR": str(folder / "keys"),
        "DYNAMIQ_APP_ID": APP.app_uid,
        "DYNAMIQ_PINS": APP.pins,
        "DYNAMIQ_JOURNAL": journal.url,
        "DYNAMIQ_JOURNAL_TOKEN": str(folder / "token"),
    }
    with serving(folder, flow, python=python, **{**own, **variables}) as served:
        yield served


def lines(log: Path) -> list[str]:
    """Returns the names of the nodes that began, as a flow of `steps_flow` notes them."""
    return log.read_text().splitlines() if log.exists() else []


def expire_leases(journal: JournalStage) -> None:
    """Moves the journal's clock forward by more than a lease."""
    store = journal.store
    assert store is not None
    clock = store.clock
    assert isinstance(clock, SteadyClock)
    store.clock = SteadyClock(lambda: clock() + 31_000_000, clock.of_leases)


def begins(log: Path, node: str) -> None:
    """Waits until a node has begun."""
    eventually(f"node {node} begins", lambda: node in lines(log))


def is_noted(caller: Caller, run_id: str, node: str, attempt: int = 1) -> None:
    """Waits until the journal knows that a node has begun, for the first time or once more."""
    path = f"/v1/runs/{run_id}/events"

    def began() -> bool:
        events = caller.ask("GET", path).body["data"]
        return any(each["type"] == "node.started" and (each["data"]["id"], each["data"]["attempt"]) == (node, attempt) for each in events)

    eventually(f"the journal knows of node {node}", began)


def asking(node: str, *after: str, **more: Any) -> dict[str, Any]:
    """Returns a node that asks a person for a text."""
    fields = {"id": node, "name": node, "type": "dynamiq.nodes.tools.HumanFeedbackTool", "input_method": "stream", "action": "ask"}
    return {**fields, "msg_template": f"{node}: {{{{input}}}}", "depends": [{"node": each} for each in after], **more}


def waiting_flow(*nodes: dict[str, Any], output: str) -> str:
    """Returns a flow with an Input `in`, these nodes, and an Output that gives what node `output` gave."""
    first = {"id": "in", "type": "dynamiq.nodes.utils.Input"}
    last = {
        "id": "out",
        "type": "dynamiq.nodes.utils.Output",
        "depends": [{"node": output}],
        "input_transformer": {"path": f"$.{output}.output"},
    }
    return json.dumps({"nodes": [first, *nodes, last]})


def noting(node: str, *after: str, **more: Any) -> dict[str, Any]:
    """Returns a node that notes its name in the file that the input names `log`, and gives all that came before it."""
    text = (
        f"import io\ndef run(inputs):\n    with io.open(inputs['log'], 'a') as file:\n        file.write('{node}\\n')\n"
        "    return {'content': {key: value['output']['content'] for key, value in inputs.items() if isinstance(value, dict) and 'output' in value"
        " and isinstance(value['output'], dict) and 'content' in value['output']}}\n"
    )
    return {
        "id": node,
        "name": node,
        "type": "dynamiq.nodes.tools.Python",
        "code": text,
        "depends": [{"node": each} for each in after],
        **more,
    }


APPROVED = {"approval": {"enabled": True, "feedback_method": "stream", "msg_template": "Run {{name}}?", "mutable_data_params": ["amount"]}}
"""Fields of a node that a person has to approve, with an input `amount` that the approver may change."""

"""Keeps a run's questions to persons: those that are open, their answers, and which answers a saved node has taken. It asks nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_runtime.engine import Question, StoppedError
from dynamiq_runtime.errors import HttpError
from dynamiq_runtime.frames import json_text

FEEDBACK, APPROVAL = "human_feedback", "approval_request"
"""Kinds of questions, in the product's words: a text is asked for, or whether a node may run."""
PROMPT_LIMIT, CONTENT_LIMIT = 4096, 60_000
"""Bytes of a prompt, and of a whole question as JSON, from which on they are cut, and its values left out."""
Answer = Mapping[str, Any]

UNASKED: Mapping[str, tuple[int, str]] = {
    "public_app": (403, "a person is asked in it, which needs a private App: whoever knows a run's id could answer"),
    "no_journal": (501, "a person is asked in it, and no journal is installed that keeps it meanwhile"),
    "verification": (409, "a person is asked in it, and nobody answers in a smoke test"),
    "files": (501, "a person is asked in it, and uploaded files are not kept meanwhile: send their content in `input`"),
    "input_too_large": (413, "a person is asked in it, and an input of more than 1 MiB is not kept meanwhile"),
    "question_in_call": (409, 'a person is asked inside a Map, a sub-workflow or a sub-agent: send the run with `"background": true`'),
    "question_unclear": (500, "what a node of it asks cannot be written as JSON"),
    "checkpoint_too_large": (500, "the states of its nodes take more than 4 MiB, compressed"),
}
"""Why a run that reaches a question fails: its HTTP status and a sentence about the run, by code."""


def unasked(code: str) -> HttpError:
    """Returns the error of a run that reached a question and fails for it. `code`: of UNASKED."""
    status, sentence = UNASKED[code]
    return HttpError(status, code, f"the run failed: {sentence}")


@dataclass
class _Kept:
    """A question. `content`: as canonical JSON. `asked`: in this process. `answer`: None if it is open. `is_taken`: a node has the answer."""

    id: str
    node: str
    kind: str
    owner: str
    content: str
    answer: Answer | None = None
    asked: bool = False
    is_taken: bool = False
    deliver: Callable[[Answer], None] | None = None


class Questions:
    """The questions of one run that no saved node has settled. Its caller holds a lock.

    `kept`: as a claim has them. `highest`: the number of the last question of each node, which no later one may have.
    """

    def __init__(self, kept: Iterable[Mapping[str, Any]] = (), highest: Mapping[str, int] | None = None) -> None:
        self._all = {each["id"]: _from_claim(each) for each in kept}
        self.highest = dict(highest or {})
        self._new: list[Mapping[str, Any]] = []
        self._used: list[str] = []
        self._closed: list[str] = []

    @property
    def awaited(self) -> int:
        """The number of questions for whose answers nodes wait in their threads."""
        return sum(each.deliver is not None for each in self._all.values())

    @property
    def has_news(self) -> bool:
        """True if there is an answer that its node asked for before it came."""
        return any(each.asked and each.answer is not None and not each.is_taken for each in self._all.values())

    def ask(self, question: Question, deliver: Callable[[Answer], None] | None) -> Answer | None:
        """Returns the answer to a question; None if it is open.

        After a pause a node asks again. It is the same question if it has the same content. A node of the flow asks once only, so its
        question may differ, such as by a time. An agent may ask by one tool several times: no answer goes to a question that it is not for.
        """
        content = _canonical(question.content)
        own = [each for each in self._all.values() if (each.node, each.kind) == (question.node, question.kind) and not each.is_taken]
        known = next((each for each in own if each.content == content), None)
        if known is None and question.is_single:
            known = next(iter(own), None)
        if known is None:
            number = self.highest[question.node] = self.highest.get(question.node, 0) + 1
            known = _Kept(f"{question.node}:{number}", question.node, question.kind, question.owner, content)
            self._all[known.id] = known
            self._new.append(_wire(known, question))
        known.asked, known.owner = True, question.owner
        if known.answer is not None:
            known.is_taken = True
            return known.answer
        known.deliver = deliver
        return None

    def receive(self, question_id: str, answer: Answer) -> Callable[[Answer], None] | None:
        """Takes an answer that came. Returns the function that hands it to a node that waits in its thread."""
        kept = self._all.get(question_id)
        if kept is None or kept.answer is not None:
            return None
        kept.answer, deliver = answer, kept.deliver
        if deliver is not None:
            kept.is_taken, kept.deliver = True, None
        return deliver

    def settle(self, owners: Collection[str]) -> None:
        """Notes that nodes are saved with all answers that they took. Nobody waits for the answers to their open questions any more."""
        for each in [each for each in self._all.values() if each.owner in owners]:
            (self._closed if each.answer is None else self._used).append(each.id)
            del self._all[each.id]

    def take(self) -> dict[str, Any]:
        """Returns the news for the next save."""
        news = {"questions": self._new, "used": self._used, "closed": self._closed}
        self._new, self._used, self._closed = [], [], []
        return news


class Unasked:
    """The steps of a run in which no person can be asked: it ends at its first question. `why`: a code of UNASKED."""

    kept: Mapping[str, bytes] = {}
    keeps = False

    def __init__(self, why: str) -> None:
        self.stopped = ""
        self._why = why

    def begin(self, node: object) -> None:
        """Keeps nothing."""

    def save(self, states: Mapping[str, bytes], *, waits: bool = True, settled: Collection[str] = ()) -> None:
        """Keeps nothing."""

    def ask(self, question: Question, deliver: object = None) -> Answer | None:  # noqa: ARG002 - it refuses all
        self.stopped = self._why
        raise StoppedError(self._why)


def _from_claim(kept: Mapping[str, Any]) -> _Kept:
    content = dict(kept["content"])
    owner = content.pop("owner", kept["node"])
    return _Kept(kept["id"], kept["node"], kept["type"], owner, _canonical(content), kept.get("answer"))


def _wire(kept: _Kept, question: Question) -> dict[str, Any]:
    content = json.loads(kept.content)
    return {"id": kept.id, "node": kept.node, "type": kept.kind, "name": question.name, "content": {**content, "owner": question.owner}}


def _canonical(content: Mapping[str, Any]) -> str:
    """Serializes a question, with its prompt cut, and without values that are too large to be shown."""
    prompt = str(content.get("prompt") or "").encode("utf-8", "replace")[:PROMPT_LIMIT].decode("utf-8", "ignore")
    plain = json.loads(json_text({**content, "prompt": prompt}))  # a value of a node may be no JSON
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    if len(text.encode("utf-8", "replace")) > CONTENT_LIMIT:
        text = json.dumps(
            {"prompt": prompt, "params": {}, "editable_params": [], "questions": None, "params_omitted": True}, sort_keys=True
        )
    return text

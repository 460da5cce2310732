"""Finds what the nodes of a flow read of the run's input, through transformers and the results of nodes that pass their input on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, TypeVar

from dynamiq_operator.model import contract_python as python
from dynamiq_operator.model.contract_paths import Steps, Use, Work, selected, steps_of, variables

T = TypeVar("T")
HOPS_MOST = 40
_RAW = re.compile(r"\{%[-+]?\s*(end)?raw\b")
WORK_MOST = 25_000
"""Steps that are taken for a flow."""
LLMS, AGENT = "dynamiq.nodes.llms.", "Agent"
PASSES = frozenset({"Input", "Output", "Pass"})
PASSING = PASSES | {"Delay"}
"""Nodes whose output is what they take."""
PYTHON = frozenset({"Python", "PythonMonty"})
OF_AGENTS = ("images", "videos", "files", "user_id", "session_id", "tool_params")


class _Whole(Exception):  # noqa: N818 - an outcome
    """A node reads the whole input, or a part of it that cannot be told."""


@dataclass
class Found:
    """The fields of the run's input that are read, each with its strongest use."""

    uses: dict[str, Use] = field(default_factory=dict)

    def add(self, name: str, use: Use) -> None:
        self.uses[name] = max(use, self.uses.get(name, Use.DEFAULT))


class Nodes:
    """The nodes of a flow by id. `prompts`: those of the flow's text, by name."""

    def __init__(self, specs: Mapping[str, Any], prompts: Any) -> None:
        self.specs = specs
        self._prompts = prompts if isinstance(prompts, dict) else {}
        self._conditional: dict[str, bool] = {}
        self._work = Work(WORK_MOST)
        self._places = {each: 1 << place for place, each in enumerate(specs)}
        self._ended = self._all_ended()

    def read(self, node_id: str, found: Found) -> Any:
        """Adds the fields that a node reads. Returns what of it cannot be told, as JSON data; None if all can."""
        spec = self.specs[node_id]
        if not isinstance(spec, dict):
            return [spec]
        own = Found()
        untold: Any = None
        try:
            uses = self._uses(spec)
            if uses is None:
                self._all_selected(node_id, spec, own)
            else:
                # By another field, which a caller may send, it fails.
                untold = sorted(str(path[0]) for path in uses) if _takes_no_more(spec) else None
                for path, each in uses.items():
                    try:
                        self._taken(node_id, path, each, own)
                    except _Whole:  # the others are told, in whichever order they come
                        untold = self._whole(spec)
            self._conditions_of_depends(node_id, own)
        except _Whole:
            untold = self._whole(spec)
        most = Use.READS if self._is_conditional(node_id) or _returns(spec) else Use.NEEDS
        for name, use in own.uses.items():
            found.add(name, min(use, most))
        return untold

    def _whole(self, spec: dict[str, Any]) -> Any:
        """Returns a node with the prompt that it names: two nodes read the same only if both are the same."""
        prompt = spec.get("prompt")
        return [spec, self._prompts.get(prompt)] if isinstance(prompt, str) else spec

    def _conditions_of_depends(self, node_id: str, found: Found) -> None:
        """Adds the fields that decide, through the result of a node, whether this one runs. Raises _Whole."""
        for each in _depends(self.specs[node_id]):
            if each.get("condition") and isinstance(target := each.get("node"), str):
                paths: set[Steps] = set()
                _condition(each["condition"], (target,), paths, self._work)
                for path in paths:
                    self._resolve(node_id, path, python.READS, found, 0)

    def given_on(self, found: Found) -> Iterator[str]:
        """Adds the fields that nodes select of what they pass on: all that an untold node gets of them. Yields those that cannot be told."""
        for node_id, spec in self.specs.items():
            selector = _selector(spec, "output_transformer") if _kind(spec) in PASSING else {}
            try:
                for steps, use in (each for text in selector.values() for each in self._selected(text)):
                    self._taken(node_id, (*_path(spec, "output_transformer"), *steps), python.use(use, use), found)
            except _Whole:
                yield node_id

    def declared(self) -> list[tuple[str, Any, bool]]:
        """Returns the fields of Input nodes' schemas: name, type, and whether they are required."""
        return [each for spec in self.specs.values() if _kind(spec) == "Input" for each in self._spent(_declared(spec))]

    def answered(self) -> list[tuple[str, str | None]] | None:
        """Returns the fields of the answer with their types; None if that cannot be told."""
        outputs = [spec for spec in self.specs.values() if _kind(spec) == "Output"]
        selectors = [_selector(spec, "output_transformer") or _selector(spec, "input_transformer") for spec in outputs]
        if len(outputs) != 1 or not selectors[0]:
            return None
        return [(str(key), _literal(value)) for key, value in self._spent(selectors[0].items())]

    def _spent(self, every: Iterable[T]) -> Iterator[T]:
        for each in every:
            self._work.spend(5)
            yield each

    def _uses(self, spec: dict[str, Any]) -> python.Uses | None:
        """Returns what a node reads of its input, by path; None for all that it selects. Raises _Whole."""
        kind, name = _kind(spec), str(spec.get("type"))
        if kind in PASSES:
            return None if _selector(spec, "input_transformer") or _path(spec, "input_transformer") else {}
        if kind in PYTHON:
            return self._python(spec)
        if name.startswith(LLMS):
            return {path: python.KeyUse(Use.NEEDS, null, Use.READS) for path, null in self._prompt(spec).items()}
        if name == f"dynamiq.nodes.agents.{AGENT}" or name == f"dynamiq.nodes.agents.agent.{AGENT}":
            return self._agent(spec)
        if kind == "Choice":
            return dict.fromkeys(_conditions(spec, self._work), python.READS)
        if kind == "Map":
            return {("input",): python.use(Use.NEEDS, Use.NEEDS)}
        if kind == "HumanFeedbackTool":
            return dict.fromkeys(self._templates([spec.get("msg_template") or "{{input}}"]), python.READS) | {("action",): python.DEFAULT}
        if kind == "Delay":
            return {("until",): python.DEFAULT, ("duration_seconds",): python.DEFAULT}
        if _selector(spec, "input_transformer"):
            return None
        raise _Whole

    def _python(self, spec: dict[str, Any]) -> python.Uses | None:
        uses = python.keys_of(spec.get("code"), self._work, as_parameters=spec.get("use_multiple_params") is True)
        if uses is None and not _selector(spec, "input_transformer"):
            raise _Whole
        return uses

    def _agent(self, spec: dict[str, Any]) -> python.Uses:
        message = spec.get("input_message")
        uses: python.Uses = dict.fromkeys(((name,) for name in OF_AGENTS), python.DEFAULT)
        uses[("metadata",)] = python.use(Use.DEFAULT, Use.NEEDS)
        own = {("input",), *uses}
        for key, each in (("role", python.KeyUse(Use.NEEDS, Use.NEEDS, Use.READS)), ("instructions", python.READS)):
            if isinstance(text := spec.get(key), str) and _RAW.search(text):  # only such a text is a template
                uses |= {path: each for path in self._templates([text]) if path[:1] not in own}
        if message is None:
            return uses | {("input",): python.use(Use.READS, Use.NEEDS)}
        # A variable has to be there, but what it lacks is empty, and so are an agent's own fields.
        return uses | {
            path: python.KeyUse(Use.NEEDS, Use.NEEDS, Use.READS) for path in self._templates(_texts(message)) if path[:1] not in own
        }

    def _prompt(self, spec: dict[str, Any]) -> dict[Steps, Use]:
        prompt = spec.get("prompt")
        prompt = self._prompts.get(prompt) if isinstance(prompt, str) else prompt
        messages = prompt.get("messages") if isinstance(prompt, dict) else None
        if not isinstance(messages, list):
            raise _Whole
        return self._templates([text for each in messages for text in _texts(each)])

    def _templates(self, texts: list[Any]) -> dict[Steps, Use]:
        """Returns the variables of templates, each with its use if it is null. Raises _Whole."""
        found: dict[Steps, Use] = {}
        for text in texts:
            self._work.spend(10 + (len(text) // 100 if isinstance(text, str) else 0))
            names = variables(text, self._work) if isinstance(text, str) else None
            if names is None:
                raise _Whole
            for path, null in names.items():
                found[path] = max(null, found.get(path, Use.DEFAULT))
        return found

    def _taken(self, node_id: str, path: Steps, uses: python.KeyUse, found: Found, hops: int = 0) -> None:
        """Adds the fields behind a path of what a node takes. Raises _Whole."""
        spec = self.specs[node_id]
        constants = spec.get("input_mapping")
        if path and isinstance(constants, dict) and path[0] in constants:
            return
        prefix, selector = _path(spec, "input_transformer"), _selector(spec, "input_transformer")
        if prefix and self._is_deep(node_id, prefix):
            uses = python.use(Use.NEEDS, Use.NEEDS)  # nothing is no object to select from
        elif prefix:
            uses = uses._replace(inner=uses.missing)
        if selector:
            if path and path[0] not in selector and uses.missing is Use.NEEDS:
                raise _Whole  # it fails for every caller
            for text in selector.values() if not path else [selector[path[0]]] if path[0] in selector else []:
                for steps, use in self._selected(text):
                    # One of several alternatives alone is no need.
                    null = Use.DEFAULT if use is Use.DEFAULT else min(uses.null, Use.READS) if "||" in str(text) else uses.null
                    self._resolve(node_id, (*prefix, *steps), python.use(null, uses.null), found, hops)
        elif path or prefix:
            self._resolve(node_id, (*prefix, *path), uses, found, hops)
        else:
            raise _Whole

    def _is_deep(self, node_id: str, prefix: Steps) -> bool:
        """Returns True if a path leads into a field of the run's input, and not only to the input."""
        head = str(prefix[0])
        return len(prefix) > 2 if self._is_before(head, node_id) and _kind(self.specs[head]) in PASSING else True

    def _all_selected(self, node_id: str, spec: dict[str, Any], found: Found) -> None:
        prefix, selector = _path(spec, "input_transformer"), _selector(spec, "input_transformer")
        for text in selector.values():
            for steps, use in self._selected(text):
                self._resolve(node_id, (*prefix, *steps), python.use(use, use), found, 0)
        if prefix and not selector:
            self._resolve(node_id, prefix, python.READS, found, 0)

    def _resolve(self, node_id: str, path: Steps, uses: python.KeyUse, found: Found, hops: int) -> None:
        """Adds the field that a path of a node begins with, also through the result of a node that passes its input on. Raises _Whole."""
        if not path or path[0] is None or hops > HOPS_MOST:
            raise _Whole
        self._work.spend(5 + len(path))
        head = path[0]
        is_before = self._is_before(head, node_id)
        if not is_before:
            found.add(head, uses.missing)
        # A node that may have ended by then hides the field, too.
        if is_before or (head in self.specs and head != node_id and not self._is_before(node_id, head)):
            self._resolve_result(head, path, uses, found, hops)

    def _resolve_result(self, head: str, path: Steps, uses: python.KeyUse, found: Found, hops: int) -> None:
        spec = self.specs[head]
        if _kind(spec) not in PASSING and path[1:2] != ("input",):
            return  # the result of a node, which reads by itself
        if len(path) < 2 or path[1] is None:
            raise _Whole
        if path[1] not in ("output", "input"):
            return
        inner = python.use(uses.inner, min(uses.inner, Use.READS))
        after, selector = _path(spec, "output_transformer"), _selector(spec, "output_transformer")
        if path[1] == "input" or not selector:
            rest = path[2:] if path[1] == "input" else (*after, *path[2:])
            self._taken(head, rest, inner, found, hops + 1)
            return
        for text in selector.values() if len(path) == 2 else [selector[path[2]]] if path[2] in selector else []:
            for steps, of in self._selected(text):
                both = Use.DEFAULT if of is Use.DEFAULT else uses.null
                self._taken(head, (*after, *steps), python.use(both, both), found, hops + 1)

    def _is_before(self, node_id: object, other: str) -> bool:
        """Returns True if a node has ended before another one begins."""
        return bool(self._places.get(str(node_id), 0) & self._ended[other])

    def _all_ended(self) -> dict[str, int]:
        """Returns the places of the nodes that have ended before each node. Raises ValueError for a circle, which no engine runs."""
        depends = {}
        for each, spec in self.specs.items():
            self._work.spend(len(entries := _depends(spec)))
            depends[each] = {str(entry.get("node")) for entry in entries} & self.specs.keys()
        ended: dict[str, int] = {}
        for each in TopologicalSorter(depends).static_order():
            ended[each] = 0
            for before in depends[each]:
                ended[each] |= ended[before] | self._places[before]
        return ended

    def _selected(self, text: object) -> list[tuple[Steps, Use]]:
        """Returns the paths that a selector reads. Raises _Whole."""
        self._work.spend(5 + (len(text) // 4 if isinstance(text, str) else 0))
        if (paths := selected(text)) is None:
            raise _Whole
        return paths

    def _is_conditional(self, node_id: str, hops: int = 0) -> bool:
        """Returns True if a node may be skipped in a run that succeeds."""
        if hops > HOPS_MOST:
            return True
        if node_id not in self._conditional:
            self._conditional[node_id] = True  # of a circle, which no engine runs
            every = _depends(self.specs.get(node_id))
            self._conditional[node_id] = any(
                each.get("option") or each.get("condition") or each.get("trigger") not in (None, "success") for each in every
            ) or any(self._is_conditional(str(each.get("node")), hops + 1) for each in every)
        return self._conditional[node_id]


def _kind(spec: Any) -> str:
    name = spec.get("type") if isinstance(spec, dict) else None
    return name.rpartition(".")[2] if isinstance(name, str) and name.startswith("dynamiq.nodes.") else ""


def _depends(spec: Any) -> list[dict[str, Any]]:
    """Returns a node's entries of the nodes that it waits for."""
    depends = spec.get("depends") if isinstance(spec, dict) else None
    return [each for each in depends if isinstance(each, dict)] if isinstance(depends, list) else []


def _returns(spec: Mapping[str, Any]) -> bool:
    handling = spec.get("error_handling")
    return isinstance(handling, dict) and handling.get("behavior") == "return"


def _takes_no_more(spec: Mapping[str, Any]) -> bool:
    """Returns True for Python that fails by a field for which it has no parameter."""
    if _kind(spec) not in PYTHON or spec.get("use_multiple_params") is not True or _selector(spec, "input_transformer"):
        return False
    return "**" not in str(spec.get("code")).partition("def run")[2].partition(":")[0]


def _selector(spec: Mapping[str, Any], key: str) -> dict[str, Any]:
    transformer = spec.get(key)
    selector = transformer.get("selector") if isinstance(transformer, dict) else None
    return selector if isinstance(selector, dict) else {}


def _path(spec: Mapping[str, Any], key: str) -> Steps:
    """Returns the path of a transformer; empty without one. Raises _Whole."""
    transformer = spec.get(key)
    path = transformer.get("path") if isinstance(transformer, dict) else None
    if not isinstance(path, str) or not path.strip():
        return ()
    if (steps := steps_of(path)) is None:
        raise _Whole
    return steps


def _declared(spec: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    schema = spec.get("schema") or spec.get("json_schema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    required = schema.get("required") if isinstance(schema, dict) else None
    names = {each for each in required if isinstance(each, str)} if isinstance(required, list) else set[str]()
    for name, each in properties.items() if isinstance(properties, dict) else ():
        of = each if isinstance(each, dict) else {}
        yield name, of.get("type"), of.get("required") is True or name in names


def _literal(value: Any) -> str | None:
    """Returns the type of a selector's value that is itself; None for a path."""
    if isinstance(value, str):
        return "string" if selected(value) == [] else None
    return None


def _texts(message: Any) -> list[Any]:
    """Returns the templates of a message of a prompt. Raises _Whole."""
    if not isinstance(message, dict):
        raise _Whole
    if message.get("static") is True:
        return []
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        raise _Whole
    texts = []
    for part in content:
        if not isinstance(part, dict):
            raise _Whole
        image, file = part.get("image_url"), part.get("file")
        texts.append(
            part.get("text")
            or (image.get("url") if isinstance(image, dict) else None)
            or (file.get("file_data") if isinstance(file, dict) else None)
        )
    return texts


def _conditions(spec: Mapping[str, Any], work: Work) -> set[Steps]:
    """Returns the paths that the conditions of a Choice read. Raises _Whole."""
    options = spec.get("options")
    found: set[Steps] = set()
    for option in options if isinstance(options, list) else ():
        condition = option.get("condition") if isinstance(option, dict) else None
        if condition is not None:
            _condition(condition, (), found, work)
    return found


def _condition(condition: Any, prefix: Steps, found: set[Steps], work: Work) -> None:
    work.spend(5 + len(prefix))
    if not isinstance(condition, dict):
        raise _Whole
    variable, operands = condition.get("variable"), condition.get("operands")
    steps: Steps | None = () if variable in (None, "") else steps_of(variable) if isinstance(variable, str) else None
    if steps is None:
        raise _Whole
    path = (*prefix, *steps)
    if isinstance(operands, list) and operands:
        for each in operands:
            _condition(each, path, found, work)
    else:
        found.add(path)
    value = condition.get("value")
    if isinstance(value, str) and value.startswith(("$.", "$[")):
        if (other := steps_of(value)) is None:
            raise _Whole
        found.add((*prefix, *other))

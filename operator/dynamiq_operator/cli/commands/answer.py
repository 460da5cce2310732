"""`answer`: answers a question of a background run. An approval is asked for once more, below the whole question."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import confirm, parsing, run_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.recorder import JOURNAL, NotThere, RecorderClient
from dynamiq_operator.views import background_runs as view


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "RUN is its id, or the begin of it that `questions` shows. An approval is asked for on the terminal, below the whole question; a text"
        " alone never approves. You need the right to update apps/runcontents (dynamiq-answerer).",
        (
            "support 5f0c2b1e --text 'Be brief'",
            "support 5f0c2b1e --approve --set amount=20",
            "support 5f0c2b1e --question approve:2 --deny --text 'Too much'",
            "support 5f0c2b1e --choose tone=friendly",
        ),
        f"{parsing.EXITS}; 2 also without a terminal and --yes",
    )
    command.check = _wrong
    parsing.app(command)
    command.add_argument("run", type=run_arguments.run_id_or_begin, metavar="RUN", help="id of the run, or its first letters")
    command.add_argument("--question", metavar="ID", help="the question, such as approve:1; needed if the run has several")
    command.add_argument("--text", metavar="TEXT", help="the answer as a text; with --approve or --deny the reason")
    decisions = command.add_mutually_exclusive_group()
    decisions.add_argument("--approve", action="store_true", help="approve what the run asks approval for")
    decisions.add_argument("--deny", action="store_true", help="deny it")
    decisions.add_argument(
        "--choose",
        action="append",
        type=_pair,
        metavar="QUESTION=OPTION",
        help="choose an option of a structured question, or give a text of your own if it allows one; repeatable",
    )
    command.add_argument(
        "--set", action="append", type=_param, metavar="PARAM=JSON", help="with --approve: change an editable param; repeatable"
    )
    parsing.add_preview_flags(command)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator or not value:
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, got {text}")
    return name, value


def _param(text: str) -> tuple[str, Any]:
    name, value = _pair(text)
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        raise argparse.ArgumentTypeError(f"the value of {name} is not JSON, got {value}: quote a text, such as '{name}=\"a\"'") from None


def _wrong(options: argparse.Namespace) -> str:
    if options.set and not options.approve:
        return "--set needs --approve"
    if options.text is None and not (options.approve or options.deny or options.choose):
        return "give an answer: --text, --approve, --deny or --choose"
    return ""


def run(context: CommandContext) -> int:
    options = context.options
    journal = RecorderClient(context, JOURNAL)
    app = journal.app(options.app)
    run_ = journal.data(f"{app}/runs/{_whole_id(context, journal, app)}")
    request = _chosen(context, run_)
    body = _answer(options, request)
    data = {"namespace": context.namespace, "app": options.app, "run": run_["id"], **body}
    if (options.approve or options.preview) and not confirm.agreed(context, _preview(context, run_, request), data):
        return confirm.nothing_done(context)
    after = journal.change(f"{app}/runs/{run_['id']}", "input", body)
    if not context.print_data(after, [safe(after["id"])]):
        done = "approved" if options.approve else "denied" if options.deny else "answered"
        state = view.waits_for(after) or f"is {after['state']}"
        context.out.lines([safe(f"{request['id']} of run {after['id']} {done}; the run {state}")])
    return 0


def _whole_id(context: CommandContext, journal: RecorderClient, app: str) -> str:
    """Returns the id of the run that the options name. Raises Refusal if no run with a question, or more than one, begins so."""
    begin: str = context.options.run
    if len(begin) == run_arguments.UID_LENGTH:
        return begin
    questions = journal.paged(f"{app}/questions", (), parsing.LIMIT_MOST)
    ids = sorted({str(each["run_id"]) for each in questions if str(each["run_id"]).startswith(begin)})
    if not ids:
        raise NotThere(f"no run of {context.options.app} that begins with {begin} has an open question: {context.hint('questions')}")
    if len(ids) > 1:
        raise Refusal(f"several runs begin with {begin}: give the id of one, {' or '.join(ids)}")
    return ids[0]


def _chosen(context: CommandContext, run_: view.Data) -> view.Data:
    """Returns the open question that the options name, or the only one. Raises Refusal."""
    named: str | None = context.options.question
    requests = run_.get("input_requests") or ()
    found: list[view.Data] = [each for each in requests if named in (None, each["id"])]
    if len(found) == 1:
        return found[0]
    if not requests:
        raise Refusal(f"run {run_['id']} has no open question ({view.waits_for(run_) or run_['state']})")
    listed = "; ".join(f"{each['id']} ({each['type']}): {view.first_line(each)}" for each in requests)
    why = f"question {named} of run {run_['id']} is not open" if named else f"run {run_['id']} has {len(requests)} questions"
    raise Refusal(f"{why}: choose one by --question: {listed}")


def _answer(options: argparse.Namespace, request: view.Data) -> dict[str, Any]:
    """Returns the body of the request to the journal. Raises Refusal for an answer of another type than the question."""
    is_approval, decides = request["type"] == view.APPROVAL, options.approve or options.deny
    if is_approval and not decides:
        raise Refusal(f"{request['id']} asks for approval: give --approve or --deny, a text alone does neither")
    if decides and not is_approval:
        raise Refusal(f"{request['id']} asks for no approval: answer by --text or --choose")
    data: dict[str, Any] = {"request_id": request["id"]}
    if is_approval:
        data["is_approved"] = options.approve
    if options.set:
        data["data"] = dict(options.set)
    if options.choose:
        data["answers"] = list(_chosen_options(options.choose, request))
    if options.text is not None:
        data["feedback"] = options.text
    return {"type": request["type"], "data": data}


def _chosen_options(chosen: list[tuple[str, str]], request: view.Data) -> Iterator[dict[str, Any]]:
    known = {str(each["id"]): each for each in request.get("questions") or ()}
    for name in dict.fromkeys(name for name, _ in chosen):
        if (question := known.get(name)) is None:
            raise Refusal(f"{request['id']} has no question {name}: it has {', '.join(known) or 'none to choose from'}")
        values = [value for each, value in chosen if each == name]
        labels = [str(option["label"]) for option in question.get("options") or ()]
        own = [value for value in values if value not in labels]
        if own and not (question.get("allow_custom_answer") and len(own) == 1):
            raise Refusal(f"{own[-1]} is no option of {name}: choose {' or '.join(labels)}")
        if len(values) > 1 and not question.get("multi_select"):
            raise Refusal(f"{name} takes one option, got {len(values)}")
        selected = [value for value in values if value in labels]
        yield {"question_id": name, "selected": selected, **({"custom_text": own[0]} if own else {})}


def _preview(context: CommandContext, run_: view.Data, request: view.Data) -> Iterator[str]:
    options = context.options
    yield f"{options.app} in {context.namespace}, run {run_['id']}"
    yield from (f"  {line}" for line in view.request_lines(request))
    yield f"  answer: {'approve' if options.approve else 'deny' if options.deny else 'as given'}"
    yield from (f"    {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in options.set or ())
    yield from (f"    {name}: {value}" for name, value in options.choose or ())
    if options.text is not None:
        yield f"    text: {options.text}"

"""Runs in a terminal: whole calls, from the command line to the recorder's requests and the printed bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynamiq_operator.cli.recorder import PROXY
from dynamiq_operator.kube.api import METADATA
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.recorder import TOKEN_HEADER
from dynamiq_operator.model.runs import Verdict
from tests.support import factories as given
from tests.support import scripted_recorder as made
from tests.support.scripted import Reply, failure, listed, missing
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.scripted_recorder import FAILED_RUN, RUN

UID = given.an_app().meta.uid
RUNS = f"{PROXY}/v1/apps/{UID}/runs"
TABLE = f"""\
RUN                                    STARTED                STATUS      DURATION    TOKENS     COST      ROW   TRIGGER
{FAILED_RUN}   2026-11-24T12:00:00Z   failed      1 min 5 s   1200+300   -         #2    nightly
{RUN}   2026-11-24T12:00:00Z   succeeded   1.23 s      1200+300   $0.0123   #2
"""


@pytest.fixture(autouse=True)
def app(plugin: ScriptedPlugin) -> None:
    """Sets up App chat, two rows of it, and a recorder."""
    live = given.with_status(live={"row": "chat-b", "sequence": 2, "workflowVersion": "v2", "runtime": "1.0.0"})
    plugin.app(given.stored(given.app_manifest(live)))
    rows = [given.row_manifest("chat-a", given.superseded(1, "v1")), given.row_manifest("chat-b", given.live(2, "v2"))]
    plugin.rows(*map(given.stored, rows))
    plugin.records()


def uid_of(row: str) -> str:
    uid: str = given.stored(given.row_manifest(row))["metadata"]["uid"]
    return uid


# Runs.


def test_runs_are_shown_newest_first(plugin: ScriptedPlugin) -> None:
    done = plugin("runs", "chat")
    assert (done.code, done.out, done.err) == (0, TABLE, "")
    (request,) = plugin.script.recorded
    assert (request.path, list(request.pairs)) == (RUNS, [("sort", "-started_at"), ("page_size", "25")])


def test_the_token_goes_in_a_header_of_its_own(plugin: ScriptedPlugin) -> None:
    plugin("runs", "chat")
    (request,) = plugin.script.recorded
    assert request.headers[TOKEN_HEADER] == "token-of-anna"
    assert not [sent for sent in plugin.script.sent if sent not in plugin.script.recorded and TOKEN_HEADER in sent.headers]


def test_every_option_reaches_the_recorder(plugin: ScriptedPlugin) -> None:
    options = (
        "--row 2 --version v2 --status failed --status timed_out --session s-1 --user-id u-1 --trigger nightly --tag a --tag b --model gpt-4o "
        "--error quota --since 2026-11-24 --until 2026-11-25T01:00:00+01:00 --min-duration 1.5s --min-cost 0.05 --sort dearest --limit 3"
    )
    assert plugin("runs", "chat", *options.split()).code == 0
    (request,) = plugin.script.recorded
    assert sorted(request.pairs) == sorted(
        [
            ("deployment_id", uid_of("chat-b")),
            ("workflow_version", "v2"),
            ("status", "failed"),
            ("status", "timed_out"),
            ("session_id", "s-1"),
            ("user_id", "u-1"),
            ("trigger", "nightly"),
            ("tag", "a"),
            ("tag", "b"),
            ("model", "gpt-4o"),
            ("error", "quota"),
            ("from", "2026-11-24T00:00:00.000000Z"),
            ("to", "2026-11-25T00:00:00.000000Z"),
            ("min_duration_ms", "1500.0"),
            ("min_cost_usd", "0.05"),
            ("sort", "-cost_usd"),
            ("page_size", "3"),
        ]
    )


@pytest.mark.parametrize("wrong", [("--since", "soon"), ("--sort", "name"), ("--status", "nice"), ("--limit", "0"), ("--min-cost", "-1")])
def test_an_invalid_option_is_refused_before_any_request(plugin: ScriptedPlugin, wrong: tuple[str, str]) -> None:
    done = plugin("runs", "chat", *wrong)
    assert (done.code, plugin.script.recorded) == (2, [])
    assert wrong[0] in done.err


def test_wide_output_adds_user_and_reason(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", RUNS, made.a_page(made.a_failed_run(unpriced_calls=2, cost_usd=0.5)))
    header, line = plugin("runs", "chat", "-o", "wide").out.splitlines()
    assert header.split()[8:] == ["VERSION", "MODELS", "SESSION", "USER", "TAGS", "REASON"]
    assert line.split()[-6:] == ["v2", "gpt-4o", "s-1", "u-1", "beta", "node_failed"]
    assert "≥ $0.5000" in line


def test_json_output_of_a_run_has_the_recorders_fields(plugin: ScriptedPlugin) -> None:
    assert json.loads(plugin("runs", "chat", "-o", "json").out) == [made.a_failed_run(), made.a_run()]
    assert plugin("runs", "chat", "-o", "name").out.splitlines() == [FAILED_RUN, RUN]
    assert plugin("runs", "chat", "-o", "jsonpath={range [*]}{.status} {end}").out == "failed succeeded \n"


def test_an_export_is_every_run_on_a_line(plugin: ScriptedPlugin) -> None:
    done = plugin("runs", "chat", "-o", "jsonl", "--content", "--status", "failed")
    assert [json.loads(line) for line in done.out.splitlines()] == [made.a_detail(), made.a_detail(id=FAILED_RUN)]
    (request,) = plugin.script.recorded
    assert (request.path, list(request.pairs)) == (f"{RUNS}.jsonl", [("status", "failed"), ("include", "content")])
    assert len(plugin("runs", "chat", "-o", "jsonl", "--limit", "1").out.splitlines()) == 1


def test_an_export_is_json_whatever_a_caller_wrote(plugin: ScriptedPlugin) -> None:
    detail = made.a_detail(session_id="a\u00a0b\u0085 \x7f \U0001fae9 \\u00e9 \u2028", content="included", input={"é": "\x1b\n"})
    plugin.script.on("GET", f"{RUNS}.jsonl", Reply(body=json.dumps(detail, ensure_ascii=False).encode() + b"\n"))
    (line,) = plugin("runs", "chat", "-o", "jsonl").out.splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == detail


@pytest.mark.parametrize(
    "options",
    [
        ("-o", "jsonl", "--sort", "slowest"),
        ("--content",),
        ("--content", "-o", "json"),
        ("--content", "-o", "jsonl", "--watch"),
        ("--app-id", UID),
        ("--app-id", "chat"),
    ],
)
def test_options_that_do_not_go_together_are_refused(plugin: ScriptedPlugin, options: tuple[str, ...]) -> None:
    done = plugin("runs", "chat", *options)
    assert (done.code, done.out, plugin.script.recorded) == (2, "", [])
    assert "kubectl dynamiq runs --help" in done.err


def test_text_of_a_caller_cannot_control_a_terminal(plugin: ScriptedPlugin) -> None:
    evil = "s\x1b[2J\r\nRUN"
    plugin.script.on("GET", RUNS, made.a_page(made.a_run(session_id=evil, user_id=evil, tags=(evil,), trigger=evil, models=(evil,))))
    detail = made.a_detail(made.a_node(name=evil, output=evil), session_id=evil, content="included", input={evil: evil}, error=evil)
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", {"data": detail})
    plugin.script.on("GET", f"{RUNS}.jsonl", Reply(stream=[detail]))
    for call in (
        ("runs", "chat", "-o", "wide"),
        ("runs", "chat", "-o", "jsonl"),
        ("run", RUN, "--content"),
        ("runs", "chat", "-o", "json"),
    ):
        done = plugin(*call)
        assert done.code == 0, done.err
        assert not {"\x1b", "\r"} & set(done.out + done.err)
    assert len(plugin("runs", "chat", "-o", "wide").out.splitlines()) == 2


def test_an_app_without_runs_prints_that_there_are_none(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", RUNS, made.a_page())
    done = plugin("runs", "chat", "--status", "failed")
    assert (done.code, done.out) == (0, "")
    assert "no run of chat is recorded that matches these options" in done.err
    assert plugin("runs", "chat", "-o", "json").out == "[]\n"


def test_an_unknown_app_is_named_with_those_that_there_are(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", APPS.path(given.NAMESPACE, "nope"), missing("apps", "nope"))
    plugin.script.on("GET", APPS.path(given.NAMESPACE), {"metadata": {}, "items": [given.app_manifest()]})
    done = plugin("runs", "nope")
    assert done.code == 1
    assert "no App nope in namespace demo" in done.err
    assert plugin.script.sent[-1].headers["Accept"] == METADATA


# One run.


def test_a_run_is_shown_with_its_nodes_as_a_tree(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = (
        made.a_node(
            span_id="1", name="Agent", node_id="agent", model=None, input_tokens=None, output_tokens=None, cost_usd=None, cost_source=None
        ),
        made.a_node(span_id="2", parent_id="1", name="Answer", attempts=2, offset_ms=150.0),
        made.a_node(span_id="3", parent_id="1", name="Search", status="failed", duration_ms=8.25, cached=True, model=None, cost_usd=None),
        made.a_node(span_id="5", parent_id="1", name="Code", status="failed", error_type="ValueError", error_line=5),
        made.a_node(span_id="6", parent_id="1", name="Ask", status="failed", error_type="Timeout"),
        made.a_node(span_id="4", parent_id="gone", name="Lost", status="skipped"),
    )
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", {"data": made.a_detail(*nodes, first_chunk_ms=240.0)})
    header, tree = plugin("run", RUN.upper()).out.split("\n\n")
    shown = dict(line.split(None, 1) for line in header.splitlines())
    assert (shown["run"], shown["took"], shown["row"]) == (RUN, "1.23 s, first part after 240 ms", "v2 (#2)")
    assert (shown["tokens"], shown["cost"], shown["session"]) == ("1200+300", "$0.0123", "s-1")
    assert shown["score"] == "helpful 1 by anna@example.com"
    assert [line.split("   ")[0] for line in tree.splitlines()] == [
        *("NODE", "Agent", "  Answer (2 attempts)", "  Search (cached)"),
        *("  Code (ValueError in line 5)", "  Ask (Timeout)", "Lost"),
    ]
    assert tree.splitlines()[3].split() == ["Search", "(cached)", "failed", "+100", "ms", "8.2", "ms", "1200+300", "-"]
    monkeypatch.setenv("COLUMNS", "80")
    assert "  Answer (2 atte…" in plugin("run", RUN, terminal=True).out


def test_a_background_run_shows_how_long_pods_were_busy(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", {"data": made.a_detail(duration_ms=10_920_000.0, busy_ms=3_100.0)})
    assert "took       3 h 2 min, of which pods were busy 3.10 s\n" in plugin("run", RUN).out


def app_shown(plugin: ScriptedPlugin) -> str:
    return next(line.split()[1] for line in plugin("run", RUN).out.splitlines() if line.startswith("app "))


def test_a_run_names_its_app_where_the_caller_may_list_it_and_else_its_uid(plugin: ScriptedPlugin) -> None:
    uid = made.a_detail()["app_id"]
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", {"data": made.a_detail()})
    apps = APPS.path(given.NAMESPACE)
    plugin.script.on("GET", apps, listed({"metadata": {"name": "faq", "uid": "1"}}, {"metadata": {"name": "chat", "uid": uid}}))
    assert app_shown(plugin) == "chat"
    plugin.script.on("GET", apps, {"metadata": {}, "items": None})
    assert app_shown(plugin) == uid
    plugin.script.on("GET", apps, failure(403, "Forbidden", "no"))
    assert app_shown(plugin) == uid


def test_nodes_that_are_inside_of_each_other_are_shown_once(plugin: ScriptedPlugin) -> None:
    nodes = (made.a_node(span_id="1", parent_id="2", name="A"), made.a_node(span_id="2", parent_id="1", name="B"))
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", {"data": made.a_detail(*nodes)})
    assert [line.split()[0] for line in plugin("run", RUN).out.split("\n\n")[1].splitlines()] == ["NODE", "A", "B"]


def test_contents_are_shown_on_request(plugin: ScriptedPlugin) -> None:
    nodes = made.a_node(output="Paid."), made.a_node(span_id="2", name="", node_id="ask", output="When?")
    detail = made.a_detail(*nodes, content="included", input={"question": "Where?"}, output={"answer": "Paid."})
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", {"data": detail})
    assert "Where?" not in plugin("run", RUN).out
    shown = plugin("run", RUN, "--content").out
    assert 'run: input\n  {\n    "question": "Where?"\n  }' in shown
    assert "node Answer: output\n  Paid." in shown
    assert "node ask: output\n  When?" in shown
    assert dict(plugin.script.recorded[-1].pairs) == {"include": "content"}
    plugin("run", RUN, "--app-id", RUN)
    assert dict(plugin.script.recorded[-1].pairs) == {"app_id": RUN}


@pytest.mark.parametrize(("content", "says"), [("denied", "dynamiq-deployer"), ("not_recorded", "App.spec.runs.content")])
def test_missing_contents_are_shown_with_the_reason(plugin: ScriptedPlugin, content: str, says: str) -> None:
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", {"data": made.a_detail(content=content)})
    assert says in plugin("run", RUN, "--content").out


def test_a_run_whose_nodes_were_deleted_names_the_retention(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", {"data": {**made.a_detail(), "nodes": [], "nodes_kept": False}})
    assert "retention" in plugin("run", RUN).out


def test_an_unknown_run_has_the_error_of_the_recorder(plugin: ScriptedPlugin) -> None:
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", made.problem(404, "no run has this id, or you may not see it", "not_found"))
    done = plugin("run", RUN)
    assert (done.code, done.err) == (1, "error: no run has this id, or you may not see it\n")
    assert plugin("run", "7").code == 2


# Verdicts.


def test_a_comparison_is_figures_side_by_side_and_a_sentence(plugin: ScriptedPlugin) -> None:
    done = plugin("compare", "chat")
    lines = done.out.splitlines()
    assert lines[0].split() == ["#2", "v2", "#1", "v1", "RATIO", "95", "%", "INTERVAL", "VERDICT"]
    p95 = next(line for line in lines if line.startswith("p95"))
    assert p95.split() == ["p95", "2.10", "s", "1.50", "s", "1.40", "1.28", "to", "1.53", "regressed"]
    failed = next(line for line in lines if line.startswith("failed"))
    assert failed.split()[1:] == ["0.8", "%", "0.6", "%", "1.33", "-0.8", "to", "+1.2", "points", "unchanged"]
    assert lines[-1] == f"regressed: {made.SENTENCE}"
    assert done.code == 0, "without --exit-code a verdict is no failure"
    request = plugin.script.recorded[-1]
    assert request.path == f"{PROXY}/v1/apps/{UID}/deployments/{uid_of('chat-b')}/comparison"
    assert dict(request.pairs) == {"baseline": "previous"}


def test_rows_are_named_by_sequence_or_name(plugin: ScriptedPlugin) -> None:
    assert plugin("compare", "chat", "2", "chat-a", "-o", "json").code == 0
    assert dict(plugin.script.recorded[-1].pairs) == {"baseline": uid_of("chat-a")}
    assert "no row #9" in plugin("compare", "chat", "9").err


@pytest.mark.parametrize(("verdict", "code"), [("regressed", 3), ("improved", 0), ("unchanged", 0), ("too_few_runs", 4), ("unknown", 4)])
def test_a_script_can_stop_at_the_result_of_a_comparison(plugin: ScriptedPlugin, verdict: str, code: int) -> None:
    path = f"{PROXY}/v1/apps/{UID}/deployments/{uid_of('chat-b')}/comparison"
    nothing: dict[str, Any] = {"baseline": None, "p50_ms": None, "p95_ms": None, "failure_rate": None, "cost_usd": None, "tokens": None}
    found = made.a_comparison(Verdict(verdict), **(nothing if verdict == "unknown" else {}))
    plugin.script.on("GET", path, {"data": found})
    done = plugin("compare", "chat", "2", "--exit-code")
    assert done.code == code
    assert done.out.splitlines()[-1].startswith(verdict.replace("_", " "))
    assert plugin("compare", "chat", "2").code == 0


def test_a_history_has_the_figures_of_each_rows_runs(plugin: ScriptedPlugin) -> None:
    few = {**made.FIGURES, "runs": 0, "failed": 0, "p50_ms": None, "p95_ms": None, "cost_usd": None}
    plugin.keeps("v1", "v2")
    comparisons = [
        made.a_verdict(deployment_id=uid_of("chat-b")),
        made.a_verdict(deployment_id=uid_of("chat-a"), figures=few, verdict="unknown"),
    ]
    plugin.script.on("GET", f"{PROXY}/v1/apps/{UID}/verdicts", {"data": comparisons})
    done = plugin("history", "chat", "-o", "wide")
    newest, oldest = ([cell.strip() for cell in line.split("   ") if cell.strip()] for line in done.out.splitlines()[1:])
    assert newest[-7:-1] == ["500", "4", "2.10 s", "$1.2500", "regressed", "chat-b"]
    assert oldest[-7:-1] == ["0", "-", "-", "-", "-", "chat-a"]
    assert done.err == ""
    requests = plugin.script.recorded
    assert [value for _, value in requests[-1].pairs] == [uid_of("chat-b"), uid_of("chat-a")]
    assert plugin("history", "chat").code == 0
    assert len(plugin.script.recorded) == len(requests), "a plain history asks the recorder nothing"


def test_a_history_without_a_recorder_is_whole_but_for_them(plugin: ScriptedPlugin) -> None:
    plugin.script.has_recorder = False
    plugin.keeps("v1", "v2")
    done = plugin("history", "chat", "-o", "wide")
    assert done.code == 0
    assert [line.split()[-7:-2] for line in done.out.splitlines()[1:]] == [["-"] * 5] * 2
    assert done.err.count("\n") == 1
    assert "no recorder is installed in this cluster" in done.err
    plugin.script.has_recorder = True
    plugin.logs_in({"client-certificate": "/x"})
    assert "--token" in plugin("history", "chat", "-o", "wide").err
    plugin.records()
    plugin.script.on("GET", f"{PROXY}/v1/apps/{UID}/verdicts", {"data": [{"deployment_id": uid_of("chat-b"), "of": "another version"}]})
    assert "different versions" in plugin("history", "chat", "-o", "wide").err


# Sessions, scores, deletion.


def test_sessions_are_listed(plugin: ScriptedPlugin) -> None:
    header, line = plugin("sessions", "chat", "--user-id", "u-1").out.splitlines()
    assert header.split() == ["SESSION", "USER", "RUNS", "FAILED", "FIRST", "LAST", "TOKENS", "COST"]
    assert line.split() == ["s-1", "u-1", "3", "1", "2026-11-24T12:00:00Z", "2026-11-24T12:30:00Z", "1200+300", "$0.0500"]
    assert dict(plugin.script.recorded[-1].pairs) == {"user_id": "u-1", "page": "1", "page_size": "25"}
    assert json.loads(plugin("sessions", "chat", "-o", "json").out) == [made.a_session()]


def test_a_run_is_scored(plugin: ScriptedPlugin) -> None:
    done = plugin("score", RUN, "tone", "-0.5", "--comment", "too short")
    assert done.out == f"run {RUN} has the score tone -0.5 by anna@example.com\n"
    request = plugin.script.recorded[-1]
    assert (request.method, request.path) == ("POST", f"{PROXY}/v1/runs/{RUN}/scores")
    assert (request.body, list(request.pairs)) == ({"name": "tone", "value": -0.5, "comment": "too short"}, [])
    assert plugin("score", RUN, "tone", "1", "--app-id", RUN).code == 0
    assert list(plugin.script.recorded[-1].pairs) == [("app_id", RUN)]
    assert plugin("score", RUN, "tone", "nan").code == 2


def test_runs_are_deleted_after_their_number_was_shown(plugin: ScriptedPlugin) -> None:
    shown = plugin("delete-runs", "chat", "--before", "2026-11-24", "--preview")
    assert "delete 2 runs of chat in demo: that began before 2026-11-24T00:00:00.000000Z" in shown.out
    assert [(sent.method, dict(sent.pairs)) for sent in plugin.script.recorded] == [
        ("GET", {"to": "2026-11-24T00:00:00.000000Z", "page_size": "1"})
    ]
    assert plugin("delete-runs", "chat", "--session", "s-1").code == 2, "nobody can be asked"
    assert plugin("delete-runs", "chat", "--session", "s-1", typed="n\n").code == 1
    assert all(sent.method == "GET" for sent in plugin.script.recorded)
    done = plugin("delete-runs", "chat", "--session", "s-1", "--yes")
    assert (done.code, done.err) == (0, "runs of chat that are deleted: 2\n")
    request = plugin.script.recorded[-1]
    assert (request.method, request.path, dict(request.pairs)) == ("DELETE", RUNS, {"session_id": "s-1"})
    assert json.loads(plugin("delete-runs", "chat", "--user-id", "u-1", "--yes", "-o", "json").out) == {"deleted": 2}
    plugin("delete-runs", "chat", "--before", "2026-11-24", "--yes")
    assert dict(plugin.script.recorded[-1].pairs) == {"before": "2026-11-24T00:00:00.000000Z"}


@pytest.mark.parametrize("options", [(), ("--before", "1h", "--session", "s")])
def test_a_deletion_names_one_kind_of_runs(plugin: ScriptedPlugin, options: tuple[str, ...]) -> None:
    assert plugin("delete-runs", "chat", *options).code == 2


# A deleted App.


@pytest.fixture
def deleted_app(plugin: ScriptedPlugin) -> str:
    """Returns the uid of a deleted App, of which the cluster has nothing."""
    uid = "55555555-0000-4000-8000-000000000001"
    plugin.script.on("GET", APPS.path(given.NAMESPACE, "chat"), missing("apps", "chat"))
    return uid


def test_runs_of_a_deleted_app_are_found_by_its_uid(plugin: ScriptedPlugin, deleted_app: str) -> None:
    assert plugin("runs", "chat").code == 1
    plugin.script.on("GET", f"{PROXY}/v1/apps/{deleted_app}/runs", made.a_page(made.a_run()))
    done = plugin("runs", "--app-id", deleted_app, "--user-id", "u-1", "-o", "name")
    assert (done.code, done.out) == (0, f"{RUN}\n")
    for options in (("--row", "2"), ("chat",)):
        assert plugin("runs", "--app-id", deleted_app, *options).code == 2
    assert plugin("runs").code == 2


def test_runs_of_a_deleted_app_are_deleted_by_its_uid(plugin: ScriptedPlugin, deleted_app: str) -> None:
    path = f"{PROXY}/v1/apps/{deleted_app}/runs"
    plugin.script.on("GET", path, made.a_page(made.a_run())).on("DELETE", path, {"data": {"deleted": 1}})
    done = plugin("delete-runs", "--app-id", deleted_app, "--user-id", "u-1", "--yes")
    assert (done.code, done.err) == (0, f"runs of {deleted_app} that are deleted: 1\n")
    assert done.out.splitlines()[0] == f"delete 1 run of the App with the id {deleted_app}: of user u-1"
    shown = plugin("delete-runs", "--app-id", deleted_app, "--user-id", "u-1", "--preview", "-o", "json").out
    assert json.loads(shown) == {"app_id": deleted_app, "runs": 1, "user_id": "u-1"}
    assert plugin("delete-runs", "--user-id", "u-1", "--yes").code == 2
    plugin.script.on("GET", path, made.problem(404, "there is no App with this id, or you may not see it", "not_found"))
    assert plugin("delete-runs", "--app-id", deleted_app, "--user-id", "u-1", "--yes").code == 1


# Errors.


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (failure(404, "NotFound", 'services "dynamiq-recorder" not found'), "no recorder is installed in this cluster"),
        (failure(403, "Forbidden", "forbidden"), "or you may not reach it"),
        (failure(503, "ServiceUnavailable", "no endpoints available"), "the recorder does not answer (no endpoints available)"),
        (made.problem(401, "the token is not valid", "unauthorized"), "does not accept your token"),
        (made.problem(403, "this takes get apps/runs", "forbidden"), "this takes get apps/runs"),
        (Reply(502, b"<html>"), "the recorder does not answer (502)"),
        (Reply(200, b"null"), "compare their versions"),
    ],
)
def test_an_error_is_one_sentence(plugin: ScriptedPlugin, reply: Reply, says: str) -> None:
    plugin.script.on("GET", f"{PROXY}/v1/runs/{RUN}", reply)
    done = plugin("run", RUN)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert says in done.err
    assert done.err.count("\n") == 1

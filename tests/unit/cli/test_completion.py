"""The completions after `kubectl dynamiq`, from the parser and from one `kubectl get`."""

from __future__ import annotations

import pytest

from tests.support.scripted_plugin import ScriptedPlugin

GROUP = "dynamiq.getdynamiq.ai"


@pytest.fixture
def known(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin with a cluster as `kubectl get` prints it by completion's templates. Texts of users are quoted."""
    plugin.gets(f"apps.{GROUP}", 'chat\t"v2"', "billing")
    plugin.gets(f"workflowversions.{GROUP}", 'v1\t"What v1 does"', 'v2\t"a\\nb \\"c\\""', "v10")
    plugin.gets(
        f"deployments.{GROUP}", '1\t"v1"\t"Superseded"\t"2026-11-24"', "<no value>", '12\t"v2"\t"Live"\t"2026-11-25"\t"why"', '2\t"v1"'
    )
    plugin.gets(f"runtimes.{GROUP}", 'tiny-1\t"1.0.0"')
    plugin.gets(f"workflows.{GROUP}", 'chat\t"Answers"')
    plugin.gets("secrets", "ci", "default")
    plugin.gets("namespaces", "staging", "production", "production", "<no value>")
    return plugin


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["hi"], ["history\tshow the rows of an App, the newest first"]),
        (["history", ""], ["chat\tv2", "billing"]),
        (["history", "b"], ["billing"]),
        (["history", "chat", ""], []),
        (["at", ""], ["chat\tv2", "billing"]),
        (["at", "chat", ""], []),
        (["report", "b"], ["billing"]),
        (["report", "-o", ""], ["csv", "md", "json", "yaml", "jsonpath="]),
        (["release", ""], ["chat\tAnswers"]),
        (["release", "chat", ""], []),
        (["list", ""], []),
        (["invoke", ""], ["chat\tv2", "billing"]),
        (["invoke", "chat", "{}", "--key", ""], ["ci", "default"]),
        (["keys", "r"], ["revoke\ttake one away"]),
        (["keys", "list", "c"], ["chat\tv2"]),
        (["keys", "revoke", "chat", ""], ["ci", "default"]),
        (["keys", "create", "chat", ""], []),
        (["rollback", "chat", "--to-row", ""], ["12\tv2 Live 2026-11-25 why", "2\tv1", "1\tv1 Superseded 2026-11-24"]),
        (["logs", "chat", "--row", "1"], ["12\tv2 Live 2026-11-25 why", "1\tv1 Superseded 2026-11-24"]),
        (["diff", "chat", "12", "2"], ["2\tv1"]),
        (["compare", "chat", "12", "2"], ["2\tv1"]),
        (["compare", "chat", "1", "2", ""], []),
        (["runs", ""], ["chat\tv2", "billing"]),
        (["runs", "chat", "--row", "2"], ["2\tv1"]),
        (["runs", "chat", "--status", "t"], ["timed_out"]),
        (["runs", "chat", "--sort", ""], ["oldest", "newest", "quickest", "slowest", "cheapest", "dearest"]),
        (["runs", "chat", "-o", "json"], ["jsonl", "json", "jsonpath="]),
        (["runs", "chat", "--session", ""], []),
        (["run", ""], ["chat\tv2", "billing"]),
        (["run", "chat", ""], []),
        (["cancel", ""], ["chat\tv2", "billing"]),
        (["cancel", "chat", ""], []),
        (["cancel", "chat", "--all"], ["--all-open\tall runs of the App that have not ended"]),
        (["questions", ""], ["chat\tv2", "billing"]),
        (["answer", ""], ["chat\tv2", "billing"]),
        (["answer", "chat", "--app"], ["--approve\tapprove what the run asks approval for"]),
        (["restart-runs", "chat", "--all"], ["--all-held\tall held runs of the App"]),
        (["release-runs", "chat", ""], []),
        (["score", ""], []),
        (
            ["delete-runs", "chat", "--bef"],
            ["--before\truns before this time or date, or longer ago than this, such as 30d"],
        ),
        (["diff", "chat", "1", "2", ""], []),
        (["deploy", "chat", "--runtime", ""], ["tiny-1\t1.0.0"]),
        (["promote", "chat", "--to", ""], ["staging", "production"]),
        (["promote", "chat", "--from-cluster", ""], []),
        (["sync", ""], ["chat\tv2", "billing"]),
        (["history", "chat", "-o", ""], ["wide", "name", "json", "yaml", "jsonpath="]),
        (["status", "chat", "--output", "j"], ["json", "jsonpath="]),
        (["deploy", "chat", "-m", ""], []),
        (["deploy", "chat", "--no"], ["--no-wait\tdo not follow the rollout: print only the row's name, and end"]),
        (["--kubec"], ["--kubeconfig\tas kubectl has it"]),
        (["history", "--kubec"], ["--kubeconfig\tas kubectl has it"]),
        (["nonsense", ""], []),
        (["history", "-m", "chat", ""], ["chat\tv2", "billing"]),
    ],
)
def test_completion_offers_the_words_of_its_place(known: ScriptedPlugin, typed: list[str], offered: list[str]) -> None:
    assert known.complete(*typed) == [*offered, ":4"]


def test_versions_are_those_of_the_apps_workflow_newest_first(known: ScriptedPlugin) -> None:
    known.gets(f"apps.{GROUP}", "support")
    assert known.complete("deploy", "chat", "--version", "") == ["v10", 'v2\ta\\nb "c"', "v1\tWhat v1 does", ":4"]
    assert known.complete("rollback", "chat", "--to", "v1") == ["v10", "v1\tWhat v1 does", ":4"]
    assert known.complete("deploy", "--version", "") == [":4"], "without an App there is no workflow to look at"


def test_values_of_kubectls_own_flags_are_kubectls(known: ScriptedPlugin) -> None:
    assert known.complete("history", "--context", "") == ["__complete", "get", "pods", "--context", "", ":4"]
    assert known.complete("promote", "chat", "--to-context", "") == ["__complete", "get", "pods", "--context", "", ":4"]
    assert known.complete("history", "-n", "po") == ["pods", "po", ":4"]


def test_a_file_is_the_shells_to_complete(known: ScriptedPlugin) -> None:
    assert known.complete("verify", "chat", "--file", "ex") == [":0"]
    assert known.complete("invoke", "chat", "{}", "--file", "ex") == [":0"]
    assert known.complete("promote", "chat", "--to-file", "b") == [":0"]


@pytest.mark.parametrize("kubectl", ["/none/kubectl", "/bin/false"])
def test_it_is_silent_where_kubectl_knows_nothing(known: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch, kubectl: str) -> None:
    monkeypatch.setenv("KUBECTL", kubectl)
    assert known.complete("history", "") == [":4"]

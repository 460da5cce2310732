"""The plugin's commands and options, and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from dynamiq_operator import __version__
from dynamiq_operator.cli import guard_arguments, parsing, report_arguments, run_arguments
from dynamiq_operator.model.history_columns import COLUMNS, of_plugin

FOLLOW_SECONDS = 600.0
CALL_SECONDS = 300.0
DEPLOY_EXITS = (
    "exit codes: 0 done, 1 it failed or was refused, 2 wrong usage, or no terminal and no --yes, 3 it waits for an approval or"
    " another rule, which is no failure, or is still under way after --timeout,"
    " 4 what would be deployed has changed after the preview, and nothing was done, 130 interrupted: the deploy goes on"
)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the whole command line, without kubectl's own flags."""
    made = parsing.Parser(
        prog=parsing.PROG,
        description="Every deploy of an App is a row of its history; rolling back is one more row.",
        epilog=f"{parsing.KUBECTL}. {parsing.EXITS}. `{parsing.PROG} COMMAND --help` has examples."
        " The variable KUBECTL names another kubectl than that of the PATH; NO_COLOR takes the colours.",
        allow_abbrev=False,
    )
    version = f"{parsing.PROG} {__version__}"
    made.add_argument(
        "--version", action="version", version=version, help="print the plugin's own version; `version` has the cluster's, too"
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=parsing.Parser)
    _reading(commands)
    _acting(commands)
    _pods(commands)
    guard_arguments.add(commands)
    run_arguments.add(commands)
    report_arguments.add(commands)
    return made


def _reading(commands: Any) -> None:
    _listing(commands)
    shown = parsing.command(
        commands,
        "history",
        "show the rows of an App, the newest first",
        _outputs_of_history(),
        ("support", "support -o wide", "support -o json | jq '.[0].version'", "support --watch", "support --all"),
    )
    parsing.app(shown)
    parsing.output(shown, "wide", "name")
    how = shown.add_mutually_exclusive_group()
    how.add_argument("-w", "--watch", action="store_true", help="go on, and print each row again when it changes")
    how.add_argument(
        "--all",
        action="store_true",
        help="show among the rows what else of the App changed: variables, access, hostname, triggers and so on, by name, and who did it",
    )
    parsing.limit(shown, "show the newest so many rows (default: all)")
    shown.add_argument("--archived", action="store_true", help="show the rows that left the cluster, too, of an App with history.archive")

    status = parsing.command(
        commands,
        "status",
        "show what an App serves, what is being deployed, and how its pods are",
        "-o wide adds the message of the live row, what it restores, who approved it, and its digests.",
        ("support", "support -o wide", "support -o json"),
    )
    parsing.app(status)
    parsing.output(status, "wide", "name")

    diff = parsing.command(
        commands,
        "diff",
        "show what changed from one row to another",
        "A row is named by its sequence (3 or '#3') or by its name.",
        ("support 1 3", "support support-9ml5c support-f8mmm"),
    )
    parsing.app(diff)
    diff.add_argument("before", metavar="ROW", help="the row to come from")
    diff.add_argument("after", metavar="ROW", help="the row to come to")
    parsing.output(diff)

    verify = parsing.command(
        commands,
        "verify",
        "verify that nobody changed or removed a row of an App's history",
        "Walks the chain of digests, oldest row first, and names the first row that does not fit; and so the records of what changed of the App.",
        ("support", "support --expect sha256:…", "support --file export.yaml --expect sha256:…"),
        "exit codes: 0 every row and record fits, 1 one does not, 2 wrong usage, or no answer from the cluster or the file, 3 no row",
    )
    parsing.app(verify)
    verify.add_argument(
        "--file",
        metavar="FILE",
        help="an export (`kubectl get deployments.dynamiq,appchanges -o yaml`) in place of the cluster, which is not asked then;"
        " its rows may be of any namespace where no -n is given",
    )
    verify.add_argument("--expect", metavar="DIGEST", help="a digest printed earlier, which some row or record must still have")
    parsing.output(verify)


def _outputs_of_history() -> str:
    """Describes what `-o wide` and `-o json` print of a row."""
    *added, last = (column.spoken for column in of_plugin(wide=True) if column.wide)
    fields = ", ".join(f"{column.json_name} ({column.note})" if column.note else column.json_name for column in COLUMNS)
    return (
        f"-o wide adds {', '.join(added)} and {last}, and where a recorder is installed how many runs a row had, how many of them failed, their"
        " 95th percentile, their cost, and the verdict on it. DEPLOYABLE says whether a row could be brought back now, and why not."
        f" -o json prints a list, the newest row first. Fields, null where a row has none: {fields}; and"
        " deployable (whether it could be brought back now: ok, reasons, waits, notes and warm). With --all each has a kind, Deployment or"
        " AppChange; the fields of the latter: name, uid, app, sequence, reason, date, after (the sequence of the newest row then), by,"
        " byVerified, generation, changes (field, name, change, from, to), summary and digest."
    )


def _acting(commands: Any) -> None:
    _deploy(commands)
    _rollback(commands)
    _promote(commands)
    _release(commands)
    _sync(commands)


def _deploy(commands: Any) -> None:
    deploy = parsing.command(
        commands,
        "deploy",
        "deploy a version of an App: one more row",
        "Without --version it is the newest release; runtime and config stay as they are live. It shows what would change, asks, and"
        " follows the rollout until it is Live or Failed.",
        (
            "support --version v4 -m 'Answers in French'",
            "support --version v4 --preview",
            "support --version v4 --min 2 --max 6",
            "support --serverless --idle-seconds 600",
            "support --version v4 --yes --no-wait",
        ),
        DEPLOY_EXITS,
    )
    parsing.app(deploy)
    deploy.add_argument("--version", metavar="VERSION", help="version to deploy, such as v4 (default: the newest release)")
    _runtime(deploy)
    types = deploy.add_mutually_exclusive_group()
    types.add_argument(
        "--server-based", action="store_true", help="always running (default: the type that is live; of a first row, this one)"
    )
    types.add_argument("--serverless", action="store_true", help="asleep while nobody calls, and woken by the next call")
    deploy.add_argument("--min", type=parsing.count, metavar="PODS", help="fewest pods of a server")
    deploy.add_argument("--max", type=parsing.count, metavar="PODS", help="most pods")
    deploy.add_argument("--cpu", type=parsing.count, metavar="PERCENT", help="CPU use that the autoscaler of a server aims at")
    deploy.add_argument(
        "--idle-seconds",
        type=parsing.seconds(5, 86400),
        metavar="SECONDS",
        help="of a serverless App: without a call for so long it sleeps",
    )
    deploy.add_argument(
        "--hold-seconds",
        type=parsing.seconds(1, 3600),
        metavar="SECONDS",
        help="of a serverless App: for so long a call waits for it to wake",
    )
    _add_deploy_flags(deploy)


def _rollback(commands: Any) -> None:
    rollback = parsing.command(
        commands,
        "rollback",
        "bring back what an App ran before: one more row",
        "Without --to it is the last good row: the newest that went Live with another flow or runtime than what is live now. A version that a"
        " rollback or a revert left, or that is rejected, is not good until somebody deploys it again. The runtime of the row comes back with it; scaling stays as it is live. What Git asks for waits afterwards: `kubectl dynamiq resume`.",
        ("support", "support --to v3", "support --to-row 12 --with-config", "support --no-hold", "support --preview"),
        DEPLOY_EXITS,
    )
    parsing.app(rollback)
    target = rollback.add_mutually_exclusive_group()
    target.add_argument("--to", type=parsing.version_to_restore, metavar="VERSION", help="the newest row of this version, such as v3")
    target.add_argument("--to-row", metavar="ROW", help="this row, by its sequence (12) or its name")
    rollback.add_argument("--with-config", action="store_true", help="bring back the row's scaling, too; otherwise it stays as it is live")
    _runtime(rollback)
    rollback.add_argument(
        "--no-hold", action="store_true", help="go on deploying what Git asks for; otherwise that waits until somebody resumes it"
    )
    _add_deploy_flags(rollback)


def _promote(commands: Any) -> None:
    promote = parsing.command(
        commands,
        "promote",
        "deploy what an App serves here to another environment of its project",
        "The version goes as it is; the App there keeps its own config, hostname, keys and variables. Where the environment is in another"
        " cluster, --to-context reads with this context of the kubeconfig and writes with that one; where the two never meet, --to-file writes what"
        " `kubectl apply` takes there. Such a row says from which cluster and row it came, and that nobody could verify it.",
        (
            "support -n staging",
            "support -n staging --to production --hostname support.example.com",
            "support -n staging --to-context prod --preview",
            "support -n staging --to-context prod --target-namespace support",
            "support -n staging --to-file support-v4.yaml --with-app --hostname support.example.com",
        ),
        DEPLOY_EXITS,
    )
    promote.check = _wrong_of_promotion
    parsing.app(promote)
    promote.add_argument("--to", metavar="ENVIRONMENT", default="production", help="environment to promote to (default: %(default)s)")
    promote.add_argument(
        "--target-namespace",
        metavar="NAMESPACE",
        help="the target's namespace, for whoever may not list namespaces (default: found by its labels; of --to-file: of whoever applies it)",
    )
    promote.add_argument("--hostname", help="hostname there, for a first promotion")
    places = promote.add_mutually_exclusive_group()
    places.add_argument(
        "--to-context", metavar="CONTEXT", help="context of the kubeconfig whose cluster the target is in (default: this cluster)"
    )
    places.add_argument("--to-file", metavar="FILE", help="write it into a file, for a cluster that cannot be reached from here")
    promote.add_argument(
        "--from-cluster",
        metavar="NAME",
        help="how the row names this cluster, for whoever may not read its identity (default: the uid of its namespace kube-system)",
    )
    promote.add_argument("--with-app", action="store_true", help="of --to-file: the App goes along, for a first promotion")
    promote.add_argument(
        "--as-version",
        type=parsing.version,
        metavar="VERSION",
        help="of --to-file: the version's name there, such as v7, where its own is taken by another flow",
    )
    _add_deploy_flags(promote)


def _wrong_of_promotion(options: argparse.Namespace) -> str:
    if options.to_file is None:
        if options.with_app or options.as_version is not None:
            return "--with-app and --as-version are for --to-file: elsewhere it is seen what is there"
        if options.from_cluster is not None and options.to_context is None:
            return "--from-cluster is for --to-context and --to-file: within a cluster a row needs no name of it"
    elif options.to_file in ("", "-"):
        return "--to-file takes the name of a file"
    elif options.hostname is not None and not options.with_app:
        return "--hostname is the App's: with --to-file it goes along with --with-app alone"
    return ""


def _release(commands: Any) -> None:
    release = parsing.command(
        commands,
        "release",
        "release the draft of a workflow as its next version",
        "A version never changes, so a flow that cannot run is refused. Where the draft is the newest version already, nothing is released, but for another --description.",
        ("support", "support --description 'Answers in French'", "support --preview"),
    )
    release.add_argument("workflow", metavar="WORKFLOW", help="name of the workflow")
    release.add_argument("--description", help="what changed (default: the draft's description)")
    release.add_argument(
        "--force", action="store_true", help="release a flow that cannot run: what is wrong with it is said, and not refused"
    )
    parsing.add_preview_flags(release)


def _sync(commands: Any) -> None:
    sync = parsing.command(
        commands,
        "sync",
        "print the change of spec.deploy by which Git says what is live",
        "After a rollback by hand Git asks for something else than what runs. It changes nothing: the patch is on standard output, for the App's"
        " file in Git, what is to be known beside it on standard error. What Git leaves out stays out. It takes the right to read.",
        (
            "support",
            "support --full -m 'As production is'",
            "support --exit-code",
        ),
        "exit codes: 0 done, 1 it failed or was refused, 2 wrong usage, 130 interrupted; with --exit-code also 3 Git says something else",
    )
    parsing.app(sync)
    sync.add_argument("--to-git", action="store_true", help="the default, and the only direction: this command does not write to Git")
    sync.add_argument("--full", action="store_true", help="with runtime and config, though Git names neither")
    sync.add_argument("-m", "--message", help="message of the row that it becomes (default: which row it is as)")
    sync.add_argument("--exit-code", action="store_true", help="end with 3 where Git says something else than what is live")
    parsing.output(sync)


def _pods(commands: Any) -> None:
    logs = parsing.command(
        commands,
        "logs",
        "print what the pods of an App log",
        "Those of the pods of the live row, or of another one whose pods still run.",
        ("support -f", "support --since 10m", "support --row 12 --tail 50"),
    )
    parsing.app(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on")
    logs.add_argument("--since", metavar="TIME", help="only what is newer than this, such as 10m")
    logs.add_argument("--tail", metavar="LINES", help="only the last lines of each pod (default: 10; -1: all)")
    logs.add_argument("--row", metavar="ROW", help="pods of this row, by its sequence or name (default: the live one)")

    _calling(commands)
    opened = parsing.command(commands, "open", "print the address of an App, and open it on a desktop", "", ("support", "support -o json"))
    parsing.app(opened)
    parsing.output(opened)


def _listing(commands: Any) -> None:
    listed = parsing.command(
        commands,
        "list",
        "show the Apps: what each serves, whether it is ready, and its hostname",
        "STATUS is Ready, or the reason why not; a deploy under way is said beside. -o wide adds the live row, its runtime and the address.",
        ("", "-A", "-o wide", "-o name", "-A -o jsonpath='{range [*]}{.namespace}/{.name} {.version}{\"\\n\"}{end}'"),
    )
    listed.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")
    parsing.limit(listed, "show at most so many Apps (default: all)")
    parsing.output(listed, "wide", "name")
    version = parsing.command(
        commands, "version", "show the versions of the plugin, the operator, its resources and the cluster", "", ("", "-o json")
    )
    parsing.output(version)


def _calling(commands: Any) -> None:
    invoke = parsing.command(
        commands,
        "invoke",
        "call an App, and print what it answers",
        "It goes through a port-forward of kubectl, with the Access Key `default`, or the first there is, of the App's Secret; for whoever may not"
        " read that, the variable DYNAMIQ_ACCESS_KEY has one.",
        (
            """support '{"question": "Where is my invoice?"}'""",
            "support - --timeout 10m",
            "support '{}' --by-hostname --key ci",
            "support '{}' -o jsonpath='{.answer}'",
        ),
        "exit codes: 0 it answered, 1 it answered with an error, or could not be called, 2 wrong usage, 130 interrupted",
    )
    parsing.app(invoke)
    invoke.add_argument("input", metavar="INPUT", help="the input, a JSON object; - reads it from standard input")
    invoke.add_argument("--key", metavar="NAME", help="Access Key to call with, by its name")
    invoke.add_argument("--by-hostname", action="store_true", help="call the App by its hostname, in place of a port-forward")
    invoke.add_argument(
        "--timeout", type=parsing.duration, default=CALL_SECONDS, metavar="TIME", help="wait so long for the answer (default: 5m)"
    )
    parsing.output(invoke)
    keys = parsing.command(
        commands,
        "keys",
        "list, create or revoke the Access Keys of an App",
        "A key is printed once, when it is created; a list shows how each begins. `revoke` asks first.",
        ("list support", "create support ci", "revoke support ci --yes"),
    )
    keys.add_argument("action", choices=("list", "create", "revoke"), metavar="ACTION", help="list, create or revoke")
    parsing.app(keys)
    keys.add_argument("name", metavar="NAME", nargs="?", help="name of the key (default of create: a random one)")
    parsing.add_preview_flags(keys)


def _runtime(to: argparse.ArgumentParser) -> None:
    to.add_argument("--runtime", help="Runtime to run on (default: the live row's)")


def _add_deploy_flags(to: argparse.ArgumentParser) -> None:
    to.add_argument("-m", "--message", help="why: it stays in the history")
    parsing.add_preview_flags(to)
    guard_arguments.add_rules(to)
    ends = to.add_mutually_exclusive_group()
    ends.add_argument(
        "--wait",
        action="store_true",
        help="where a rule holds the row, go on waiting until --timeout, in place of saying for what, and ending",
    )
    ends.add_argument("--no-wait", action="store_true", help="do not follow the rollout: print the row's name, and nothing else, and end")
    to.add_argument(
        "--timeout",
        type=parsing.duration,
        default=FOLLOW_SECONDS,
        metavar="TIME",
        help="follow it for so long, such as 90s or 5m (default: 10m)",
    )


def options(made: argparse.ArgumentParser, wanted: Callable[[argparse.Action], bool] = lambda _: True) -> dict[str, str]:
    """Returns the option strings of a parser with their help."""
    return {option: action.help or "" for action in made._actions if wanted(action) for option in action.option_strings}


def commands_of(made: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Returns the parsers of the commands, by name."""
    parsers: dict[str, argparse.ArgumentParser] = next(
        dict(action.choices) for action in made._actions if isinstance(action, argparse._SubParsersAction)
    )
    return parsers


def helps_of(made: argparse.ArgumentParser) -> dict[str, str]:
    """Returns the help of each command, by name."""
    subparsers = next(action for action in made._actions if isinstance(action, argparse._SubParsersAction))
    return {choice.dest: choice.help or "" for choice in subparsers._choices_actions}

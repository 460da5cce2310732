"""Runs the main job on a real Kubernetes: deploys an App twice and rolls it back while a client calls it, then compares its runs.

`make demo` runs it. A reader could type each command; each result is checked, and the exit status is 0 only if all are as expected. It
replaces namespace `demo` only if the demo created it, and leaves the cluster running.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from local import clusters, gateway, images, operators, prepare
from local.caller import Responses, following, wait_for_response
from local.clusters import Cluster
from local.demo_rollouts import RolloutDemo
from local.demo_waiting import WaitingDemo
from local.errors import LocalError
from local.gateway import Gateway
from local.images import REPOSITORY
from local.progress import say, wait_for
from local.state import DEFAULT_NAME
from local.transcript import Transcript, heading

NAMESPACE = "demo"
HOSTNAME = "support.demo.localhost"
PART_OF = "app.kubernetes.io/part-of"
OURS = "dynamiq-demo"
WAIT = 120  # seconds
REACHED = (401, 405)  # the statuses of an App for a call without a key
HISTORY = ["v1 Superseded", "v2 Superseded", "v1 Live"]
READER = "reader"  # a ServiceAccount
BREAKS = re.compile(
    r"v3 reads `customer`, which (?P<runs>[\d,]+) of the last (?P=runs) runs \(7 days\) did not send: key default \((?P=runs)\)"
)
VERDICT = "improved: "  # v2 takes half a second longer for each answer: even a busy machine does not slow v1 down so much


@dataclass(frozen=True)
class Demo:
    """One run on one cluster. `gateway`: None if no gateway of ours is in front of it. `archives`: the images, of this checkout by default."""

    cluster: Cluster
    kubectl: Transcript
    gateway: Gateway | None
    archives: operators.Archives = images.ensure

    def run(self) -> None:
        """Runs all steps in order. Raises LocalError if one does not have the expected result."""
        operators.install(self.cluster, self.kubectl, self.gateway, self.archives)
        self._prepare()
        self._deploy("Deploy v1", "01-v1")
        with self._calls() as responses:
            self._require_response(responses, "v1")
            self._deploy("Deploy v2", "02-v2")
            self._require_response(responses, "v2")
            self._deploy("Roll back to v1: one more row", "03-rollback")
            self._require_response(responses, "v1")
        self._history()
        if self.gateway is not None:
            RolloutDemo(self.kubectl, self.gateway, NAMESPACE).run()
            WaitingDemo(self.kubectl, self.gateway, NAMESPACE).run()
        else:
            say(
                "# without pods behind a gateway of ours nothing sleeps and nothing is switched here: docs/serverless.md and docs/rollouts.md"
            )
        if self.cluster.real_pods:
            self._verdict()
            self._callers()

    def _prepare(self) -> None:
        heading("A runtime, a workflow in two versions, and an App")
        if namespace := self.kubectl.ask("get", "namespace", NAMESPACE, "-o", "json"):
            labels = json.loads(namespace)["metadata"].get("labels", {})
            if labels.get(PART_OF) != OURS:
                raise LocalError(f"namespace {NAMESPACE} is there and is not the demo's (it has no label {PART_OF}={OURS}): it stays")
            say(f"# rows are there for good, so an earlier demo's go with their namespace {NAMESPACE}")
            self.kubectl.run("delete", "namespace", NAMESPACE)
        self.kubectl.run("apply", "-k", "examples/")

    def _deploy(self, title: str, file: str) -> None:
        heading(title)
        name = self.kubectl.run("create", "-f", f"examples/records/{file}.yaml", "-o", "name")
        row = f"ddep/{name.strip().rpartition('/')[2]}"

        def phase() -> str:
            return f", it is {self.kubectl.ask('get', row, '-n', NAMESPACE, '-o', 'jsonpath={.status.phase}') or 'gone'}"

        timeout = f"--timeout={WAIT}s"
        try:
            self.kubectl.run("wait", "--for=jsonpath={.status.phase}=Live", row, "-n", NAMESPACE, timeout, still=phase)
            self.kubectl.run("wait", "--for=condition=Ready", "app/support", "-n", NAMESPACE, timeout)
        except LocalError:
            with contextlib.suppress(LocalError):
                self.kubectl.run("describe", row, "-n", NAMESPACE)
                self.kubectl.run("get", "pods", "-A")
                self.kubectl.run("logs", "-n", operators.NAMESPACE, "-l", operators.SELECTOR, "--prefix", "--tail=10")
            raise

    @contextlib.contextmanager
    def _calls(self) -> Iterator[Responses | None]:
        """Lets a pod call the App while the block runs; yields None if pods are simulated, and there are no responses."""
        if not self.cluster.real_pods:
            say("# pods are simulated: the calls to the App are left out, here and below")
            yield None
            return
        through = "its Service" if self.gateway is None else f"the gateway by its hostname {HOSTNAME}"
        heading(f"Somebody calls the App through {through}, 20 times a second, until the end")
        if (at := self.gateway) is not None:
            wait_for("the gateway to reach the App", lambda: gateway.status(at, HOSTNAME) in REACHED, seconds=WAIT)
        self.kubectl.run("apply", "-f", f"examples/{'caller' if self.gateway is None else 'caller-by-hostname'}.yaml")
        self.kubectl.run("wait", "--for=condition=Ready", "pod/caller", "-n", NAMESPACE, f"--timeout={WAIT}s")
        with following(self.kubectl, NAMESPACE, "caller") as responses:
            yield responses
            heading("What the caller saw")
            self.kubectl.run("delete", "pod", "caller", "-n", NAMESPACE)
        say(str(responses))
        if responses.failed:
            raise LocalError(f"{len(responses.failed)} calls failed, and none should")

    def _require_response(self, responses: Responses | None, version: str) -> None:
        if responses is not None:
            wait_for_response(responses, f"{version}:")
            self.kubectl.run("logs", "caller", "-n", NAMESPACE, "--tail=1")

    def _history(self) -> None:
        heading("The history of the App")
        # The new row is Live a moment before the previous row is Superseded.
        with contextlib.suppress(LocalError):
            wait_for("the rows to settle", lambda: self._rows() == HISTORY, seconds=WAIT)
        self.kubectl.run("get", "deployments.dynamiq", "-n", NAMESPACE, "--sort-by=.spec.sequence")
        if (rows := self._rows()) != HISTORY:
            raise LocalError(f"the history should be {', '.join(HISTORY)}; it is {', '.join(rows)}")

    def _verdict(self) -> None:
        """Checks how the last deploy changed the runs of the App. It uses an account of its own: a client certificate is no token."""
        heading("Was it right to go back? What the runs of v2 and of v1 after it say")
        self.kubectl.run("create", "serviceaccount", READER, "-n", NAMESPACE)
        self.kubectl.run("create", "rolebinding", READER, "-n", NAMESPACE, "--clusterrole=view", f"--serviceaccount={NAMESPACE}:{READER}")
        token = self.kubectl.ask("create", "token", READER, "-n", NAMESPACE).strip()
        arguments = ("dynamiq", "compare", "support", "-n", NAMESPACE)
        shown = f'kubectl {" ".join(arguments)} --token "$(kubectl create token {READER} -n {NAMESPACE})"'
        output = self.kubectl.run(*arguments, "--token", token, shown=shown)
        if VERDICT not in output:
            raise LocalError(f"the verdict should be {VERDICT.removesuffix(': ')}")

    def _callers(self) -> None:
        """Checks that the preview of v3 names the caller, which does not send what v3 reads. v3 is not deployed."""
        heading("Who would break? v3 reads a field that the caller does not send")
        self.kubectl.run("apply", "-f", "examples/support-v3.yaml")
        token = self.kubectl.ask("create", "token", READER, "-n", NAMESPACE).strip()
        arguments = ("dynamiq", "deploy", "support", "-n", NAMESPACE, "--version", "v3", "--preview")
        shown = f'kubectl {" ".join(arguments)} --token "$(kubectl create token {READER} -n {NAMESPACE})"'
        output = self.kubectl.run(*arguments, "--token", token, shown=shown)
        if BREAKS.search(output) is None:
            raise LocalError("the preview should name the caller, whose runs do not send `customer`")
        self.kubectl.run("delete", "-f", "examples/support-v3.yaml")  # else the next deploy without a version would take it

    def _rows(self) -> list[str]:
        """Returns version and phase of each row, the oldest first."""
        template = "jsonpath={range .items[*]}{.spec.pinned.workflowVersion} {.status.phase}{'\\n'}{end}"
        return self.kubectl.ask("get", "ddep", "-n", NAMESPACE, "--sort-by=.spec.sequence", "-o", template).splitlines()


def main(arguments: list[str] | None = None) -> int:
    """Runs the demo and returns the exit status: 0, or 1 with one message on standard error."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description="Deploys an App, redeploys it and rolls it back.")
    parser.add_argument("--name", default=DEFAULT_NAME, help="the cluster's name (default: %(default)s)")
    parser.add_argument("--profile", choices=("node", "control-plane", "kind"), help="force a profile; see `python -m local --help`")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        heading("A Kubernetes")
        cluster = clusters.start(options.name, options.profile, prepared=prepare.for_demo)
        in_front = gateway.start(cluster) if cluster.profile == "node" else None
        Demo(cluster, Transcript(cluster, REPOSITORY), in_front).run()
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again, or remove the cluster with `make cluster-down`", file=sys.stderr)
        return 130
    _print_next_steps(cluster, in_front, time.monotonic() - started)
    return 0


def _print_next_steps(cluster: Cluster, in_front: Gateway | None, seconds: float) -> None:
    suffix = "" if cluster.name == DEFAULT_NAME else f" --name {cluster.name}"
    heading(f"All as it should be, after {seconds:.0f} s. The cluster goes on running")
    say(f'use it:     eval "$(.venv/bin/python -m local env{suffix})"')
    say("look:       kubectl get dynamiq -n demo        kubectl describe app support -n demo")
    if in_front is not None:
        say(f"call:       curl http://{HOSTNAME}:{in_front.port} -H …        docs/first-app.md has the headers")
    say("deploy:     kubectl create -f examples/records/02-v2.yaml        docs/deploying.md has more")
    say(f"remove it:  {'make cluster-down' if not suffix else f'.venv/bin/python -m local down{suffix}'}")


if __name__ == "__main__":
    sys.exit(main())

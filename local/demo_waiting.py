"""Runs a part of the demo: a run that asks a person, while newer versions are deployed and rolled back. It ends on the version it began with."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from local import gateway
from local.errors import LocalError
from local.gateway import Gateway
from local.progress import say, wait_for
from local.transcript import Transcript, heading

WAIT = 120  # seconds
APP, HOST = "refund", "refund.demo.localhost"
OF_APP, OF_EARLIER = "dynamiq.getdynamiq.ai/app", "dynamiq.getdynamiq.ai/finishing-of"
ANSWERER = "dora"  # a ServiceAccount
GIVEN = {"input": {"customer": "Ann", "amount": 120}, "background": True}
V2, BACK = "examples/records/07-refund-v2.yaml", "examples/records/08-refund-rollback.yaml"
OUTPUT = {"answer": "v1: refunded 120 to Ann"}


@dataclass(frozen=True)
class WaitingDemo:
    """One heading of the demo, in `namespace` of the cluster that `kubectl` talks to."""

    kubectl: Transcript
    gateway: Gateway
    namespace: str

    def run(self) -> None:
        """Raises LocalError where a step does not have the expected result."""
        heading("A run asks a person. Meanwhile v2 is deployed, rolled back, and deployed again")
        self.kubectl.run("apply", "-f", f"examples/{APP}.yaml")
        self._wait("{.status.live.workflowVersion}=v1")
        self._allow()
        run_id = self._begin()
        self._plugin("questions", APP)
        for record, version in ((V2, "v2"), (BACK, "v1"), (V2, "v2")):
            row = self.kubectl.run("create", "-f", record, "-o", "name").strip().rpartition("/")[2]
            self._wait("{.status.live.row}=" + row)
            self._wait("{.status.live.workflowVersion}=" + version)
        heading("v2 is live. The run waits on v1, which has no pod")
        wait_for("the pods of v1 to end", lambda: len(self._pods()) == 1, seconds=WAIT)
        self.kubectl.run("get", f"app/{APP}", "-n", self.namespace, "-o", "wide")
        self.kubectl.run("get", "pods", "-n", self.namespace, "-l", f"{OF_APP}={APP}")
        self.kubectl.run("get", "pods", "-n", self.namespace, "-l", f"{OF_EARLIER}={APP}")
        heading("The answer wakes v1, which finishes the run")
        self._plugin("answer", APP, run_id, "--approve", "--yes")
        wait_for("the run to end", lambda: self._get(run_id)["status"] in ("completed", "failed", "canceled"), seconds=WAIT)
        self.kubectl.run("get", "pods", "-n", self.namespace, "-l", f"{OF_EARLIER}={APP}")
        self._plugin("run", APP, run_id)
        run = self._get(run_id)
        if run["output"] != OUTPUT:
            raise LocalError(f"the run should end with {OUTPUT}; it has {run['output']} ({run['status']}, {run['error']})")
        say(json.dumps(run["output"]))

    def _allow(self) -> None:
        """Lets an account of its own answer: a client certificate is no token, which the journal needs."""
        self.kubectl.run("create", "serviceaccount", ANSWERER, "-n", self.namespace)
        account = f"--serviceaccount={self.namespace}:{ANSWERER}"
        self.kubectl.run("create", "rolebinding", ANSWERER, "-n", self.namespace, "--clusterrole=dynamiq-answerer", account)

    def _begin(self) -> str:
        """Begins a run in the background, and returns its id once it asks."""
        wait_for("the gateway to reach the App", lambda: gateway.status(self.gateway, HOST) in (401, 405), seconds=WAIT)
        body = json.dumps(GIVEN)
        at = f"{self.gateway.address}:{self.gateway.port}"
        say(f"$ curl --connect-to ::{at} http://{HOST}/v1/runs -H \"Authorization: Bearer $KEY\" -d '{body}' …")
        status, text = gateway.call(self.gateway, HOST, body.encode(), timeout=WAIT, path="/v1/runs", key=self._key())
        if status != 202:
            raise LocalError(f"the run should be accepted, and the answer is {status} {text}")
        run_id: str = json.loads(text)["data"]["id"]
        wait_for("the run to ask", lambda: self._get(run_id)["awaiting_input"], seconds=WAIT)
        return run_id

    def _get(self, run_id: str) -> dict[str, object]:
        """Returns the run, as its caller reads it; without an answer one that has not ended."""
        status, text = gateway.get(self.gateway, HOST, f"/v1/runs/{run_id}", key=self._key(), timeout=10)
        unknown = {"status": f"{status} {text}", "awaiting_input": False, "output": None, "error": None}
        return dict(json.loads(text)["data"]) if status == 200 else unknown

    def _key(self) -> str:
        return base64.b64decode(
            self.kubectl.ask("get", "secret", f"{APP}-access-keys", "-n", self.namespace, "-o", "jsonpath={.data.default}")
        ).decode()

    def _plugin(self, *arguments: str) -> None:
        whole = ("dynamiq", *arguments, "-n", self.namespace)
        token = self.kubectl.ask("create", "token", ANSWERER, "-n", self.namespace).strip()
        shown = f'kubectl {" ".join(whole)} --token "$(kubectl create token {ANSWERER} -n {self.namespace})"'
        self.kubectl.run(*whole, "--token", token, shown=shown)

    def _pods(self) -> list[str]:
        """Returns the names of the App's pods, with those of earlier versions."""
        lists = (
            self.kubectl.ask("get", "pods", "-n", self.namespace, "-l", f"{label}={APP}", "-o", "name") for label in (OF_APP, OF_EARLIER)
        )
        return " ".join(lists).split()

    def _wait(self, condition: str) -> None:
        self.kubectl.run("wait", f"--for=jsonpath={condition}", f"app/{APP}", "-n", self.namespace, f"--timeout={WAIT}s")

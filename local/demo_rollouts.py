"""Runs the end of the demo: an App that falls asleep and is woken by a call, and one whose versions are switched.

This machine makes the calls, by hostname through the gateway: their times are those of a caller outside.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field

from local import gateway
from local.errors import LocalError
from local.gateway import Gateway
from local.progress import say, wait_for
from local.transcript import Transcript, heading

WAIT = 120  # seconds
EVERY = 0.01  # seconds between two calls while a switch is watched
QUESTION = json.dumps({"input": {"question": "Where is my invoice?"}}).encode()
SLEEPER, SLEEPERS_HOST = "faq", "faq.demo.localhost"
SWITCHER, SWITCHERS_HOST = "triage", "triage.demo.localhost"
ROLLBACK = "examples/records/06-triage-rollback.yaml"


@dataclass
class Answers:
    """Answers to calls made one after the other: when each call began, and how its answer begins.

    One thread writes them, another reads them.
    """

    responses: list[tuple[float, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def first(self, begins: str, after: float) -> float | None:
        """Returns the seconds from `after` to the start of the first call with such an answer; None if there is none yet."""
        return next((at - after for at, text in self.responses if at >= after and text.startswith(begins)), None)


@dataclass(frozen=True)
class RolloutDemo:
    """The last two headings of the demo, in `namespace` of the cluster that `kubectl` talks to."""

    kubectl: Transcript
    gateway: Gateway
    namespace: str

    def run(self) -> None:
        """Raises LocalError where a step does not have the expected result."""
        heading("Two more Apps: one sleeps while nobody calls, the other one switches versions")
        self.kubectl.run("apply", "-f", f"examples/{SLEEPER}.yaml", "-f", f"examples/{SWITCHER}.yaml")
        self._wait(SWITCHER, "{.status.live.workflowVersion}=v1")
        self._switch()
        self._sleep()

    def _switch(self) -> None:
        heading("Switch: deploy v2, then go back to v1, whose pods stayed warm")
        patch = json.dumps({"spec": {"deploy": {"workflowVersion": "v2", "message": "Questions go to the right team"}}})
        self.kubectl.run("patch", "app", SWITCHER, "-n", self.namespace, "--type=merge", "-p", patch)
        self._wait(SWITCHER, "{.status.live.workflowVersion}=v2")
        answers, stop = Answers(), threading.Event()
        caller = threading.Thread(target=self._call_on, args=(answers, stop), daemon=True)
        caller.start()
        try:
            wait_for("an answer of v2", lambda: answers.first("v2:", 0), seconds=WAIT)
            began = time.time()
            self.kubectl.run("create", "-f", ROLLBACK, "-o", "name")
            typed = time.time()
            seconds = wait_for("an answer of v1", lambda: answers.first("v1:", began), seconds=WAIT)
        finally:
            stop.set()
            caller.join(timeout=10)
        self.kubectl.run("get", "pods", "-n", self.namespace, "-l", f"dynamiq.getdynamiq.ai/app={SWITCHER}")
        say(
            f"{len(answers.responses)} calls, {len(answers.failed)} failed; v1 answered {seconds:.2f} s after kubectl began, which took {typed - began:.2f} s"
        )
        if answers.failed:
            raise LocalError(f"{len(answers.failed)} calls failed, and none should: {answers.failed[0]}")

    def _sleep(self) -> None:
        heading("Serverless: nobody has called for 5 s, so no pod is left; a call wakes the App and is answered")
        self._wait(SLEEPER, '{.status.conditions[?(@.type=="Ready")].reason}=Asleep')
        # The App says so once its workload asks for no pod; on a busy machine Kubernetes counts the last one a moment longer.
        wait_for("a sleeping App without pods", lambda: self._has_no_pod(SLEEPER), seconds=WAIT)
        self.kubectl.run("get", f"app/{SLEEPER}", f"deployment.apps/{SLEEPER}", "-n", self.namespace)
        say(f"$ curl --connect-to ::{self.gateway.address}:{self.gateway.port} http://{SLEEPERS_HOST}/ -d '{QUESTION.decode()}' …")
        began = time.monotonic()
        status, text = gateway.call(self.gateway, SLEEPERS_HOST, QUESTION, timeout=WAIT)
        seconds = time.monotonic() - began
        say(f"{text}\nanswered after {seconds:.1f} s; the next call is answered by the pod itself:")
        if status != 200:
            raise LocalError(f"the call of a sleeping App should be answered, and got {status}")
        began = time.monotonic()
        gateway.call(self.gateway, SLEEPERS_HOST, QUESTION, timeout=WAIT)
        say(f"answered after {time.monotonic() - began:.3f} s")

    def _has_no_pod(self, workload: str) -> bool:
        counts = "jsonpath={.spec.replicas}/{.status.replicas}"
        return self.kubectl.ask("get", f"deployment.apps/{workload}", "-n", self.namespace, "-o", counts) in {"0/", "0/0"}

    def _wait(self, app: str, condition: str) -> None:
        self.kubectl.run("wait", f"--for=jsonpath={condition}", f"app/{app}", "-n", self.namespace, f"--timeout={WAIT}s")

    def _call_on(self, answers: Answers, stop: threading.Event) -> None:
        while not stop.is_set():
            began = time.time()
            status, text = gateway.call(self.gateway, SWITCHERS_HOST, QUESTION, timeout=20)
            if status == 200:
                answers.responses.append((began, json.loads(text).get("answer", "")))
            else:
                answers.failed.append(f"{status} {text}")
            time.sleep(EVERY)

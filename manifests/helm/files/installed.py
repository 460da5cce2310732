"""What `helm test` runs in a pod: whether what was installed answers, and whether a row gets its author. Nothing is left of it.

Its variables name what there is: API, CONSOLE, GATE, RECORDER and JOURNAL are URLs, or empty; STAMPED says whether policies stamp. It needs
nothing but the standard library, and waits for a minute: policies are in force a moment after they are installed.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

WITHIN = float(os.environ.get("WITHIN", "60"))  # seconds
ACCOUNT = Path(os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
GROUP = "dynamiq.getdynamiq.ai"
ROW = {
    "apiVersion": f"{GROUP}/v1alpha1",
    "kind": "Deployment",
    "metadata": {"generateName": "helm-test-"},
    "spec": {"app": "helm-test", "message": "Tried by helm test, and never made"},
}


def answers(url: str) -> str:
    """Empty where the URL answers with 200, else what it says."""
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a URL of the chart's own
        return "" if answer.status == 200 else f"answers {answer.status}"


def tried(author: bool) -> str:
    """Empty where the API server would take a row, by a dry run, with its author where policies stamp that."""
    namespace, token = ((ACCOUNT / name).read_text().strip() for name in ("namespace", "token"))
    server = os.environ.get("SERVER") or f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    url = f"{server}/apis/{GROUP}/v1alpha1/namespaces/{namespace}/deployments?dryRun=All"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(url, json.dumps(ROW).encode(), headers)  # noqa: S310
    trust = ssl.create_default_context(cafile=ACCOUNT / "ca.crt") if server.startswith("https:") else None
    with urllib.request.urlopen(asked, timeout=5, context=trust) as answer:  # noqa: S310
        made = json.load(answer)["spec"].get("createdBy", "")
    wanted = f"system:serviceaccount:{namespace}:{os.environ['ACCOUNT_NAME']}"
    return "" if not author or made == wanted else f"says that {made or 'nobody'} created it, and it was {wanted}"


def checks() -> list[tuple[str, Callable[[], str]]]:
    """What is tried, in words and in deed."""
    urls = [(name, os.environ.get(name.upper(), "")) for name in ("api", "console", "gate", "recorder", "journal")]
    found: list[tuple[str, Callable[[], str]]] = [(f"the {name}, {url}", partial(answers, url)) for name, url in urls if url]
    stamped = os.environ.get("STAMPED") == "true"
    return [*found, ("a row, which the API server is asked to take", partial(tried, stamped))]


def outcome(check: Callable[[], str], until: float) -> str:
    """Empty once the check passes, else why it does not at the end of that time."""
    while True:
        try:
            wrong = check()
        except urllib.error.HTTPError as error:
            wrong = f"answers {error.code}: {error.read(500).decode(errors='replace')}"
        except (OSError, ValueError) as error:
            wrong = str(error)
        if not wrong or time.monotonic() > until:
            return wrong
        time.sleep(1)


def main() -> int:
    """Tries everything, says of each what came of it, and returns the exit code."""
    until, failed = time.monotonic() + WITHIN, 0
    for name, check in checks():
        wrong = outcome(check, until)
        failed += bool(wrong)
        print(f"{'failed' if wrong else 'ok'}: {name}{': ' + wrong if wrong else ''}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

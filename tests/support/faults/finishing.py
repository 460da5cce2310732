"""Plays a background run that outlives a deploy: it goes on apart, waits for a person without a pod, is answered, and ends."""

from __future__ import annotations

from collections.abc import Callable

from dynamiq_operator.desired.pin_labels import SHORT, stored_digest
from dynamiq_operator.model import names
from tests.support import factories as given
from tests.support.api import Api, Manifest
from tests.support.counting_journal import CountingJournal, one_run
from tests.support.faults import deploys
from tests.support.faults.deploys import END_WITHIN, End, Story
from tests.support.stage import condition
from tests.support.waiting import eventually

PHASES = {"a": "Superseded", "b": "Live"}


def finish(journal: CountingJournal, api: Api, namespace: str, *, meanwhile: Callable[[], None] = lambda: None) -> End:
    """Deploys v1 and v2 while a run of v1 is open, and lets it wait, go on and end; returns the end."""
    deploys.deploy(api, namespace, "a", meanwhile=meanwhile)
    app, row = api.get("App", given.NAME, namespace).body, api.get("Deployment", "a", namespace).body
    label = stored_digest(row["spec"]["pinned"])[:SHORT]

    def say(*states: str) -> None:
        asked = journal.asked
        journal.say([one_run(row, app["metadata"]["uid"], state) for state in states])
        _until("the operator knows the counts", lambda: journal.asked > asked, meanwhile)

    say("running")
    deploys.deploy(api, namespace, "b", meanwhile=meanwhile)
    made = _until_pods(api, namespace, label, 1, meanwhile)
    for state, pods in (("waiting", 0), ("queued", 1)):
        say(state)
        assert _until_pods(api, namespace, label, pods, meanwhile) == made, f"the workload was made again when the run was {state}"
    say()
    _until(f"nothing finishes in {namespace}", lambda: _is_over(api, namespace, label), meanwhile)
    return deploys.until_told(api, namespace, meanwhile, PHASES)


def is_of_workload(call_name: str) -> bool:
    """Returns True if a write is about the workload that finishes the run."""
    return call_name.startswith("apply apps deployments/") and call_name.endswith("-fin")


def _until(what: str, check: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
    def checked() -> bool:
        meanwhile()
        return check()

    eventually(what, checked, END_WITHIN)


def _until_pods(api: Api, namespace: str, label: str, pods: int, meanwhile: Callable[[], None]) -> str:
    """Waits until the workload that finishes runs has so many pods, all Ready, and the App says so; returns its uid."""
    name, selector = names.finishing(given.NAME, label), f"{names.FINISHING_OF_LABEL}={given.NAME}"

    def has_pods() -> bool:
        workload = api.get("Deployment", name, namespace, api_version="apps/v1").body
        running = api.get("Pod", "", namespace, api_version="v1", labelSelector=selector).body["items"]
        is_there = workload.get("spec", {}).get("replicas") == pods == len(running) == workload["status"].get("readyReplicas", 0)
        return is_there and _says(api.get("App", given.NAME, namespace).body, "RunsOpen" if pods else "RunsWait")

    _until(f"{pods} pods finish runs in {namespace}", has_pods, meanwhile)
    return str(api.get("Deployment", name, namespace, api_version="apps/v1").body["metadata"]["uid"])


def _says(app: Manifest, reason: str) -> bool:
    shown = condition(app, "Finishing")
    return (shown.get("status"), shown.get("reason")) == ("True", reason) and len(app["status"].get("finishing", ())) == 1


def _is_over(api: Api, namespace: str, label: str) -> bool:
    workload = api.get("Deployment", names.finishing(given.NAME, label), namespace, api_version="apps/v1")
    app = api.get("App", given.NAME, namespace).body
    return workload.status == 404 and not condition(app, "Finishing") and not app["status"].get("finishing")


FINISHING = Story("deploy, redeploy while a run is open that waits, is answered and ends", finish, has_journal=True)

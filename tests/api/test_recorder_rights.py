"""The recorder on a real API server: callers read only runs that they may read, and forged senders are refused."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import requests

from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model.names import GATE_NAMESPACE
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from local.clusters import Cluster
from tests.support import factories, recorders, rest
from tests.support.admission import made
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.cluster import REPOSITORY, install_files
from tests.support.faults import outages
from tests.support.operator import install_rights
from tests.support.otlp_runs import a_run, request, run_id_of, sdk_runs
from tests.support.recorders import Recorder
from tests.support.waiting import eventually

MINE, THEIRS = "mine", "theirs"
SECRET = "the secret of"
SEEN = ("list", "get")
ROLES = {
    "viewer": ("view", {*SEEN}),
    "deployer": ("dynamiq-deployer", {*SEEN, "content", "update"}),
    "editor": ("edit", {*SEEN, "content", "update", "delete"}),
    "writer": ("dynamiq-run-writer", {"create"}),
    "stranger": (None, set()),
}
"""Accounts of `mine`: their ClusterRole there, and the verbs that it gives them on runs."""


@dataclass(frozen=True)
class Question:
    """One request for an App's runs: the verb that it needs, and whether it reads content."""

    method: str
    path: str
    verb: str
    content: bool = False
    body: Any = None
    good: int = 200


QUESTIONS = (
    Question("GET", "/v1/apps/{app}/runs", "list"),
    Question("GET", "/v1/apps/{app}/runs?sort=-cost_usd&page_size=500", "list"),
    Question("GET", "/v1/apps/{app}/runs?error=secret", "content"),
    Question("GET", "/v1/apps/{app}/runs.jsonl", "list"),
    Question("GET", "/v1/apps/{app}/runs.jsonl?include=content", "list", content=True),
    Question("GET", "/v1/apps/{app}/metrics?group_by=status", "get"),
    Question("GET", "/v1/apps/{app}/usage?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&seconds=3600", "get"),
    Question("GET", "/v1/apps/{app}/sessions", "list", content=True),
    Question("GET", "/v1/apps/{app}/messages?session_id=s", "list", content=True),
    Question("GET", "/v1/apps/{app}/traces", "list", content=True),
    Question("GET", "/v1/apps/{app}/traces/{run}", "get", content=True),
    Question("GET", "/v1/apps/{app}/recorder", "get"),
    Question("GET", "/v1/apps/{app}/shapes?field=question", "get"),
    Question("GET", "/v1/apps/{app}/verdicts?deployment_id={row}", "get"),
    Question("GET", "/v1/apps/{app}/deployments/{row}/comparison", "get"),
    Question("GET", "/v1/runs/{run}", "get"),
    Question("GET", "/v1/runs/{run}?include=content", "get", content=True),
    Question("GET", "/v1/runs/{run}/trace?include=content", "get", content=True),
    Question("POST", "/v1/runs/{run}/scores", "update", body={"name": "good", "value": 1}, good=201),
    Question("DELETE", "/v1/apps/{app}/runs?session_id=nobodys", "delete"),
    Question("DELETE", "/v1/runs/{spare}", "delete", good=204),
)


@dataclass
class Place:
    """Two equal namespaces, each with an App, its pod, and runs with secret content."""

    api: Api
    recorder: Recorder
    namespaces: dict[str, str] = field(default_factory=dict)
    apps: dict[str, Manifest] = field(default_factory=dict)
    pods: dict[str, str] = field(default_factory=dict)
    """Tokens of the Apps' pods."""
    runs: dict[str, str] = field(default_factory=dict)
    people: dict[str, str | None] = field(default_factory=dict)

    def uid(self, which: str) -> str:
        return str(self.apps[which]["metadata"]["uid"])

    def spare(self, which: str) -> str:
        """Sends another run to be deleted, and returns its id."""
        run = a_run(seq=random.randrange(10**6, 10**9))  # noqa: S311
        assert self.recorder.send(self.pods[which], request(run, instance=f"spare-{which}")).status_code == 200
        return run_id_of(run)

    def listed(self, which: str) -> set[str]:
        found = self.recorder.call("GET", f"/v1/apps/{self.uid(which)}/runs?page_size=500", self.people["admin"]).json()["data"]
        return {each["id"] for each in found}


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    install_rights(cluster)
    api, folder = Api.of(cluster), tmp_path_factory.mktemp("recorder")
    with fresh_namespace(api, MINE) as mine, fresh_namespace(api, THEIRS) as theirs, recorders.running(cluster, folder) as recorder:
        made = Place(api, recorder, {MINE: mine, THEIRS: theirs})
        for which, namespace in made.namespaces.items():
            made.apps[which] = recorders.an_app(api, namespace, content=True)
            pod = recorders.a_pod(api, namespace, made.apps[which])
            made.pods[which] = recorders.token(api, namespace, "default", audience=RECORDER_AUDIENCE, pod=pod)
            said: dict[str, Any] = {"dynamiq__error": f"{SECRET} {which}", "dynamiq__input": json.dumps(f"{SECRET} {which}")}
            run = a_run(content=True, outcome="failed", session__id="s", **said)
            eventually("the App is known", partial(_is_taken, recorder, made.pods[which], request(run, instance=which)))
            made.runs[which] = run_id_of(run)
        for name, (role, _) in ROLES.items():
            made.people[name] = rest.account(api, mine, name, *([role] if role else []))
        made.people["admin"] = rest.account(api, mine, "administrator")
        rest.bind(api, "", "administrator", "cluster-admin", mine)
        for name, rights in {**{name: known for name, (_, known) in ROLES.items()}, "administrator": {"list"}}.items():
            if "list" in rights:
                user = f"system:serviceaccount:{mine}:{name}"
                eventually(f"{name}'s rights apply", partial(_may, api, user, mine))
        made.people |= {
            "nobody": None,
            "liar": "not-a-token",
            "another audience": recorders.token(api, mine, "viewer", audience="vault"),
            "a pod of theirs": made.pods[THEIRS],
            "a viewer by a token of the recorder's audience": recorders.token(api, mine, "viewer", audience=RECORDER_AUDIENCE),
        }
        yield made


def _is_taken(recorder: Recorder, token: str, body: Any) -> bool:
    return recorder.send(token, body).status_code == 200


def _may(api: Api, user: str, namespace: str) -> bool:
    attributes = {"group": "dynamiq.getdynamiq.ai", "resource": "apps", "subresource": "runs", "verb": "list", "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    return bool(api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review).body["status"]["allowed"])


def rights_of(who: str, which: str) -> set[str]:
    if who == "admin":
        return {*SEEN, "content", "update", "delete"}
    if which == THEIRS:
        return set()
    if who.startswith("a viewer"):
        return set(SEEN)
    return set(ROLES[who][1]) if who in ROLES else set()


def expected(question: Question, rights: set[str]) -> int:
    """Returns the status of the answer to a caller with these rights and a valid token."""
    if question.verb == "content":
        return 200 if "content" in rights else 403 if "list" in rights else 404
    if question.verb in rights:
        return question.good
    return 403 if "list" in rights else 404


def test_no_caller_reads_a_run_without_the_right(place: Place) -> None:
    """Each caller, namespace, verb and content: the answer follows the rights, and leaks nothing that the caller may not read."""
    count, leaks, wrong = 0, [], []
    for who, which, question in itertools.product(place.people, (MINE, THEIRS), QUESTIONS):
        rights = rights_of(who, which)
        spare = place.spare(which) if "{spare}" in question.path else ""
        path = question.path.format(app=place.uid(which), run=place.runs[which], spare=spare, row=uuid.uuid4())
        answer = place.recorder.call(question.method, path, place.people[who], json=question.body)
        status = 401 if who in ("nobody", "liar", "another audience") else expected(question, rights)
        if "{row}" in question.path and status == 200 and "comparison" in question.path:
            status = 404  # nobody has such a row; that the App is seen says the message
            assert "deployment" in answer.text
        count += 1
        if answer.status_code != status:
            wrong.append((who, which, question.method, path, answer.status_code, status))
        shows = "content" in rights and (question.content or question.verb == "list")
        if SECRET in answer.text and not shows and question.verb != "content":
            leaks.append((who, which, path))
        if question.content and "content" in rights:
            assert SECRET in answer.text, (who, path)
        if status in (401, 403, 404) and (place.runs[which] in answer.text.replace(path, "") and question.path.count("{run}") == 0):
            leaks.append((who, which, path))
    print(
        f"{count} combinations of caller, namespace, verb and content: {len(leaks)} leaks, {len(wrong)} other answers than the rights say"
    )
    assert count >= 200
    assert leaks == []
    assert wrong == []


def test_a_forbidden_run_has_the_response_of_a_missing_one(place: Place) -> None:
    for path, theirs in (
        ("/v1/apps/{}/runs", place.uid(THEIRS)),
        ("/v1/runs/{}", place.runs[THEIRS]),
        ("/v1/runs/{}/trace", place.runs[THEIRS]),
    ):
        none = str(uuid.uuid4())
        answer = place.recorder.call("GET", path.format(theirs), place.people["editor"])
        nothing = place.recorder.call("GET", path.format(none), place.people["editor"])
        assert answer.text.replace(theirs, "-") == nothing.text.replace(none, "-")


def test_no_forged_identity_is_accepted(place: Place) -> None:
    """Forged Apps, rows, instances, run ids, keys and pods: none is accepted as what it claims to be."""
    recorder = place.recorder
    before = {which: place.listed(which) for which in (MINE, THEIRS)}
    theirs = place.uid(THEIRS)
    refused = {
        "a pod names another App": recorder.send(place.pods[MINE], request(a_run(), instance="x1"), theirs),
        "an account without rights": recorder.send(place.people["editor"], request(a_run()), theirs),
        "an editor may not write runs": recorder.send(place.people["editor"], request(a_run()), place.uid(MINE)),
        "a writer names another namespace's App": recorder.send(place.people["writer"], request(a_run()), theirs),
        "a writer claims it in the resource": recorder.send(place.people["writer"], request(a_run(), dynamiq__app__id=theirs)),
        "a writer names no App": recorder.send(place.people["writer"], request(a_run())),
        "an Access Key": recorder.send("dk_" + "a" * 40, request(a_run()), place.uid(MINE)),
        "nobody": recorder.send(None, request(a_run()), place.uid(MINE)),
        "a token for something else": recorder.send(place.people["another audience"], request(a_run()), place.uid(MINE)),
        "an instance of another pod": recorder.send(place.pods[MINE], request(a_run(), instance=THEIRS)),
        "an account that calls itself the gate": recorder.send(place.people["stranger"], {"runs": sdk_runs()}, theirs),
        **{f"a pod that {what}": recorder.send(token, request(a_run(), instance=str(uuid.uuid4()))) for what, token in forged_pods(place)},
    }
    assert {what: answer.status_code for what, answer in refused.items() if answer.status_code not in (401, 403)} == {}
    assert {which: place.listed(which) for which in (MINE, THEIRS)} == before
    claims = a_run(dynamiq__run__seq=77)
    body = request(
        claims, instance="x2", dynamiq__app__id=theirs, dynamiq__pins="f" * 16, dynamiq__app="other", dynamiq__deployment="row-1"
    )
    assert recorder.send(place.pods[MINE], body).status_code == 200
    found = recorder.call("GET", f"/v1/runs/{run_id_of(claims)}", place.people["admin"]).json()["data"]
    assert (found["app_id"], found["pins"], found["deployment_id"]) == (place.uid(MINE), recorders.PINS, None)
    takes_over = a_run(place.runs[THEIRS], content=True, dynamiq__input='"overwritten"')
    assert recorder.send(place.pods[MINE], request(takes_over, instance="x3")).status_code == 200
    kept = recorder.call("GET", f"/v1/runs/{place.runs[THEIRS]}?include=content", place.people["admin"]).json()["data"]
    assert (kept["app_id"], kept["input"]) == (theirs, f"{SECRET} {THEIRS}")
    assert place.listed(THEIRS) == before[THEIRS]
    relayed = a_run()
    assert recorder.send(place.people["writer"], request(relayed, dynamiq__pins=recorders.PINS), place.uid(MINE)).status_code == 200
    shown = recorder.call("GET", f"/v1/runs/{run_id_of(relayed)}", place.people["admin"]).json()["data"]
    assert (shown["source"], shown["pins"], shown["instance"]) == ("otlp", None, None)
    print(f"{len(refused)} forgeries: 0 accepted")


def forged_pods(place: Place) -> Iterator[tuple[str, str]]:
    """Yields pods that somebody makes in their own namespace, each with what is wrong with it."""
    api, mine = place.api, place.namespaces[MINE]
    nobody = {"metadata": {"name": "chat", "uid": str(uuid.uuid4())}}
    for what, owner in (("names the uid of another namespace's App", place.apps[THEIRS]), ("names an App that there is not", nobody)):
        yield what, eventually("it has a token before it is collected", partial(_of_owner_elsewhere, place, owner))
    other = recorders.a_pod(api, mine, place.apps[MINE], name="other-label", label="another")
    yield "has the label of another App", recorders.token(api, mine, "default", audience=RECORDER_AUDIENCE, pod=other)
    by_hand = made(api.create(_by_hand(mine, place.apps[MINE])))
    yield "is of no workload", recorders.token(api, mine, "default", audience=RECORDER_AUDIENCE, pod=by_hand)


def _of_owner_elsewhere(place: Place, owner: Manifest) -> str | None:
    """Returns the token of a pod whose workload has an owner outside its namespace; None if the cluster deleted it first."""
    # The cluster deletes such a workload as soon as it sees it.
    api, mine = place.api, place.namespaces[MINE]
    name = f"stray-{uuid.uuid4().hex[:6]}"
    try:
        pod = recorders.a_pod(api, mine, place.apps[MINE], name=name, owner=owner, seconds=3.0)
        return recorders.token(api, mine, "default", audience=RECORDER_AUDIENCE, pod=pod)
    except AssertionError:
        return None


def _by_hand(namespace: str, app: Manifest) -> Manifest:
    """Returns a pod that has an App's label and names the App itself as its owner."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "by-hand",
            "namespace": namespace,
            "labels": {"dynamiq.getdynamiq.ai/app": "chat"},
            "ownerReferences": [
                {"apiVersion": app["apiVersion"], "kind": "App", "name": "chat", "uid": app["metadata"]["uid"], "controller": True}
            ],
        },
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "runtime", "image": "example.test/x:1", "securityContext": security}],
        },
    }


def test_runs_are_of_the_row_that_made_their_pod(place: Place) -> None:
    """Rows as the API server stores them, old ones too: a later row gets its own runs, and a row of another App gets none."""
    raw = factories.row_manifest("chat-1", factories.in_namespace(place.namespaces[MINE]), factories.superseded(1))
    pins = Pins.of(Row.of(factories.stored(raw)).pinned).digest  # type: ignore[arg-type]
    pod = recorders.a_pod(place.api, place.namespaces[MINE], place.apps[MINE], name="of-a-row", pins=pins)
    token = recorders.token(place.api, place.namespaces[MINE], "default", audience=RECORDER_AUDIENCE, pod=pod)
    early = a_run()
    assert place.recorder.send(token, request(early, instance="early")).status_code == 200

    def shown(run: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = place.recorder.call("GET", f"/v1/runs/{run_id_of(run)}", place.people["admin"]).json()["data"]
        return found

    assert shown(early)["deployment_id"] is None
    uids = {}
    for owner, name in ((THEIRS, "forged-1"), (MINE, "chat-1")):
        meta = place.apps[owner]["metadata"]
        reference = {"apiVersion": raw["apiVersion"], "kind": "App", "name": meta["name"], "uid": meta["uid"], "controller": True}
        named = {**raw, "metadata": {**raw["metadata"], "name": name, "ownerReferences": [reference]}}
        uids[owner] = made(place.api.create(named))["metadata"]["uid"]
    eventually("the run moves to its row", lambda: shown(early)["deployment_id"] == uids[MINE])
    late = a_run(seq=2)
    assert place.recorder.send(token, request(late, instance="early")).status_code == 200
    assert (shown(late)["deployment_id"], shown(late)["sequence"]) == (uids[MINE], 1)
    verdicts = place.recorder.call("GET", f"/v1/apps/{place.uid(THEIRS)}/verdicts?deployment_id={uids[THEIRS]}", place.people["admin"])
    assert verdicts.json() == {"data": []}, "a row that names another namespace's App is nobody's"


def test_pods_that_outlive_their_app_send_runs_of_nothing(place: Place) -> None:
    """The recorder reads an App that its watch has not seen from the API server before it refuses its runs: the watch may be late."""
    namespace = place.namespaces[MINE]
    app = recorders.an_app(place.api, namespace, name="leaving")
    pod = recorders.a_pod(place.api, namespace, app, name="leaving")
    token = recorders.token(place.api, namespace, "default", audience=RECORDER_AUDIENCE, pod=pod)
    assert place.recorder.send(token, request(a_run(), instance="leaving")).status_code == 200
    made(place.api.delete(app, propagationPolicy="Orphan"))
    eventually("they are refused", lambda: place.recorder.send(token, request(a_run(), instance="leaving")).status_code == 403)


def test_the_installed_gate_relays_and_no_account_of_its_name_elsewhere_does(place: Place, cluster: Cluster) -> None:
    api = place.api
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATE_NAMESPACE}})
    api.request("DELETE", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/dynamiq-gate")  # another test may have installed it
    for namespace in (GATE_NAMESPACE, place.namespaces[MINE]):
        api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dynamiq-gate", "namespace": namespace}})
    real = recorders.token(api, GATE_NAMESPACE, "dynamiq-gate", audience=RECORDER_AUDIENCE)
    sent = sdk_runs()
    # After an earlier installation its rights apply for a moment after their deletion.
    eventually(
        "whoever may make the namespace is not the gate",
        lambda: place.recorder.send(real, {"runs": sent}, place.uid(THEIRS)).status_code == 403,
    )
    install_files(cluster, GATE_NAMESPACE, REPOSITORY / "manifests" / "gate" / "rbac.yaml")
    eventually("it is installed", lambda: place.recorder.send(real, {"runs": sent}, place.uid(THEIRS)).status_code == 200)
    assert place.recorder.call("GET", f"/v1/runs/{sent[0]['id']}", place.people["admin"]).json()["data"]["source"] == "sdk"
    elsewhere = recorders.token(api, place.namespaces[MINE], "dynamiq-gate", audience=RECORDER_AUDIENCE)
    assert place.recorder.send(elsewhere, {"runs": sdk_runs()}, place.uid(THEIRS)).status_code == 403


def test_acknowledged_runs_outlive_kills(place: Place) -> None:
    """The recorder is killed repeatedly while senders continue: each acknowledged run is stored exactly once."""
    acknowledged: set[str] = set()
    stop = threading.Event()

    def send(number: int) -> None:
        for seq in itertools.count(1):
            if stop.is_set():
                return
            run = a_run(seq=seq)
            while not stop.is_set():
                try:
                    if place.recorder.send(place.pods[MINE], request(run, instance=f"kills-{number}", last_seq=seq)).status_code == 200:
                        acknowledged.add(run_id_of(run))
                        break
                except requests.RequestException:
                    time.sleep(0.05)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    for each in senders:
        each.start()
    for _ in range(3):
        before = len(acknowledged)
        eventually("runs are taken", lambda before=before: len(acknowledged) >= before + 20)  # type: ignore[misc]
        place.recorder.kill()
        place.recorder.start()
    stop.set()
    for each in senders:
        each.join()
    path = f"/v1/apps/{place.uid(MINE)}/runs.jsonl"
    stored = [json.loads(line)["id"] for line in place.recorder.call("GET", path, place.people["admin"]).text.splitlines()]
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored)
    print(f"{len(acknowledged)} runs acknowledged over 3 kills: 0 lost, 0 twice")


def test_while_the_api_server_is_unavailable_known_pods_and_users_are_accepted(place: Place, cluster: Cluster) -> None:
    assert place.recorder.send(place.pods[MINE], request(a_run(), instance="outage")).status_code == 200
    assert place.recorder.call("GET", f"/v1/runs/{place.runs[MINE]}", place.people["admin"]).status_code == 200
    fresh = recorders.token(place.api, place.namespaces[MINE], "editor")
    with outages.down(cluster, "kube-apiserver"):
        for _ in range(3):
            assert place.recorder.send(place.pods[MINE], request(a_run(), instance="outage")).status_code == 200
        for answer in (
            place.recorder.call("GET", f"/v1/runs/{place.runs[MINE]}", fresh),
            place.recorder.call("GET", f"/v1/runs/{place.runs[MINE]}", "not-a-token"),
            place.recorder.send("not-a-token", request(a_run())),
        ):
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) > 0
    eventually("it asks again", lambda: place.recorder.call("GET", f"/v1/runs/{place.runs[MINE]}", fresh).status_code == 200)
    assert place.recorder.send("not-a-token", request(a_run())).status_code == 401

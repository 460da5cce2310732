"""An App, its history, its workflow and what belongs to them, as the API tells them: examples of its document, grown to what is hard to show.

Texts are as long as the API lets them be, and some have no place to break at.
"""

from __future__ import annotations

import copy
from typing import Any

from tests.support.browser.answers import example
from tests.support.browser.stand_in import Query

Json = dict[str, Any]

APP_PATH = "/v1/apps/{app_id}"
ROWS_PATH = f"{APP_PATH}/deployments"
ROW_PATH = f"{ROWS_PATH}/{{deployment_id}}"
WORKFLOW_PATH = "/v1/workflows/{workflow_id}"

READ_APPS = "GET /v1/apps"
READ_APP = f"GET {APP_PATH}"
READ_RIGHTS = f"GET {APP_PATH}/rights"
READ_ROWS = f"GET {ROWS_PATH}"
READ_FILTERS = f"GET {ROWS_PATH}/filters"
READ_ROW = f"GET {ROW_PATH}"
READ_ROW_DIFF = f"GET {ROW_PATH}/diff"
READ_VERIFY = f"GET {APP_PATH}/verify"
READ_WAITING = f"GET {ROW_PATH}/preview"
READ_APPROVALS = f"GET {ROW_PATH}/approvals"
READ_REJECTIONS = f"GET {APP_PATH}/rejections"
READ_PODS = f"GET {ROW_PATH}/pods"
READ_LOGS = f"GET {ROW_PATH}/pods/{{pod}}/logs"
READ_ENVIRONMENTS = f"GET {APP_PATH}/environments"
READ_CONFIGURATION = f"GET {APP_PATH}/configuration"
READ_KEYS = f"GET {APP_PATH}/access-keys"
READ_TRIGGERS = f"GET {APP_PATH}/triggers"
READ_EVENTS = f"GET {APP_PATH}/triggers/{{trigger_id}}/events"
READ_RUNS = f"GET {APP_PATH}/runs"
READ_RUN = "GET /v1/runs/{run_id}"
READ_METRICS = f"GET {APP_PATH}/metrics"
READ_VERDICTS = f"GET {APP_PATH}/verdicts"
READ_RUN_COMPARISON = f"GET {ROW_PATH}/comparison"
READ_WORKFLOWS = "GET /v1/workflows"
READ_WORKFLOW = f"GET {WORKFLOW_PATH}"
READ_VERSIONS = f"GET {WORKFLOW_PATH}/versions"
READ_FLOW_DIFF = f"GET {WORKFLOW_PATH}/versions/{{version_id}}/diff"
READ_RUNTIMES = "GET /v1/runtimes"
READ_PROJECTS = "GET /v1/projects"
READ_PROJECT_RIGHTS = "GET /v1/projects/{project_id}/rights"
PREVIEW = f"POST {APP_PATH}/deploy/preview"
PREVIEW_PROMOTION = f"POST {APP_PATH}/promote/preview"

UNBROKEN = "sha256:" + "0f3a9c41d7" * 6
LONG = (
    "Questions about an invoice go to the team that wrote it, all others to whoever has the next free minute; the greeting names the "
    f"weekday, and what could not be answered is kept under {UNBROKEN} until somebody has looked at it"
)
SOMEBODY = "system:serviceaccount:continuous-delivery-of-the-northern-region:argocd-application-controller"
NEEDS = "create deployments.dynamiq.getdynamiq.ai in demo: the role dynamiq-deployer has it"
ROLE = "dynamiq-deployer"


FLOW_DIFF = "\n".join(
    (
        "--- v1",
        "+++ v2",
        "@@ -1,7 +1,8 @@",
        " id: support",
        " nodes:",
        "   - id: answer",
        '-    prompt: "Answer shortly."',
        f'+    prompt: "Answer shortly, and {LONG}."',
        f"+    model: registry.example/models/{UNBROKEN}",
        "     depends: [in]",
    )
)


def data(call: str) -> Any:
    """What the example of a call tells, to be changed."""
    method, path = call.split(" ")
    return copy.deepcopy(example(method, path)["data"])


APP: str = data(READ_APP)["id"]
ROW: str = data(READ_ROW)["id"]
WAITING: str = data(READ_APP)["waiting"][0]["deployment_id"]
OLDER: str = data(READ_ROW_DIFF)["from"]["id"]
WORKFLOW: str = data(READ_WORKFLOW)["id"]
VERSION: str = data(READ_VERSIONS)[0]["id"]
BEFORE: str = data(READ_FLOW_DIFF)["from"]["id"]
TRIGGER: str = data(READ_TRIGGERS)[0]["id"]
RUN: str = data(READ_RUN)["id"]
PROJECT: str = data(READ_PROJECTS)[0]["id"]


def one(found: Any) -> Json:
    """An answer of one thing."""
    return {"data": found}


def some(found: list[Any]) -> Json:
    """A list that is on one page."""
    return {"data": found, "pagination": {"page": 1, "page_size": 500, "page_count": min(len(found), 1), "total_count": len(found)}}


def uid(number: int) -> str:
    """An id of something that no example names."""
    return f"00000000-0000-4000-8000-{number:012}"


def app(**parts: Any) -> Json:
    """The App, as it is read by itself."""
    found: Json = data(READ_APP)
    conditions = [
        {"type": "ChildrenApplied", "status": "False", "reason": "NameTaken", "message": LONG, "since": found["created_at"]},
        *found["conditions"],
    ]
    return found | {"conditions": conditions} | parts


def app_of_list(number: int, **parts: Any) -> Json:
    """Another App of the same workflow."""
    found: Json = data(READ_APPS)[0]
    return found | {"id": uid(number), "resource_name": f"support-{number}"} | parts


def apps() -> list[Json]:
    """Apps of every status, one of them with the longest texts."""
    first: Json = data(READ_APPS)[0]
    coming = {"deployment_id": ROW, "name": "support-long", "sequence": None, "version": "v3", "status": "Progressing"}
    said = {"reason": "Serving", "message": LONG}
    return [
        first,
        app_of_list(
            1,
            name="Support of the northern region and of everything that lies beyond it, in the languages that are spoken there",
            hostname=f"{'support-of-the-northern-region.' * 4}example.com",
            status={"word": "Progressing", **said},
            under_way=coming,
            updated_by={**first["created_by"], "username": SOMEBODY},
        ),
        app_of_list(2, name="Ledger", status={"word": "Asleep", **said}),
        app_of_list(3, name="Triage", status={"word": "Degraded", **said}),
        app_of_list(4, name="Mail", status={"word": "Failed", **said}, live=None),
        app_of_list(5, name="Pending", status={"word": "Pending", **said}, live=None, under_way={**coming, "status": "Pending"}),
        app_of_list(6, name="New", status={"word": "NotDeployed", "reason": None, "message": None}, live=None, latest_deployment_id=None),
    ]


def rights(*names: str, call: str = READ_RIGHTS) -> Json:
    """What the caller may do: all, but for these."""
    of_all = {name: {"allowed": True, "needs": None} for name in data(call)}
    return of_all | {name: {"allowed": False, "needs": NEEDS} for name in names}


def row(sequence: int = 2, **parts: Any) -> Json:
    """A row of the history."""
    found: Json = data(READ_ROWS)[0]
    known = {LIVE: ROW, LIVE + 2: WAITING}
    return found | {"id": known.get(sequence, uid(sequence)), "sequence": sequence, "name": f"support-{sequence}"} | parts


LIVE = 12
"""The sequence of what is live, of as many rows."""


def rows() -> list[Json]:
    """A history: what is live, below it rows of each status, the last but one with the longest texts."""
    plain: Json = data(READ_ROWS)[0]
    somebody = {**plain["created_by"], "username": SOMEBODY, "email": None}
    described = {**plain["workflow_version"], "description": LONG}
    closed = {"status": "Superseded", "is_live": False}
    held = {"waits": data(READ_APP)["waiting"][0]["waits"] | {"message": LONG, "approvals_needed": 2}, "released": None}
    told: dict[int, Json] = {
        LIVE + 2: {"status": "Pending", "is_live": False, "duration_seconds": None, "message": LONG, **held},
        LIVE + 1: {"status": "Progressing", "is_live": False, "duration_seconds": None, "digest": None},
        LIVE: {"message": "Questions go to the right team"},
        LIVE - 1: {"status": "Failed", "is_live": False, "reason": LONG, "created_by": somebody},
        LIVE - 2: closed | {"message": LONG, "created_by": somebody, "workflow_version": described, "provenance": LONG},
        LIVE - 3: closed | {"restores": f"support-{LIVE - 9}", "restores_sequence": LIVE - 9, "provenance": f"restores #{LIVE - 9}"},
        LIVE - 4: closed
        | {"deployable": could_be(False), "bypass_reason": LONG, "verified": verified(), "holds": {"row": "support-3", "sequence": 3}},
        LIVE - 5: closed | {"deployable": could_be(None), "flow_hash": rejections()[0]["flow_hash"]},
    }
    return [row(each, **told.get(each, closed)) for each in range(LIVE + 2, 0, -1)]


def could_be(ok: bool | None) -> Json:
    """Whether a row could be brought back, with long reasons."""
    return {"ok": ok, "reasons": [LONG], "waits": [LONG], "notes": [LONG], "warm": True}


def verified() -> Json:
    return {"at": "2026-11-24T22:22:45Z", "cases": 4, "calls": 50, "seconds": 2.5, "score": 0.92, "message": LONG}


def rejections() -> list[Json]:
    """One that stands, with the longest reason."""
    first: Json = data(READ_REJECTIONS)[0]
    return [
        first | {"flow_hash": f"sha256:{'4' * 64}", "withdrawn": None, "reason": LONG, "message": f"v2 was rejected by {SOMEBODY}: {LONG}"}
    ]


def approvals() -> list[Json]:
    first: Json = data(READ_APPROVALS)[0]
    return [first, first | {"id": uid(81), "purpose": "Reject", "message": LONG, "is_restored": True, "created_by": None}]


def waiting_preview(**parts: Any) -> Json:
    """What a row that waits would do."""
    found: Json = data(READ_WAITING)
    return found | {"flow_diff": FLOW_DIFF, "warnings": [LONG], "message": LONG} | parts


def page_of_rows(query: Query) -> Json:
    """The page of the history that is asked for."""
    found, page, size = rows(), int(query.get("page", 1)), int(query.get("page_size", 25))
    if "q" in query:
        found = [each for each in found if query["q"] in (each["message"] or "")]
    pages = -(-len(found) // size)
    told = {"page": page, "page_size": size, "page_count": pages, "total_count": len(found)}
    return {"data": found[(page - 1) * size : page * size], "pagination": told}


def whole(sequence: int = LIVE, **parts: Any) -> Json:
    """A row as it is read by itself."""
    known = next(each for each in rows() if each["sequence"] == sequence)
    found: Json = data(READ_ROW)
    return found | known | {"flow": FLOW_DIFF} | parts


def preview(call: str = PREVIEW, **parts: Any) -> Json:
    """What a deploy would do, with all that can be said of it."""
    found: Json = data(call)
    return found | {"flow_diff": FLOW_DIFF, "warnings": [LONG], "under_way": "v3 (#3)", "guards": data(READ_APP)["guards"]} | parts


def pods() -> list[Json]:
    """Of a row: one in trouble, one that serves."""
    first: Json = data(READ_PODS)[0]
    events = [each | {"message": LONG} for each in first["events"]]
    good = {"name": "support-6d5f7b9c4-abcde", "phase": "Running", "ready": True, "reason": None, "message": None, "restarts": 2}
    return [first | {"events": events, "node": f"node-{UNBROKEN}"}, first | good | {"is_serving": True, "events": []}]


def environments() -> list[Json]:
    """The App's own, production, which needs a hostname, and one in which it is live."""
    first: Json = data(READ_ENVIRONMENTS)[0]
    own = {"environment": "staging", "is_own": True, "app_id": APP, "live_version": "v2", "needs_hostname": False}
    canary = {"environment": "canary-of-the-northern-region", "project_id": uid(21), "live_version": "v1", "needs_hostname": False}
    return [first | own, first | {"project_id": uid(20)}, first | canary]


def configuration(**parts: Any) -> Json:
    found: Json = data(READ_CONFIGURATION)
    long = {"name": "A_VARIABLE_WITH_A_NAME_THAT_SAYS_ALL_OF_IT", "value": UNBROKEN, "secret": None, "config_map": None}
    wrong = {"type": "VariablesResolved", "status": "False", "reason": "KeyMissing", "message": LONG, "since": None}
    told = {"variables": [*found["variables"], long], "managed_by": "argocd", "description": LONG, "problems": [wrong]}
    return found | told | parts


def keys() -> list[Json]:
    return [*data(READ_KEYS), {"name": f"a-partner-{UNBROKEN.removeprefix('sha256:')}", "begins": ""}]


def triggers() -> list[Json]:
    """One that runs, a draft with long texts, one that is over."""
    first: Json = data(READ_TRIGGERS)[0]
    once = {"timezone": "UTC", "schedule": None, "run_at": "2026-11-30T08:00:00Z", "expires_at": None}
    return [
        first | {"status": "active"},
        first | {"id": uid(31), "name": f"{LONG[:60]} {UNBROKEN[:60]}"},
        first | {"id": uid(32), "name": "Launch", "status": "expired", "config": once},
    ]


def events() -> list[Json]:
    first: Json = data(READ_EVENTS)[0]
    return [first | {"id": uid(41), "status": "failed", "message": LONG}, first]


def some_runs(found: list[Json]) -> Json:
    """A list of runs that is on one page."""
    told = {"page": 1, "page_size": 100, "page_count": 1, "total_count": len(found), "next_cursor": None, "counted_to": 10_000}
    return {"data": found, "pagination": told}


def runs() -> list[Json]:
    """One that succeeded, one with the longest texts."""
    first: Json = example("GET", f"{APP_PATH}/runs")["data"][0]
    said = {
        "status": "failed",
        "reason": "node_failed",
        "error": LONG,
        "session_id": UNBROKEN,
        "user_id": SOMEBODY,
        "tags": [UNBROKEN[:64]],
    }
    return [first | {"id": RUN}, first | {"id": uid(71)} | said]


def run(**parts: Any) -> Json:
    """A run as it is read by itself, with long texts."""
    found: Json = data(READ_RUN)
    scores = [{"name": "helpful", "value": 0.5, "comment": LONG, "by": SOMEBODY, "at": found["started_at"]}]
    return found | {"error": LONG, "session_id": UNBROKEN, "content": "left_out", "scores": scores} | parts


def workflows() -> list[Json]:
    first: Json = data(READ_WORKFLOWS)[0]
    return [first, first | {"id": uid(51), "name": f"a-workflow-of-{UNBROKEN[7:50]}", "description": LONG, "newest_version": None}]


def versions() -> list[Json]:
    newest: Json = data(READ_VERSIONS)[0]
    (rejection,) = rejections()
    rejected = {"rejected": rejection["message"], "rejection_id": rejection["id"]}
    return [newest, newest | {"id": BEFORE, "version": "v1", "name": LONG, "description": LONG} | rejected]


def runtimes() -> list[Json]:
    newest: Json = data(READ_RUNTIMES)[0]
    return [newest, newest | {"id": uid(61), "version": "1.3.0", "name": "runtime-1.3.0", "label": LONG[:120], "deprecated": True}]


def usual() -> dict[str, Any]:
    """Answers to all that the console asks, as somebody gets them who may do everything."""
    older = whole(LIVE - 2)
    return {
        "GET /v1/orgs": example("GET", "/v1/orgs"),
        READ_PROJECTS: some(data(READ_PROJECTS)),
        READ_PROJECT_RIGHTS: one(rights(call=READ_PROJECT_RIGHTS)),
        READ_APPS: some(apps()),
        READ_APP: one(app()),
        READ_RIGHTS: one(rights()),
        READ_ROWS: page_of_rows,
        READ_FILTERS: example("GET", f"{ROWS_PATH}/filters"),
        READ_ROW: one(whole()),
        f"GET /v1/apps/{APP}/deployments/{older['id']}": one(older),
        f"GET /v1/apps/{APP}/deployments/{WAITING}": one(whole(LIVE + 2)),
        READ_WAITING: one(waiting_preview()),
        READ_APPROVALS: {"data": approvals()},
        READ_REJECTIONS: {"data": rejections()},
        READ_ROW_DIFF: one(data(READ_ROW_DIFF) | {"flow_diff": FLOW_DIFF, "warnings": []}),
        READ_VERIFY: example("GET", f"{APP_PATH}/verify"),
        READ_PODS: {"data": pods()},
        READ_LOGS: one(data(READ_LOGS) | {"lines": [LONG] * 3}),
        READ_ENVIRONMENTS: {"data": environments()},
        READ_CONFIGURATION: one(configuration()),
        READ_KEYS: {"data": keys()},
        READ_TRIGGERS: some(triggers()),
        READ_EVENTS: some(events()),
        READ_RUNS: some_runs(runs()),
        READ_RUN: one(run()),
        READ_METRICS: one(data(READ_METRICS)),
        READ_VERDICTS: one([data(READ_VERDICTS)[0] | {"deployment_id": ROW}]),
        READ_RUN_COMPARISON: one(data(READ_RUN_COMPARISON) | {"sentence": LONG}),
        READ_WORKFLOWS: some(workflows()),
        READ_WORKFLOW: one(data(READ_WORKFLOW)),
        READ_VERSIONS: some(versions()),
        READ_FLOW_DIFF: one(data(READ_FLOW_DIFF) | {"flow_diff": FLOW_DIFF}),
        READ_RUNTIMES: some(runtimes()),
        PREVIEW: one(preview()),
        PREVIEW_PROMOTION: one(preview(PREVIEW_PROMOTION)),
    }

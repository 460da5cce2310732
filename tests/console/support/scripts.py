"""Writes texts that try to run as a script into every field that users may write, and detects one that ran."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import Page

from dynamiq_operator.model.objects import format_time
from tests.support import factories, rest
from tests.support.api import Manifest
from tests.support.browser import names
from tests.support.browser.pages import Window
from tests.support.history_stage import HistoryStage

NAME = "said"
ADMIN = "system:masters"
MARK = "hacked=1"
TEXTS = (
    f"<script>{MARK}</script>",
    f"<img src=x onerror={MARK}>",
    f'"><svg onload={MARK}>',
    f"'\"--><iframe srcdoc='<script>top.{MARK}</script>'>",
    f"javascript:{MARK}//",
    f"{{{{constructor.constructor('{MARK}')()}}}}",
    f"${{{MARK}}}`;{MARK}//",
    f"</title></textarea></script><script>{MARK}</script>",
    f"<base href=//{names.ELSEWHERE}><a href=javascript:{MARK}>x",
    f"\u202e<meta http-equiv=refresh content=0;url=//{names.ELSEWHERE}>{MARK}",
)

CUT = 40  # letters by which a text is known where it is cut
ALL = " ".join(TEXTS)
"""All texts, together shorter than any description field's limit."""

AUTHOR = ALL.encode("ascii", "ignore").decode()
"""The texts as a user's name, as far as a header can hold them."""

ELEMENTS = (
    "iframe, base, object, embed, meta[http-equiv], a[href^='javascript:' i], [onerror], [onload], script:not([src^='/console/assets/'])"
)
FORMS = "img:not([src^='/console/'])"


@dataclass
class Written:
    """The objects with the texts: ids for addresses of screens, and the fields that accepted a text."""

    ids: dict[str, str] = field(default_factory=dict)
    fields: set[str] = field(default_factory=set)


def write(stage: HistoryStage) -> Written:
    """Makes an App, its workflow, versions, Runtimes, rows, pods and Events with every text in each field that accepts it."""
    made = Written()
    _release(stage, made)
    _create(stage, made, _app(stage), *APP_FIELDS)
    changed = stage.api.acting_as(AUTHOR, ADMIN).apply(_protected(stage), manager=TEXTS[0])
    assert changed.ok, changed.message
    rows = []
    for number, text in enumerate(TEXTS):
        spec = factories.with_spec(version=text[:63], label=text, image=factories.IMAGE)
        runtime = _create(stage, made, factories.runtime_manifest(spec, name=f"{stage.namespace}-{NAME}-{number}"), "version", "label")
        row = _create(stage, made, _row(stage, f"v{1 + number % 2}", runtime["metadata"]["name"], text), "message", "createdBy")
        stage.until(row["metadata"]["name"], "Live")
        rows.append(row["metadata"]["uid"])
    _say_of_pods(stage, made)
    uids = {
        kind: rest.uid(stage.api, kind, name, stage.namespace)
        for kind, name in (("App", NAME), ("Workflow", NAME), ("WorkflowVersion", f"{NAME}-v2"))
    }
    made.ids = {"app": uids["App"], "row": rows[-1], "older": rows[-2], "workflow": uids["Workflow"], "version": uids["WorkflowVersion"]}
    return made


def _create(stage: HistoryStage, made: Written, manifest: Manifest, *fields: str) -> Manifest:
    """Creates an object as a user whose name is these texts."""
    answer = stage.api.acting_as(AUTHOR, ADMIN).create(manifest)
    assert answer.ok, answer.message
    made.fields |= {f"{manifest['kind']} {field}" for field in fields}
    return answer.body


def _release(stage: HistoryStage, made: Written) -> None:
    at = factories.in_namespace(stage.namespace)
    _create(
        stage,
        made,
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": stage.namespace}, "stringData": {"key": ALL}},
    )
    spec = factories.with_spec(description=ALL, flow=flow(ALL))
    _create(stage, made, factories.workflow_manifest(at, spec, name=NAME), "description", "flow", "author")
    for version in ("v1", "v2"):
        spec = factories.with_spec(description=ALL, flow=flow(f"{version} {ALL}"))
        _create(stage, made, factories.version_manifest(version, at, spec, workflow=NAME), "description", "flow", "author")


APP_FIELDS = (
    "description",
    "variable",
    "trigger name",
    "trigger input",
    "trigger path",
    "selector's field",
    "selector",
    "author",
    "field manager",
)


def _app(stage: HistoryStage) -> Manifest:
    triggers = [
        {
            "name": f"said-{number}",
            "displayName": text,
            "schedule": "0 0 1 1 *",
            "suspend": True,
            "input": ALL,
            "inputTransformer": {"path": ALL, "selector": {ALL: ALL}},
        }
        for number, text in enumerate(TEXTS)
    ]
    variables = [{"name": "SAID", "value": ALL}, {"name": "KEY", "secret": {"name": NAME, "key": "key"}}]
    given = factories.with_spec(workflow=NAME, description=ALL, access={"type": "public"}, variables=variables, triggers=triggers)
    return factories.app_manifest(factories.in_namespace(stage.namespace), given, name=NAME)


def _protected(stage: HistoryStage) -> Manifest:
    """Returns a part of the App, to be applied by a further manager of it."""
    return {**stage.named("App", NAME), "spec": {"history": {"protect": False}}}


def _row(stage: HistoryStage, version: str, runtime: str, text: str) -> Manifest:
    asked = {"app": NAME, "workflowVersion": version, "runtime": runtime, "config": {"type": "server"}, "message": text}
    made = factories.row_manifest("", factories.in_namespace(stage.namespace), factories.with_spec(**asked))
    made["metadata"] = {"generateName": f"{NAME}-", "namespace": stage.namespace}
    return made


def _say_of_pods(stage: HistoryStage, made: Written) -> None:
    """Writes the texts into the status of the App's pods, as kubelets copy them from programs and registries, and into Events."""
    (pod,) = stage.until_settled(NAME)
    texts = {"reason": ALL, "message": ALL}
    states = {"state": {"waiting": texts}, "lastState": {"terminated": {"exitCode": 1, **texts}}, "ready": False}
    containers = [{**container, **states} for container in pod["status"]["containerStatuses"]]
    conditions = [{**condition, **texts, "status": "False"} for condition in pod["status"]["conditions"]]
    status = {**texts, "containerStatuses": containers, "conditions": conditions}
    answer = stage.api.merge(stage.named("Pod", pod["metadata"]["name"]), {"status": status}, subresource="/status")
    assert answer.ok, answer.message
    made.fields |= {f"Pod {field}" for field in ("reason", "message")}
    made.fields |= {f"Pod {state} {field}" for state in ("waiting", "terminated", "condition") for field in ("reason", "message")}
    for text in TEXTS:
        _create(stage, made, _event(pod, text), "reason", "message", "component")


def _event(pod: Manifest, text: str) -> Manifest:
    meta, now = pod["metadata"], format_time(factories.NOW)
    about = {"apiVersion": "v1", "kind": "Pod", **{key: meta[key] for key in ("name", "namespace", "uid")}}
    event = {"reason": text[:128], "message": text, "type": "Warning", "source": {"component": text}}
    seen = {"firstTimestamp": now, "lastTimestamp": now, "count": 1}
    named = {"apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "said-", "namespace": meta["namespace"]}}
    return {**named, "involvedObject": about, **event, **seen}


def flow(text: str) -> str:
    """Returns a flow with the text in a comment and in a value."""
    return f"# {text}\n{factories.flow('v1')}  title: {text!r}\n"


def nothing_ran(window: Window) -> None:
    """Asserts that every text stayed a text, and that the page called no other site."""
    page = window.page
    assert page.evaluate("window.hacked") is None
    assert page.locator(ELEMENTS).evaluate_all("(found) => found.map((each) => each.outerHTML)") == []
    assert page.locator(FORMS).evaluate_all("(found) => found.map((each) => each.outerHTML)") == []
    assert [request.url for request in window.seen.requests if not request.url.startswith((window.origin, "data:"))] == []
    assert page.url.startswith(f"{window.origin}/console/")


def says(page: Page) -> set[str]:
    """Returns the texts that the page shows, with its spaces and directions normalised."""
    fields = page.locator("input, textarea, option").evaluate_all("(all) => all.map((each) => each.value)")
    shown = _plain("\n".join([page.locator("body").inner_text(), *fields]))
    return {text for text in TEXTS if _plain(text)[:CUT] in shown}


def _plain(text: str) -> str:
    return "".join(text.split()).replace("\u202e", "").replace("⟨U+202E⟩", "")

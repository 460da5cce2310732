"""Our CustomResourceDefinitions under the policies: nobody deletes or weakens one by mistake, and a release may still change them."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamiq_operator.model import crd, names
from dynamiq_operator.model.base import RULES, VERSION
from dynamiq_operator.model.kinds import KINDS, ROW
from dynamiq_operator.model.objects import format_time
from local.clusters import Cluster
from tests.support.admission import ADMIN, COLLECTOR, MANIFESTS, NAMESPACE_CONTROLLER, NOBODY, OPERATOR, POLICIES, admin, made, refused
from tests.support.api import Answer, Api, Manifest
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

DELETABLE, WEAKER, UNTIL = (f"dynamiq.getdynamiq.ai/allow-{what}" for what in ("delete", "weakening", "weakening-until"))
FROZEN = ("Deployment", "WorkflowVersion", "Runtime", "Approval", "Rejection", "AppChange")
COLLECTION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WALKED = 9
"""Levels of a schema below its root that the policy checks."""
ITEMS = "[]"
"""The step of a path into the items of a list."""

Change = Callable[[Manifest], Any]


def definition(name: str) -> Manifest:
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}}


def stored(api: Api, kind: str = "Deployment") -> Manifest:
    (name,) = (known.crd_name for known in KINDS if known.kind == kind)
    return made(api.read(definition(name)))


def spec_of(found: Manifest) -> Manifest:
    schema: Manifest = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def tried(api: Api, change: Change, kind: str = "Deployment", annotations: Manifest | None = None) -> Answer:
    """Returns the answer to an update of a definition. It is a dry run, because other tests need the definition unchanged."""
    found = stored(api, kind)
    change(found)
    found["metadata"].setdefault("annotations", {}).update(annotations or {})
    return api.replace(found, dry_run=True)


# Deleted.


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS])
def test_a_definition_is_not_deleted_unawares(api: Api, kind: str) -> None:
    found = stored(api, kind)
    for user in (ADMIN, OPERATOR, COLLECTOR, NAMESPACE_CONTROLLER):
        refused(admin(api, user).delete(found), f"deletes every {kind} of the cluster", DELETABLE)
    assert stored(api, kind)["metadata"]["uid"] == found["metadata"]["uid"]


def test_nor_among_others(api: Api) -> None:
    refused(api.request("DELETE", COLLECTION), DELETABLE)
    assert all("deletionTimestamp" not in stored(api, kind.kind)["metadata"] for kind in KINDS)


def test_nor_by_an_owner_that_does_not_exist(api: Api) -> None:
    owner = {"apiVersion": "v1", "kind": "Namespace", "name": "gone", "uid": NOBODY}
    found = made(api.merge(stored(api, "Workflow"), {"metadata": {"ownerReferences": [owner]}}))
    try:
        refused(admin(api, COLLECTOR).delete(found), DELETABLE)
    finally:
        made(api.merge(found, {"metadata": {"ownerReferences": None}}))


def test_a_definition_is_deleted_by_a_caller_who_confirms_it(api: Api) -> None:
    found = made(api.merge(stored(api, "Workflow"), {"metadata": {"annotations": {DELETABLE: "true"}}}))
    try:
        assert api.request("DELETE", f"{COLLECTION}/{found['metadata']['name']}", query={"dryRun": "All"}).ok
    finally:
        made(api.merge(found, {"metadata": {"annotations": {DELETABLE: None}}}))


def test_other_definitions_are_their_owners(api: Api) -> None:
    other = copy.deepcopy(crd.crd(ROW))
    other["spec"]["group"], other["metadata"]["name"] = "other.test", "deployments.other.test"
    made(api.create(other))
    found = made(api.merge(other, {"spec": {"names": {"shortNames": ["other"]}}}))
    made(api.json_patch(found, {"op": "remove", "path": f"/spec/versions/0/schema/openAPIV3Schema/properties/spec/{RULES}"}))
    assert api.delete(other).ok


# Weakened.


def nodes(schema: Manifest, *path: str) -> Iterator[tuple[str, ...]]:
    """Yields the path of each object or field of a schema."""
    yield path
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, *path, name)
    if "items" in schema:
        yield from nodes(schema["items"], *path, ITEMS)


def at(schema: Manifest, path: tuple[str, ...]) -> Manifest:
    for name in path:
        schema = schema["items"] if name == ITEMS else schema["properties"][name]
    return schema


def drop_rules(found: Manifest) -> int:
    """Removes every rule from a definition's schema, and returns their number."""
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return sum(len(at(schema, path).pop(RULES, ())) for path in nodes(schema))


@pytest.mark.parametrize("kind", FROZEN)
def test_no_rule_of_what_is_frozen_can_be_dropped(api: Api, kind: str) -> None:
    """All rules are dropped at once: the refusal counts each of them."""
    (known,) = (known for known in KINDS if known.kind == kind)
    rules = drop_rules(copy.deepcopy(crd.crd(known)))
    assert rules
    things = f"{rules} thing{'s' if rules > 1 else ''}"
    refused(tried(api, drop_rules, kind), f"would keep less than it did, in {things}, the first being", WEAKER, UNTIL)


def test_the_schemas_are_no_deeper_than_the_policy_looks() -> None:
    for kind in KINDS:
        if kind.kind in FROZEN:
            spec = crd.crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            assert max(map(len, nodes(spec, "spec"))) < WALKED
            assert not [path for path in nodes(spec) if "additionalProperties" in at(spec, path)]


def another_version(found: Manifest) -> None:
    """Adds a version with another schema, served beside the stored one."""
    free = copy.deepcopy(found["spec"]["versions"][0]) | {"name": "v1", "storage": False}
    free["schema"]["openAPIV3Schema"]["properties"]["spec"][RULES].pop()
    del free["selectableFields"]  # the API server takes the same ones in two versions only beside the same schema
    found["spec"]["versions"].append(free)


def unserved(found: Manifest) -> None:
    found["spec"]["versions"].append(copy.deepcopy(found["spec"]["versions"][0]) | {"name": "v1", "storage": False})
    found["spec"]["versions"][0]["served"] = False


def without_status(found: Manifest) -> None:
    del found["spec"]["versions"][0]["subresources"]


WEAKENINGS: dict[str, Change] = {
    "a rule that says something else": lambda found: spec_of(found)[RULES][0].update(rule="true"),
    "a field gone": lambda found: spec_of(found)["properties"]["pinned"]["properties"].pop("previousDigest"),
    "a deep field gone": lambda found: spec_of(found)["properties"]["pinned"]["properties"]["runtime"]["properties"]["probes"]["properties"].pop("startup"),
    "a field of a list's items gone": lambda found: spec_of(found)["properties"]["pinned"]["properties"]["guards"]["items"]["properties"].pop("approvals"),
    "a rule below a list": lambda found: at(spec_of(found), ("pinned", "verify", "cases", ITEMS, "expect")).pop(RULES),
    "another type": lambda found: spec_of(found)["properties"]["message"].update(type="integer", maxLength=None),
    "nulls": lambda found: spec_of(found)["properties"]["message"].update(nullable=True),
    "unknown fields": lambda found: spec_of(found).update({"x-kubernetes-preserve-unknown-fields": True}),
    "a default of a field": lambda found: spec_of(found)["properties"]["message"].update(default="x"),
    "a new field with a default": lambda found: spec_of(found)["properties"].update(more={"type": "string", "default": "x"}),
    "a deep default": lambda found: spec_of(found)["properties"]["pinned"]["properties"]["runtime"]["properties"]["port"].update(default=1),
    "a version with fewer rules": another_version,
    "the version not served": unserved,
    "no status apart": without_status,
    "a conversion webhook": lambda found: found["spec"].update(
        conversion={"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://conversion.test"}}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WEAKENINGS)
def test_a_weaker_schema_is_refused_until_all_that_goes_is_named(api: Api, what: str) -> None:
    assert named_fields(api, WEAKENINGS[what]), "no policy refuses it"


def test_a_weaker_schema_is_refused_to_who_names_nothing(api: Api) -> None:
    annotations: list[Manifest] = [{}, {WEAKER: "true"}, {WEAKER: "true", UNTIL: after(hours=1)}]
    for each in annotations:
        refused(tried(api, WEAKENINGS["a rule that says something else"], annotations=each), WEAKER)


# Named fields, until a time.


def after(**time: float) -> str:
    return format_time(datetime.now(UTC) + timedelta(**time))


@functools.cache
def named_fields(api: Api, change: Change, kind: str = "Deployment") -> tuple[str, ...]:
    """Returns the weaker fields that a user has to name, one refusal after another, until no policy objects."""
    named: list[str] = []
    while True:
        answer = tried(api, change, kind, {WEAKER: "\n".join(named), UNTIL: after(hours=1)})
        if "ValidatingAdmissionPolicy" not in answer.message:
            return tuple(named)
        (found,) = re.findall(r'the first being "(.*)": keep it', answer.message)
        assert found not in named
        named.append(found)


def configs(found: Manifest) -> tuple[Manifest, Manifest]:
    """Returns the schemas of a row's config and of its pinned config."""
    return spec_of(found)["properties"]["config"], spec_of(found)["properties"]["pinned"]["properties"]["config"]


def autoscaling_when_serverless(found: Manifest) -> None:
    """Changes the definition as a release that allows autoscaling in a serverless config."""
    for config in configs(found):
        config[RULES] = [each for each in config[RULES] if "!has(self.autoscaling)" not in each["rule"]]


def and_one_more(found: Manifest) -> None:
    autoscaling_when_serverless(found)
    spec_of(found)[RULES].pop()


def test_a_release_that_allows_more_names_the_rules_that_go(api: Api) -> None:
    named = named_fields(api, autoscaling_when_serverless)
    assert [each.partition(": ")[0] for each in named] == ["spec.config", "spec.pinned.config"]
    assert all("self.type != 'serverless'" in each for each in named)
    assert made(tried(api, autoscaling_when_serverless, annotations={WEAKER: "\n".join(named), UNTIL: after(hours=23)}))
    refused(tried(api, autoscaling_when_serverless, annotations={WEAKER: named[0], UNTIL: after(hours=1)}), named[1])
    refused(tried(api, and_one_more, annotations={WEAKER: "\n".join(named), UNTIL: after(hours=1)}), "in 1 thing")


@pytest.mark.parametrize(
    "until",
    [None, "", "true", "for ever", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00Z", {"minutes": -1}, {"hours": 25}, "2026-13-45T99:99:99Z"],
)
def test_only_until_a_time_that_is_near(api: Api, until: Any) -> None:
    named = "\n".join(named_fields(api, autoscaling_when_serverless))
    value = after(**until) if isinstance(until, dict) else until
    answer = tried(api, autoscaling_when_serverless, annotations={WEAKER: named, **({UNTIL: value} if value is not None else {})})
    assert answer.status in (403, 422)
    assert "ValidatingAdmissionPolicy" in answer.message


FORMER_RULE = {
    "rule": "!has(self.type) || self.type != 'serverless' || (!has(self.autoscaling) && !has(self.resources))",
    "message": "a serverless config has no other field: remove autoscaling and resources, or use type server",
}


@pytest.fixture
def former(api: Api) -> Iterator[Manifest]:
    """Serves the former definition of rows, without fields of serverless configs. It has another name, because its kind is served already."""
    found = copy.deepcopy(crd.crd(ROW))
    found["spec"]["names"].update(plural="formers", singular="former", shortNames=["former"], listKind="FormerList")
    found["metadata"]["name"] = f"formers.{found['spec']['group']}"
    for config in configs(found):
        config[RULES] = [FORMER_RULE]
        for name in ("idleSeconds", "maxReplicas", "holdSeconds"):
            del config["properties"][name]
    spec_of(found)["properties"]["pinned"]["properties"]["source"]["enum"].remove("Revert")
    yield made(api.create(found))
    made(api.merge(found, {"metadata": {"annotations": {DELETABLE: "true"}}}))
    assert api.delete(found).ok


def test_the_upgrade_to_serverless_apps_takes_the_step_that_the_documentation_has_and_no_more(api: Api, former: Manifest) -> None:
    text = (REPOSITORY / "docs" / "upgrading-details.md").read_text()
    (named,) = re.findall(rf'{WEAKER}="([^"$]*)"', text)
    versions = crd.crd(ROW)["spec"]["versions"]
    refused(api.merge(former, {"spec": {"versions": versions}}), "would keep less than it did, in 2 things", named.splitlines()[0])
    made(api.merge(former, {"metadata": {"annotations": {WEAKER: named, UNTIL: after(hours=1)}}}))
    weaker = copy.deepcopy(versions)
    weaker[0]["schema"]["openAPIV3Schema"]["properties"]["spec"][RULES].pop()
    refused(api.merge(former, {"spec": {"versions": weaker}}), "in 1 thing")
    upgraded = made(api.merge(former, {"spec": {"versions": versions}}))
    assert {"idleSeconds", "maxReplicas", "holdSeconds", "resources"} <= configs(upgraded)[1]["properties"].keys()


PAST = "2020-01-01T00:00:00Z"


def entry(manager: str, time: str) -> Manifest:
    fields: Manifest = {"f:spec": {"f:versions": {}}}
    return {
        "manager": manager, "operation": "Update", "apiVersion": "apiextensions.k8s.io/v1", "time": time,
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    }  # fmt: skip


FORGED: list[list[Manifest] | None] = [None, [], [{}], [entry("tests", PAST)], [entry("python-requests", PAST), entry("other", PAST)]]


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("way", ["replace", "merge", "json", "apply"])
def test_an_expired_annotation_stays_expired(api: Api, forged: list[Manifest] | None, way: str) -> None:
    """An expired annotation stays expired, whatever times a request sends, and in every way of sending it."""
    named = "\n".join(named_fields(api, autoscaling_when_serverless))
    found = stored(api)
    autoscaling_when_serverless(found)
    versions = found["spec"]["versions"]
    metadata: Manifest = {"annotations": {**found["metadata"].get("annotations", {}), WEAKER: named, UNTIL: "2020-01-01T01:00:00Z"}}
    metadata |= {"managedFields": forged} if forged is not None else {}
    if way == "replace":
        answer = api.replace({**found, "metadata": {**found["metadata"], **metadata}}, dry_run=True)
    elif way == "merge":
        answer = api.merge(found, {"metadata": metadata, "spec": {"versions": versions}}, dry_run=True)
    elif way == "json":
        operations = [{"op": "add", "path": f"/metadata/{key}", "value": value} for key, value in metadata.items()]
        answer = api.json_patch(found, *operations, {"op": "replace", "path": "/spec/versions", "value": versions}, dry_run=True)
    else:
        sent = {**definition(found["metadata"]["name"]), "spec": found["spec"]}
        sent["metadata"] |= metadata
        answer = api.apply(sent, dry_run=True)
        if forged is not None:  # the API server takes none at all in an apply
            assert answer.status == 400
            return
    refused(answer, WEAKER)


GROWTH: dict[str, Change] = {
    "nothing": lambda found: found,
    "a label": lambda found: found["metadata"]["labels"].update(a="b"),
    "a new field": lambda found: spec_of(found)["properties"].update(more={"type": "string"}),
    "another rule": lambda found: spec_of(found)[RULES].append({"rule": "self.app != 'x'", "message": "x is taken"}),
    "another description": lambda found: spec_of(found).update(description="Another one."),
    "another column": lambda found: found["spec"]["versions"][0]["additionalPrinterColumns"].pop(),
    "a version with the same schema": lambda found: found["spec"]["versions"].append(
        copy.deepcopy(found["spec"]["versions"][0]) | {"name": "v1", "storage": False}
    ),
}


@pytest.mark.parametrize("what", GROWTH)
def test_a_schema_may_grow(api: Api, what: str) -> None:
    assert made(tried(api, GROWTH[what]))


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS])
def test_a_release_is_applied_again_and_statuses_are_written(api: Api, kind: str) -> None:
    (known,) = (known for known in KINDS if known.kind == kind)
    assert made(api.apply(crd.crd(known), manager="kubectl"))
    conditions = stored(api, kind)["status"]["conditions"]
    made(api.merge(stored(api, kind), {"status": {"conditions": conditions}}, subresource="/status"))


# The policies themselves.


def test_the_policies_type_check(cluster: Cluster, kubectl: Kubectl, api: Api) -> None:
    """The API server checks types only if a policy names its versions. These unbound copies do."""
    names = []
    for policy in kubectl.kustomized(POLICIES):
        if policy["kind"] != "ValidatingAdmissionPolicy":
            continue
        policy["metadata"] = {"name": f"{policy['metadata']['name']}-typed"}
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]:
            rule["apiVersions"] = [VERSION if rule["apiGroups"] == [ROW.crd_name.partition(".")[2]] else "v1"]
        kubectl("apply", "--server-side", "-f", "-", input=policy)
        names.append(policy["metadata"]["name"])

    def checked(name: str) -> Manifest | None:
        status: Manifest = made(api.request("GET", f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{name}")).get(
            "status", {}
        )
        return status if "typeChecking" in status else None

    try:
        warnings = {name: eventually(f"{name} is checked", lambda name=name: checked(name))["typeChecking"] for name in names}  # type: ignore[misc]
    finally:
        kubectl("delete", "validatingadmissionpolicy", *names)
    assert warnings == {name: {} for name in names}
    print(f"{len(names)} policies: no warning")


def test_before_1_36_only_the_stamps_are_missing(kubectl: Kubectl) -> None:
    whole, before = (kubectl.kustomized(folder) for folder in (MANIFESTS, MANIFESTS / "overlays" / "before-1.36"))
    assert [made for made in whole if not made["kind"].startswith("Mutating")] == before
    assert len(whole) - len(before) == 2 * len(names.MUTATING_POLICIES)

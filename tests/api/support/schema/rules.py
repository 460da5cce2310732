"""Lists for each rule one object that is accepted and one that is refused, with the sentence that a user reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import SERVERLESS_FIELDS
from tests.support.factories import (
    Modifier,
    app_change_manifest,
    app_manifest,
    approval_manifest,
    asking,
    exposed,
    policy_manifest,
    rejection_manifest,
    row_manifest,
    runtime_manifest,
    version_manifest,
    with_deploy,
    with_hostname,
    with_meta,
    with_spec,
    with_triggers,
    with_variables,
    workflow_manifest,
)

BASES: dict[str, Callable[..., Manifest]] = {
    "App": app_manifest,
    "Deployment": lambda *modifiers: row_manifest("row", asking(message="first"), *modifiers),
    "Workflow": workflow_manifest,
    "WorkflowVersion": lambda *modifiers: version_manifest("v1", *modifiers),
    "Runtime": runtime_manifest,
    "DeployPolicy": policy_manifest,
    "Approval": approval_manifest,
    "Rejection": rejection_manifest,
    "AppChange": app_change_manifest,
}
DNS_LABEL = "use lower-case letters, digits and '-', beginning with a letter and not ending with '-'"
OBJECT_NAME = "no object has such a name: use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
VERSION_NAME = "a version is v and a number from 1, such as v3"
AMOUNT = "an amount is a number, maybe with a unit: such as 100m or 2 of cpu, 256Mi or 1Gi of memory"
CLUSTER = "a cluster is named by letters, digits and . _ : / -, beginning and ending with a letter or digit"
HASH = "a hash is sha256: and 64 digits of 0-9 and a-f"
HOSTNAME = "hostname is not a DNS name: use lower-case letters, digits and '-' between dots, such as chat.example.com"
ONE_SOURCE = "a variable has exactly one of value, secret and configMap"
OWN_NAMES = "names that begin with DYNAMIQ_, and PORT, are the runtime's own: choose another name"
ONE_TIME = "a trigger has exactly one of schedule and runAt"
FOR_INGRESS = "className, tls and annotations are for type Ingress: remove them, or use type Ingress"
NO_AUTOSCALING = "autoscaling is for type server: use maxReplicas, or use type server"
KEEP_WARM = "replicas is live, for as many as the live version has, or a number from 0 to 1000"
NO_PATTERN = "this is not a regular expression of RE2"
POSIX = "write \\d for [[:digit:]]: the pods read POSIX classes differently"
MIN_MAX = "minReplicas is at most maxReplicas: raise maxReplicas or lower minReplicas"
MIN_ONE = "minReplicas is at least 1: to scale to zero, use type serverless"

LABEL_KEY = (
    "the key of a label has at most 63 letters, digits, '-', '_' and '.'; a DNS name and '/' may precede it, such as app or example.com/app"
)
NAME_63, PREFIX = "a" * 63, ".".join(["b" * 63] * 3 + ["b" * 61])
ONE_KIND_OF_PEER = "a peer has either ipBlock, or podSelector, namespaceSelector or both"
NO_RANGE = "this is not a range of addresses: use one such as 203.0.113.0/24 or 2001:db8::/32"
VALUES = "In and NotIn take values, Exists and DoesNotExist take none"
FOR_SWITCH = "verify is for strategy Switch, where new pods are ready before a caller reaches them: add it, or remove verify"
EXPECTATION = "expect at least one of status, contains and jsonPath"
ONE_PLACE = "a path names one place of the answer: $, then .name, ['any name'], [0], [*] or .*"
CASES_TOGETHER = "inputs and expected texts are together longer than 64 KiB: use a job for large ones"
CASES_OR_JOB = "give cases, a job, or both"
SELECTED_BY = "a policy selects namespaces by kubernetes.io/metadata.name or by labels under dynamiq.getdynamiq.ai/, which only who may update DeployPolicies can change"
IN_OR_EXISTS = "give at least one value with In and NotIn, and none with Exists and DoesNotExist"
ONCE_OR_AGAIN = "a freeze has either from and to, or cron and duration, and timeZone if it is not UTC"
ACCOUNTS = "name a service account as system:serviceaccount:<namespace>:<name>"
GROUPS = "use system:serviceaccounts:<namespace>, or users: a row names its author, not the author's groups"
LAST_PORT = "endPort is the last of the ports that begin with port: give port, and an endPort that is not below it"

NO_ORIGIN = (
    "this is no origin: use http:// or https://, a host in lower case and maybe a port, such as https://app.example.com,"
    " with nothing after it, not even a /"
)
DEFAULT_PORT = "browsers leave out port 443 of https and port 80 of http: leave it out, too"
ORIGINS = [f"https://{number}.{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * (58 - len(str(number)))}:65535" for number in range(32)]
"""The most origins of the greatest length."""

UID = "0d2c1f3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5"
LONGEST_HOSTNAME = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
SECRET = {"name": "keys", "key": "API_KEY"}
PARENT = {"name": "public", "namespace": "gateways", "sectionName": "http"}
JOB = {"image": "evals.test/score:v1"}
EASTER = {"name": "easter", "from": "2027-03-26T00:00:00Z", "to": "2027-03-30T00:00:00Z"}
EVENINGS = {"name": "evenings", "cron": "0 17 * * 5", "duration": "62h"}
OURS = "dynamiq.getdynamiq.ai/environment"
NIGHTLY = {"name": "nightly", "schedule": "0 3 * * *"}
PROMOTED = {"namespace": "staging", "app": "chat", "row": "chat-1", "hash": "sha256:" + "a" * 64}


@dataclass(frozen=True)
class Rule:
    """A rule of a kind: `good` is accepted; `bad` is refused with `says` at `field`."""

    kind: str
    about: str
    good: Modifier
    bad: Modifier
    field: str
    says: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.about}"

    @property
    def of_the_name(self) -> bool:
        """Returns True if the rule is about `metadata.name`, which no update can change."""
        return self.field == "metadata.name"


def _named(name: str) -> Modifier:
    return with_meta(name=name)


def _variable(**fields: object) -> Modifier:
    return with_variables({"name": "MODEL", **fields})


def _access(*origins: str, type: str = "private") -> Modifier:  # noqa: A002 - the field's name
    return with_spec(access={"type": type, "origins": list(origins)})


def _long(count: int) -> list[dict[str, str]]:
    """Returns variables with values of the greatest length."""
    return [{"name": f"LONG_{number}", "value": "x" * 32768} for number in range(count)]


def _trigger(**fields: object) -> Modifier:
    return with_triggers({"name": "nightly", **fields})


def _network(**fields: object) -> Modifier:
    return with_spec(network=fields)


def _from(**peer: object) -> Modifier:
    return _network(ingressFrom=[peer])


def _with_label(**requirement: object) -> Modifier:
    return _from(podSelector={"matchExpressions": [{"key": "team", **requirement}]})


def _ports(**port: object) -> Modifier:
    return _network(egress=[{"ports": [port]}])


def _warm(**fields: object) -> Modifier:
    return with_spec(rollout={"strategy": "Switch", "keepWarm": fields})


def _revert(**fields: object) -> Modifier:
    return with_spec(rollout={"revert": fields})


def _verify(**fields: object) -> Modifier:
    return with_spec(rollout={"strategy": "Switch", "verify": fields})


def _case(**fields: object) -> Modifier:
    return _verify(cases=[{"name": "refund", "input": "{}", "expect": {"status": 200}, **fields}])


def _expect_at(path: str) -> Modifier:
    return _case(expect={"jsonPath": {"path": path}})


def _inputs(count: int) -> Modifier:
    """Returns a spec with cases whose inputs have the greatest length."""
    return _verify(cases=[{"name": f"case-{number}", "input": "x" * 8192, "expect": {"status": 200}} for number in range(count)])


def _freeze(**fields: object) -> Modifier:
    return with_spec(freezes=[fields])


def _selecting(**selector: object) -> Modifier:
    return with_spec(namespaceSelector=selector)


def _redact(**fields: object) -> Modifier:
    return with_spec(runs={"content": True, "redact": fields})


def _scaling(minimum: int, maximum: int) -> Manifest:
    return {"autoscaling": {"minReplicas": minimum, "maxReplicas": maximum}}


def _config(**config: object) -> Modifier:
    return asking(config=config)


def _cpu(amount: str) -> Modifier:
    return _config(resources={"requests": {"cpu": amount}})


def _app(about: str, good: Modifier, bad: Modifier, field: str, says: str) -> Rule:
    return Rule("App", about, good, bad, field, says)


def _row(about: str, good: Modifier, bad: Modifier, field: str, says: str) -> Rule:
    return Rule("Deployment", about, good, bad, field, says)


def _name_rules(kind: str, what: str) -> tuple[Rule, ...]:
    says = (
        f"the name of {what} has at most 40 characters: lower-case letters, digits and '-', beginning with a letter and not ending with '-'"
    )
    return (
        Rule(kind, "a name of 40 characters, of 41", _named("a" * 40), _named("a" * 41), "metadata.name", says),
        Rule(kind, "a name with dots", _named("a-b"), _named("a.b"), "metadata.name", says),
        Rule(kind, "a name that begins with a digit", _named("a1"), _named("1a"), "metadata.name", says),
    )


APP_RULES = (
    *_name_rules("App", "an App"),
    _app("its workflow's name", with_spec(workflow="a-1"), with_spec(workflow="Chat"), "spec.workflow", f"this name is not a DNS label: {DNS_LABEL}"),
    _app("its workflow's name at the limit", with_spec(workflow="a" * 40), with_spec(workflow="a" * 41), "spec.workflow", "Too long: may not be more than 40 bytes"),
    _app("display name", with_spec(displayName="Émile's chat-bot 2.0 / 日本_"), with_spec(displayName="chat #1"), "spec.displayName", "displayName has only letters, digits, spaces, and . / _ ' -"),
    _app("hostname", with_hostname("chat.example.com"), with_hostname("Chat.example.com"), "spec.hostname", HOSTNAME),
    _app("hostname with a sign", with_hostname("my-chat.example.com"), with_hostname("my_chat.example.com"), "spec.hostname", HOSTNAME),
    _app("hostname with a port", with_hostname("chat"), with_hostname("chat:80"), "spec.hostname", HOSTNAME),
    _app("hostname's parts", with_hostname("a.b"), with_hostname("a..b"), "spec.hostname", HOSTNAME),
    _app("wildcard hostname", with_hostname("a.example.com"), with_hostname("*.example.com"), "spec.hostname", HOSTNAME),
    _app("hostname's longest part", with_hostname("a" * 63 + ".test"), with_hostname("a" * 64 + ".test"), "spec.hostname", "hostname is not a DNS name: each part between dots has at most 63 characters"),
    _app("address as hostname", with_hostname("1.example.com"), with_hostname("10.0.0.1"), "spec.hostname", "hostname is an address: use a DNS name, such as chat.example.com"),
    _app("longest hostname", with_hostname(LONGEST_HOSTNAME), with_hostname(LONGEST_HOSTNAME + "d"), "spec.hostname", "Too long: may not be more than 253 bytes"),
    _app("hostname inside the cluster", exposed("ClusterIP"), with_spec(exposure={"type": "ClusterIP"}, hostname="chat.example.com"), "spec", "hostname is for types Ingress and Gateway: an App of type ClusterIP is called by its Service's name"),
    _app("class inside the cluster", exposed("Ingress", className="nginx"), exposed("ClusterIP", className="nginx"), "spec.exposure", FOR_INGRESS),
    _app("TLS inside the cluster", exposed("Ingress", tls={"secretName": "tls"}), exposed("ClusterIP", tls={"secretName": "tls"}), "spec.exposure", FOR_INGRESS),
    _app("annotations inside the cluster", exposed("Ingress", annotations={"a": "b"}), exposed("ClusterIP", annotations={"a": "b"}), "spec.exposure", FOR_INGRESS),
    _app("TLS of a Gateway", exposed("Gateway"), exposed("Gateway", tls={"secretName": "tls"}), "spec.exposure", FOR_INGRESS),
    _app("Gateway of an Ingress", exposed("Gateway", parentRef=PARENT), exposed("Ingress", parentRef=PARENT), "spec.exposure", "parentRef is for type Gateway: remove it, or use type Gateway"),
    _app("name of a Gateway", exposed("Gateway", parentRef=PARENT), exposed("Gateway", parentRef={"name": "Public"}), "spec.exposure.parentRef.name", OBJECT_NAME),
    _app("kind of exposure", exposed("Ingress"), exposed("NodePort"), "spec.exposure.type", 'supported values: "Ingress", "Gateway", "ClusterIP"'),
    _app("access", with_spec(access={"type": "public"}), with_spec(access={"type": "open"}), "spec.access.type", 'supported values: "private", "public"'),
    _app("origin", _access("https://app.example.com"), _access("https://App.example.com"), "spec.access.origins[0]", NO_ORIGIN),
    _app("origin with a port", _access("http://localhost:3000", "http://[::1]:3000", "https://10.0.0.1"), _access("http://localhost:"), "spec.access.origins[0]", NO_ORIGIN),
    _app("origin with a path", _access("https://a.b"), _access("https://a.b/"), "spec.access.origins[0]", NO_ORIGIN),
    _app("origin of several hosts", _access("https://a.b", "https://c.b"), _access("https://*.b"), "spec.access.origins[0]", NO_ORIGIN),
    _app("origin of another scheme", _access("http://a.b"), _access("null"), "spec.access.origins[0]", NO_ORIGIN),
    _app("origin with its scheme's port", _access("https://a.b:80", "http://a.b:443"), _access("https://a.b:443"), "spec.access.origins[0]", DEFAULT_PORT),
    _app("every origin", _access("*", type="public"), _access("*"), "spec.access.origins", "* is for a public App: list the origins of your pages, or use type public"),
    _app("every origin, and one", _access(*ORIGINS, type="public"), _access("*", "https://a.b", type="public"), "spec.access.origins", "* is every origin: remove the others, or remove *"),
    _app("most origins", _access(*ORIGINS), _access(*ORIGINS, "https://a.b"), "spec.access.origins", "must have at most 32 items"),
    _app("variable without a value", _variable(value=""), _variable(), "spec.variables[0]", ONE_SOURCE),
    _app("variable with two values", _variable(secret=SECRET), _variable(secret=SECRET, value="x"), "spec.variables[0]", ONE_SOURCE),
    _app("variable of a ConfigMap and a Secret", _variable(configMap=SECRET), _variable(secret=SECRET, configMap=SECRET), "spec.variables[0]", ONE_SOURCE),
    _app("the runtime's variables", with_variables({"name": "MY_DYNAMIQ_KEY", "value": ""}), with_variables({"name": "DYNAMIQ_KEY", "value": ""}), "spec.variables[0]", OWN_NAMES),
    _app("the runtime's port", with_variables({"name": "PORT_2", "value": ""}), with_variables({"name": "PORT", "value": ""}), "spec.variables[0]", OWN_NAMES),
    _app("variable's name", with_variables({"name": "_a1", "value": ""}), with_variables({"name": "1a", "value": ""}), "spec.variables[0].name", "the name of a variable has letters, digits and '_', and begins with no digit"),
    _app("variables together", with_variables(*_long(7)), with_variables(*_long(8)), "spec.variables", "the values of variables are together longer than 224 KiB: take long ones from keys of a Secret or a ConfigMap"),
    _app("variable given twice", with_variables({"name": "A", "value": ""}, {"name": "B", "value": ""}), with_variables({"name": "A", "value": ""}, {"name": "A", "value": "x"}), "spec.variables", "uplicate"),
    _app("key of a Secret", _variable(secret={**SECRET, "key": "a.b_C-1"}), _variable(secret={**SECRET, "key": "a/b"}), "spec.variables[0].secret.key", "no Secret or ConfigMap has such a key: use letters, digits, '-', '_' and '.'"),
    _app("name of a ConfigMap", _variable(configMap={**SECRET, "name": "a.b"}), _variable(configMap={**SECRET, "name": "A"}), "spec.variables[0].configMap.name", OBJECT_NAME),
    _app("trigger without a time", _trigger(schedule="0 3 * * *"), _trigger(), "spec.triggers[0]", ONE_TIME),
    _app("trigger with two times", _trigger(runAt="2027-01-01T00:00:00Z"), _trigger(runAt="2027-01-01T00:00:00Z", schedule="0 3 * * *"), "spec.triggers[0]", ONE_TIME),
    _app("trigger's time that others can be reckoned from", _trigger(runAt="2999-12-31T23:59:59Z"), _trigger(runAt="9999-12-31T23:59:59Z"), "spec.triggers[0].runAt", "this time is too far away: use one before 3000-01-01T00:00:00Z"),
    _app("end of a trigger that others can be reckoned from", _trigger(schedule="0 3 * * *", expiresAt="2999-12-31T23:59:59Z"), _trigger(schedule="0 3 * * *", expiresAt="9999-12-31T23:59:59Z"), "spec.triggers[0].expiresAt", "this time is too far away"),
    _app("end of a single run", _trigger(schedule="0 3 * * *", expiresAt="2027-01-01T00:00:00Z"), _trigger(runAt="2027-01-01T00:00:00Z", expiresAt="2027-01-01T00:00:00Z"), "spec.triggers[0]", "expiresAt is for a trigger with a schedule: remove it"),
    _app("draft that does not run", _trigger(schedule="0 3 * * *", suspend=True, draft=True), _trigger(schedule="0 3 * * *", draft=True), "spec.triggers[0]", "a draft does not run: set suspend to true, too, or remove draft"),
    _app("trigger's input", _trigger(schedule="0 3 * * *", displayName="Night, daily", inputTransformer={"path": "$", "selector": {"a": "$.b"}}), _trigger(schedule="0 3 * * *", inputTransformer={"selector": {"a": "x" * 4097}}), "spec.triggers[0].inputTransformer.selector.a", "Too long: may not be more than 4096 bytes"),
    _app("trigger's time", _trigger(runAt="2027-01-01T00:00:00+01:00"), _trigger(runAt="tomorrow"), "spec.triggers[0].runAt", "must be of type date-time"),
    _app("trigger's schedule", _trigger(schedule="*/5 9-17 * * MON-FRI"), _trigger(schedule="0 3 * *"), "spec.triggers[0].schedule", "a schedule is a cron expression of five fields, such as 0 9 * * 1-5"),
    _app("trigger's name at the limit", with_triggers({**NIGHTLY, "name": "a" * 20}), with_triggers({**NIGHTLY, "name": "a" * 21}), "spec.triggers[0].name", "Too long: may not be more than 20 bytes"),
    _app("trigger's name", with_triggers({**NIGHTLY, "name": "a-1"}), with_triggers({**NIGHTLY, "name": "a_1"}), "spec.triggers[0].name", f"this name of a trigger is not a DNS label: {DNS_LABEL}"),
    _app("trigger's uid", with_triggers({**NIGHTLY, "uid": UID}), with_triggers({**NIGHTLY, "uid": UID.upper()}), "spec.triggers[0].uid", "a uid is a UUID in lower case"),
    _app("trigger given twice", with_triggers(NIGHTLY, {**NIGHTLY, "name": "daily"}), with_triggers(NIGHTLY, NIGHTLY), "spec.triggers", "uplicate"),
    _app("a peer", _from(podSelector={}, namespaceSelector={}), _from(podSelector={}, ipBlock={"cidr": "10.0.0.0/8"}), "spec.network.ingressFrom[0]", ONE_KIND_OF_PEER),
    _app("a peer that names nothing", _from(namespaceSelector={}), _from(), "spec.network.ingressFrom[0]", ONE_KIND_OF_PEER),
    _app("a range of addresses", _from(ipBlock={"cidr": "2001:db8::/32"}), _from(ipBlock={"cidr": "2001:db8::1/32"}), "spec.network.ingressFrom[0].ipBlock.cidr", NO_RANGE),
    _app("an address", _from(ipBlock={"cidr": "10.0.0.1/32"}), _from(ipBlock={"cidr": "10.0.0.1"}), "spec.network.ingressFrom[0].ipBlock.cidr", NO_RANGE),
    _app("a range left out", _from(ipBlock={"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}), _from(ipBlock={"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}), "spec.network.ingressFrom[0].ipBlock.except", "the ranges of except must be inside of cidr"),
    _app("a label's values", _with_label(operator="In", values=["a"]), _with_label(operator="In"), "spec.network.ingressFrom[0].podSelector.matchExpressions[0]", VALUES),
    _app("a label without values", _with_label(operator="Exists"), _with_label(operator="Exists", values=["a"]), "spec.network.ingressFrom[0].podSelector.matchExpressions[0]", VALUES),
    _app("a label's value", _from(podSelector={"matchLabels": {"app": "shop_1.a"}}), _from(podSelector={"matchLabels": {"app": "-x-"}}), "spec.network.ingressFrom[0].podSelector.matchLabels.app", "should match"),
    _app("one of a label's values", _with_label(operator="In", values=["", "a"]), _with_label(operator="In", values=["a b"]), "spec.network.ingressFrom[0].podSelector.matchExpressions[0].values[0]", "should match"),
    _app("a label's key", _from(podSelector={"matchLabels": {"example.com/app": "shop"}}), _from(podSelector={"matchLabels": {"Example.com/app": "shop"}}), "spec.network.ingressFrom[0].podSelector.matchLabels", LABEL_KEY),
    _app("the key of a condition", _from(podSelector={"matchExpressions": [{"key": f"{PREFIX}/{NAME_63}", "operator": "Exists"}]}), _from(podSelector={"matchExpressions": [{"key": f"a{PREFIX}/x", "operator": "Exists"}]}), "spec.network.ingressFrom[0].podSelector.matchExpressions[0].key", LABEL_KEY),
    _app("the name in a key", _from(podSelector={"matchLabels": {NAME_63: "x"}}), _from(podSelector={"matchLabels": {f"a{NAME_63}": "x"}}), "spec.network.ingressFrom[0].podSelector.matchLabels", LABEL_KEY),
    _app("ports in a row", _ports(port=80, endPort=80), _ports(port=80, endPort=79), "spec.network.egress[0].ports[0]", LAST_PORT),
    _app("a last port alone", _ports(port=80), _ports(endPort=80), "spec.network.egress[0].ports[0]", LAST_PORT),
    _app("a rule that limits nothing", _network(egress=[]), _network(egress=[{}]), "spec.network.egress[0]", "an egress rule needs to, ports or both: to limit nothing, leave egress out"),
    _app("peers of a rule", _network(egress=[{"to": [{"podSelector": {}}]}]), _network(egress=[{"to": []}]), "spec.network.egress[0].to", "should have at least 1 items"),
    _app("a number of warm pods", _warm(replicas=0), _warm(replicas=-1), "spec.rollout.keepWarm.replicas", KEEP_WARM),
    _app("warm pods like the live ones", _warm(replicas="live"), _warm(replicas="all"), "spec.rollout.keepWarm.replicas", KEEP_WARM),
    _app("warm pods of a strategy", _warm(), with_spec(rollout={"keepWarm": {}}), "spec.rollout.keepWarm", "keepWarm is for strategy Switch: add it, or remove keepWarm"),
    _app("cases of a strategy", _verify(job=JOB), with_spec(rollout={"verify": {"job": JOB}}), "spec.rollout.verify", FOR_SWITCH),
    _app("nothing to verify by", _verify(cases=[{"name": "a", "input": "1", "expect": {"contains": "a"}}]), _verify(timeoutSeconds=60), "spec.rollout.verify", CASES_OR_JOB),
    _app("nothing expected", _case(expect={"status": 422}), _case(expect={}), "spec.rollout.verify.cases[0].expect", EXPECTATION),
    _app("a place in an answer", _expect_at("$.a_b['c d'][0][*].*"), _expect_at("$..a"), "spec.rollout.verify.cases[0].expect.jsonPath.path", ONE_PLACE),
    _app("cases together", _inputs(8), _inputs(9), "spec.rollout.verify.cases", CASES_TOGETHER),
    _app("a case's name", _case(name="a-1"), _case(name="A"), "spec.rollout.verify.cases[0].name", f"the name of a case is a DNS label: {DNS_LABEL.removeprefix('use ')}"),
    _app("a case given twice", _inputs(2), _verify(cases=[{"name": "a", "input": "1", "expect": {"status": 200}}] * 2), "spec.rollout.verify.cases", "uplicate"),
    _app("how much slower", _revert(maxP95Ratio=1.05), _revert(maxP95Ratio=1.04), "spec.rollout.revert.maxP95Ratio", "should be greater than or equal to 1.05"),
    _app("how much dearer", _revert(maxCostRatio=100), _revert(maxCostRatio=100.5), "spec.rollout.revert.maxCostRatio", "should be less than or equal to 100"),
    _app("a field to take out", _redact(fields=["email"]), _redact(fields=[""]), "spec.runs.redact.fields[0]", "should be at least 1 chars long"),
    _app("a pattern to take out", _redact(patterns=["(?i)[0-9]{4}"]), _redact(patterns=["(?=a)"]), "spec.runs.redact.patterns[0]", NO_PATTERN),
    _app("a pattern that all read alike", _redact(patterns=["[:;]+[0-9]{4}"]), _redact(patterns=["[[:digit:]]{16}"]), "spec.runs.redact.patterns[0]", POSIX),
    _app("patterns to take out", _redact(patterns=["a" * 200] * 20), _redact(patterns=["a"] * 21), "spec.runs.redact.patterns", "must have at most 20 items"),
    _app("version in Git", with_deploy(workflowVersion="v1"), with_deploy(workflowVersion="1"), "spec.deploy.workflowVersion", VERSION_NAME),
    _app("config in Git", with_deploy(config=_scaling(1, 1)), with_deploy(config=_scaling(2, 1)), "spec.deploy.config.autoscaling.minReplicas", MIN_MAX),
    _app("scale to zero in Git", with_deploy(config=_scaling(1, 1)), with_deploy(config=_scaling(0, 1)), "spec.deploy.config.autoscaling.minReplicas", MIN_ONE),
    _app("serverless in Git", with_deploy(config={"type": "serverless"}), with_deploy(config={"type": "serverless", **_scaling(1, 1)}), "spec.deploy.config.autoscaling", NO_AUTOSCALING),
)  # fmt: skip
ROW_RULES = (
    _row("its App's name", with_spec(app="a-1"), with_spec(app="a_1"), "spec.app", f"this name is not a DNS label: {DNS_LABEL}"),
    _row("its App's name at the limit", with_spec(app="a" * 40), with_spec(app="a" * 41), "spec.app", "Too long: may not be more than 40 bytes"),
    _row("its App", with_spec(), with_spec(app=None), "spec.app", "Required value"),
    _row("version", asking(workflowVersion="v10"), asking(workflowVersion="v01"), "spec.workflowVersion", VERSION_NAME),
    _row("version 0", asking(workflowVersion="v1"), asking(workflowVersion="v0"), "spec.workflowVersion", VERSION_NAME),
    _row("longest version", asking(workflowVersion="v" + "9" * 10), asking(workflowVersion="v" + "9" * 11), "spec.workflowVersion", "Too long: may not be more than 11 bytes"),
    _row("version and restored row", asking(restores="row-1"), asking(restores="row-1", workflowVersion="v1"), "spec", "give either workflowVersion or restores: restores already selects the version of the row that it names"),
    _row("restored row", asking(restores="row.1"), asking(restores="row_1"), "spec.restores", OBJECT_NAME),
    _row("runtime", asking(runtime="tiny-1.0"), asking(runtime="tiny:1.0"), "spec.runtime", OBJECT_NAME),
    _row("fewest and most pods", _config(**_scaling(3, 3)), _config(**_scaling(4, 3)), "spec.config.autoscaling.minReplicas", MIN_MAX),
    _row("scale to zero", _config(**_scaling(1, 3)), _config(**_scaling(0, 3)), "spec.config.autoscaling.minReplicas", MIN_ONE),
    _row("autoscaling of serverless", _config(type="serverless"), _config(type="serverless", **_scaling(1, 1)), "spec.config.autoscaling", NO_AUTOSCALING),
    *(_row(f"{field} of a server", _config(type="serverless", **{field: 5}), _config(type="server", **{field: 5}), f"spec.config.{field}", f"{field} is for type serverless: remove it, or use type serverless") for field in SERVERLESS_FIELDS),
    _row("shortest idle time", _config(idleSeconds=5), _config(idleSeconds=4), "spec.config.idleSeconds", "should be greater than or equal to 5"),
    _row("longest wait", _config(holdSeconds=3600), _config(holdSeconds=3601), "spec.config.holdSeconds", "should be less than or equal to 3600"),
    _row("type", _config(type="server"), _config(type="lambda"), "spec.config.type", 'supported values: "server", "serverless"'),
    _row("amount", _cpu("1.5"), _cpu("much"), "spec.config.resources.requests.cpu", AMOUNT),
    _row("negative amount", _cpu("100m"), _cpu("-1"), "spec.config.resources.requests.cpu", AMOUNT),
    _row("why the rules are gone past", asking(bypass={"reason": "prod is down"}), asking(bypass={"reason": " \t\u00a0"}), "spec.bypass.reason", "bypass.reason must not be empty: write why the guards are bypassed"),
    _row("no word on why", asking(bypass={"reason": "x"}), asking(bypass={"reason": ""}), "spec.bypass.reason", "should be at least 1 chars long"),
    _row("source of a promotion", asking(promotedFrom=PROMOTED), asking(promotedFrom={**PROMOTED, "hash": "sha256:A"}), "spec.promotedFrom.hash", HASH),
    _row("cluster of a promotion's source", asking(promotedFrom={**PROMOTED, "cluster": "arn:aws:eks:eu-1:7:cluster/staging"}), asking(promotedFrom={**PROMOTED, "cluster": "a b"}), "spec.promotedFrom.cluster", CLUSTER),
)  # fmt: skip
OTHER_RULES = (
    *_name_rules("Workflow", "a Workflow"),
    Rule("Workflow", "a flow", with_spec(flow="{}"), with_spec(flow=""), "spec.flow", "should be at least 1 chars long"),
    Rule("WorkflowVersion", "its name", _named("chat-v1"), _named("chat-v2"), "metadata.name", "a WorkflowVersion is named <workflow>-<version>: name this one chat-v1"),
    Rule("WorkflowVersion", "its version", with_spec(), with_spec(version="1"), "spec.version", VERSION_NAME),
    Rule("Runtime", "engine", with_spec(engine="sdk"), with_spec(engine="large"), "spec.engine", 'supported values: "tiny", "sdk"'),
    Rule("Runtime", "probe", with_spec(probes={"liveness": {"path": "/"}}), with_spec(probes={"liveness": {"path": "healthz"}}), "spec.probes.liveness.path", "a path begins with /, such as /readyz"),
)  # fmt: skip


def _policy(about: str, good: Modifier, bad: Modifier, field: str, says: str) -> Rule:
    return Rule("DeployPolicy", about, good, bad, f"spec.{field}", says)


def _label(operator: str, *values: str) -> Modifier:
    return _selecting(matchExpressions=[{"key": OURS, "operator": operator, **({"values": list(values)} if values else {})}])


POLICY_RULES = (
    _policy("a label of ours", _selecting(matchLabels={OURS: "production"}), _selecting(matchLabels={"team": "a"}), "namespaceSelector.matchLabels", SELECTED_BY),
    _policy("a key of ours", _label("Exists"), _selecting(matchExpressions=[{"key": "team", "operator": "Exists"}]), "namespaceSelector.matchExpressions[0].key", SELECTED_BY),
    _policy("a label's values", _label("In", "production"), _label("In"), "namespaceSelector.matchExpressions[0]", IN_OR_EXISTS),
    _policy("a label without values", _label("DoesNotExist"), _label("Exists", "a"), "namespaceSelector.matchExpressions[0]", IN_OR_EXISTS),
    _policy("a freeze, once", _freeze(**EASTER), _freeze(**EASTER, cron="0 17 * * 5"), "freezes[0]", ONCE_OR_AGAIN),
    _policy("a freeze, again and again", _freeze(**EVENINGS, timeZone="Europe/Berlin"), _freeze(name="evenings", cron="0 17 * * 5"), "freezes[0]", ONCE_OR_AGAIN),
    _policy("a freeze without an end", _freeze(**EASTER), _freeze(name="easter", **{"from": "2027-03-26T00:00:00Z"}), "freezes[0]", ONCE_OR_AGAIN),
    _policy("a freeze that ends first", _freeze(**EASTER), _freeze(**{**EASTER, "to": "2027-03-26T00:00:00+01:00"}), "freezes[0]", "a freeze ends after it begins: to is later than from"),
    _policy("a freeze's name", _freeze(**EVENINGS), _freeze(**{**EVENINGS, "name": "Friday"}), "freezes[0].name", f"the name of a freeze is a DNS label: {DNS_LABEL.removeprefix('use ')}"),
    _policy("a freeze given twice", with_spec(freezes=[EVENINGS, EASTER]), with_spec(freezes=[EVENINGS, EVENINGS]), "freezes", "uplicate"),
    _policy("a freeze's cron", _freeze(**EVENINGS), _freeze(**{**EVENINGS, "cron": "Fridays"}), "freezes[0].cron", "cron is a cron expression of five fields, such as 0 17 * * 5"),
    _policy("a freeze's duration", _freeze(**{**EVENINGS, "duration": "1h30m"}), _freeze(**{**EVENINGS, "duration": "2 days"}), "freezes[0].duration", "a duration has hours and minutes, such as 62h, 90m or 1h30m"),
    _policy("a freeze of no duration", _freeze(**{**EVENINGS, "duration": "90m"}), _freeze(**{**EVENINGS, "duration": ""}), "freezes[0].duration", "a duration has hours and minutes, such as 62h, 90m or 1h30m"),
    *(
        _policy("a freeze's time zone", _freeze(**EVENINGS, timeZone="Asia/Kolkata"), _freeze(**EVENINGS, timeZone=zone), "freezes[0].timeZone", "there is no such time zone: use an IANA name, such as Europe/Berlin")
        for zone in ("Mars/Base", "Local", "+01:00")
    ),
    _policy("a service account that approves", with_spec(approvals={"count": 1, "serviceAccounts": ["system:serviceaccount:ci:evals"]}), with_spec(approvals={"count": 1, "serviceAccounts": ["ada"]}), "approvals.serviceAccounts[0]", ACCOUNTS),
    _policy("clusters that versions come from", with_spec(promotion={"minLiveSeconds": 60, "clusters": ["eu"]}), with_spec(promotion={"minLiveSeconds": 60, "clusters": ["eu "]}), "promotion.clusters[0]", CLUSTER),
    _policy("how many approve", with_spec(approvals={"count": 1}), with_spec(approvals={"count": 0}), "approvals.count", "should be greater than or equal to 1"),
    _policy("groups that are Git's", with_spec(automation={"groups": ["system:serviceaccounts:argocd"]}), with_spec(automation={"groups": ["developers"]}), "automation.groups[0]", GROUPS),
    _policy("who hears of it", with_spec(notifications=[{"name": "chat", "secretName": "chat"}]), with_spec(notifications=[{"name": "Chat", "secretName": "chat"}]), "notifications[0].name", f"the name of a sink is a DNS label: {DNS_LABEL.removeprefix('use ')}"),
)  # fmt: skip
HASHED = "sha256:" + "a" * 64


def _changing(change: str) -> Modifier:
    return with_spec(changes=[{"field": "variables", "name": "MODEL", "change": change}])


WORD_RULES = (
    Rule("Approval", "its row", with_spec(row="row.1"), with_spec(row="row_1"), "spec.row", OBJECT_NAME),
    Rule("Approval", "its digest", with_spec(), with_spec(digest="sha256:A"), "spec.digest", HASH),
    Rule("Approval", "its purpose", with_spec(purpose="Withdraw"), with_spec(purpose="Deploy"), "spec.purpose", 'supported values: "Approve", "Resume", "Reject", "Withdraw"'),
    Rule("Rejection", "its hash", with_spec(), with_spec(workflowHash="v1"), "spec.workflowHash", HASH),
    Rule("Rejection", "why", with_spec(), with_spec(reason=""), "spec.reason", "should be at least 1 chars long"),
    Rule("Rejection", "more than spaces", with_spec(), with_spec(reason=" \u00a0"), "spec.reason", "reason must not be empty: write why nobody may deploy it"),
    Rule("Rejection", "why it is withdrawn", with_spec(), with_spec(withdrawn={"reason": " "}), "spec.withdrawn.reason", "withdrawn.reason must not be empty: write why it may be deployed again"),
    Rule("Rejection", "its version", with_spec(version="v10"), with_spec(version="10"), "spec.version", VERSION_NAME),
    Rule("AppChange", "the digest before", with_spec(previousDigest=HASHED), with_spec(previousDigest="sha256:A"), "spec.previousDigest", HASH),
    Rule("AppChange", "what became of a setting", _changing("Changed"), _changing("Renamed"), "spec.changes[0].change", 'supported values: "Added", "Removed", "Changed"'),
)  # fmt: skip
RULES = (*APP_RULES, *ROW_RULES, *OTHER_RULES, *POLICY_RULES, *WORD_RULES)

"""The applied template is kept while its inputs are the same, and is written again if its note is no longer the operator's."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dynamiq_operator.desired.applied import with_access_of
from dynamiq_operator.desired.inputs import TemplateChoice, WorkloadInputs
from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import as_applied, environment_digest, has_pins, template_digests, template_row, workload_manifest
from dynamiq_operator.model.names import APPLIED_TEMPLATE_ANNOTATION, TEMPLATE_LABEL, TEMPLATE_ROW_ANNOTATION
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.runtime import Probe, Probes
from dynamiq_runtime.settings import from_environment
from tests.support import factories as given
from tests.support import managed_fields

PINS = given.a_row("a", given.pinned(1, "v1")).spec.pinned
assert PINS is not None
INPUTS = WorkloadInputs("", Pins.of(PINS))
DIGEST = "dedf8e4474e1cb9d"
"""Digest of the inputs of these tests, as existing pods have it in their label."""
VARIABLE = given.with_spec(variables=[{"name": "MODEL", "value": "small"}])


def made(inputs: WorkloadInputs = INPUTS, app: App | None = None) -> Manifest:
    manifest = workload_manifest(app or given.an_app(), inputs)
    assert manifest is not None
    return manifest


def note(manifest: Manifest) -> Any:
    return json.loads(manifest["metadata"]["annotations"][APPLIED_TEMPLATE_ANNOTATION])


def of_before() -> Manifest:
    """Returns the workload as an older operator applied it, whose template had one more field."""
    manifest = made()
    template = copy.deepcopy(manifest["spec"]["template"])
    template["spec"]["hostname"] = "of-before"
    noted = {**note(manifest), "template": template}
    manifest["metadata"]["annotations"][APPLIED_TEMPLATE_ANNOTATION] = json.dumps(noted, sort_keys=True)
    manifest["spec"]["template"] = template
    return managed_fields.applied(manifest)


def with_note(change: Callable[[Any], Any]) -> Manifest:
    manifest = of_before()
    manifest["metadata"]["annotations"][APPLIED_TEMPLATE_ANNOTATION] = change(note(manifest))
    return manifest


def test_the_row_of_a_template_comes_from_our_note_only() -> None:
    """Another user's note would give pods variables that are on hold, or withhold those of an admitted row."""
    observed = managed_fields.applied(made(replace(INPUTS, row_note="7")))
    assert template_row(observed) == 7
    edited = copy.deepcopy(observed)
    edited["metadata"]["annotations"][TEMPLATE_ROW_ANNOTATION] = "1"
    edited["metadata"]["managedFields"] = managed_fields.edited(observed, edited)
    assert template_row(edited) is None


def test_an_upgrade_of_the_operator_changes_no_template() -> None:
    again = made(replace(INPUTS, observed=of_before()))
    assert again["spec"]["template"]["spec"]["hostname"] == "of-before"
    assert "replicas" not in again["spec"]


@pytest.mark.parametrize(
    "change",
    [
        lambda _noted: "not JSON",
        lambda _noted: "[]",
        lambda _noted: "[" * 100_000,
        lambda noted: json.dumps({**noted, "template": {"metadata": {}}}),
        lambda noted: json.dumps({**noted, "template": None}),
        lambda noted: json.dumps({**noted, "inputs": "other"}),
    ],
    ids=["no JSON", "no map", "nested very deeply", "no label", "no template", "other inputs"],
)
def test_an_edited_note_is_not_trusted(change: Callable[[Any], str]) -> None:
    observed = with_note(change)
    assert made(replace(INPUTS, observed=observed))["spec"]["template"] == made()["spec"]["template"]


def test_a_note_that_another_manager_wrote_is_not_trusted() -> None:
    """A trusted note would put its content into the pods, as the operator's own template."""
    before = of_before()
    smuggled = copy.deepcopy(before)
    noted = note(smuggled)
    noted["template"]["spec"]["containers"][0]["command"] = ["theirs"]
    smuggled["metadata"]["annotations"][APPLIED_TEMPLATE_ANNOTATION] = json.dumps(noted, sort_keys=True)
    smuggled["metadata"]["managedFields"] = managed_fields.edited(before, smuggled)
    assert "command" not in made(replace(INPUTS, observed=smuggled))["spec"]["template"]["spec"]["containers"][0]
    stripped = copy.deepcopy(smuggled)
    stripped["metadata"]["managedFields"] = []
    assert "command" not in made(replace(INPUTS, observed=stripped))["spec"]["template"]["spec"]["containers"][0]


def test_the_applied_template_is_held_though_the_app_wants_other_variables() -> None:
    wanting, app = replace(INPUTS, observed=of_before()), given.an_app(VARIABLE)
    assert made(replace(wanting, choice=TemplateChoice.APPLIED), app)["spec"]["template"] == of_before()["spec"]["template"]
    assert made(wanting, app)["spec"]["template"] != of_before()["spec"]["template"]


def test_a_workload_whose_note_was_edited_is_left_as_it_is_while_its_template_is_to_be_held() -> None:
    observed = with_note(lambda _noted: "not JSON")
    assert made(replace(INPUTS, observed=observed, choice=TemplateChoice.APPLIED)) is observed


def test_the_order_of_variables_means_nothing() -> None:
    one, other = ({"name": "B", "value": "2"}, {"name": "A", "value": "1"})
    applied = managed_fields.applied(made(app=given.an_app(given.with_spec(variables=[one, other]))))
    again = made(replace(INPUTS, observed=applied), given.an_app(given.with_spec(variables=[other, one])))
    assert again["spec"]["template"] == applied["spec"]["template"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_template_whose_digest_had_the_order_of_variables_in_it_is_kept(turned: bool) -> None:
    """An older operator applied such a digest."""
    variables = [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]
    before = made(app=given.an_app(given.with_spec(variables=variables)))
    noted = note(before)
    assert PINS is not None
    old = template_digests(given.an_app(given.with_spec(variables=variables)), Pins.of(PINS))[1]
    assert old != noted["inputs"]
    for template in (noted["template"], before["spec"]["template"]):
        template["metadata"]["labels"][TEMPLATE_LABEL] = old
        template["spec"]["containers"][0]["env"][-2:] = variables
    before["metadata"]["annotations"][APPLIED_TEMPLATE_ANNOTATION] = json.dumps({**noted, "inputs": old}, sort_keys=True)
    app = given.an_app(given.with_spec(variables=variables[::-1] if turned else variables))
    again = made(replace(INPUTS, observed=managed_fields.applied(before)), app)
    assert again["spec"]["template"] == before["spec"]["template"]
    changed = given.an_app(given.with_spec(variables=[variables[0]]))
    assert made(replace(INPUTS, observed=managed_fields.applied(before)), changed)["spec"]["template"] != before["spec"]["template"]


def test_a_workload_that_must_not_start_is_neither_made_nor_changed() -> None:
    forbidden = replace(INPUTS, choice=TemplateChoice.OBSERVED)
    assert workload_manifest(given.an_app(), forbidden) is None
    observed = of_before()
    assert made(replace(forbidden, observed=observed)) is observed


@pytest.mark.parametrize("config", [given.CONFIG, {"type": "server"}, {"type": "server", "resources": {}}])
def test_the_digest_of_pins_is_that_of_the_stored_row(config: Manifest) -> None:
    runtime = given.a_runtime(
        given.with_spec(probes={"readiness": {"path": "/ok", "periodSeconds": 3}}, resources=given.CONFIG["resources"])
    )
    row = given.a_row("a", given.pinned(1, runtime=runtime, config=config))
    assert row.pinned is not None
    assert stored_digest(row.raw_spec["pinned"]) == Pins.of(row.pinned).digest


def test_the_note_names_the_pins_of_the_template() -> None:
    other = given.a_row("b", given.pinned(2, "v2")).spec.pinned
    assert PINS is not None
    assert other is not None
    observed = managed_fields.applied(made())
    assert (has_pins(observed, Pins.of(PINS)), has_pins(observed, Pins.of(other))) == (True, False)


@pytest.mark.parametrize(("port", "metrics"), [(None, None), (8000, None), (9090, "9091")])
def test_a_runtime_that_answers_callers_on_the_port_of_metrics_starts(port: int | None, metrics: str | None) -> None:
    assert PINS is not None
    runtime = PINS.runtime.model_copy(update={"port": port})
    inputs = replace(INPUTS, pins=Pins.of(PINS.model_copy(update={"runtime": runtime})))
    env = {each["name"]: each["value"] for each in made(inputs)["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (env["PORT"], env.get("DYNAMIQ_METRICS_PORT")) == (str(port or 8080), metrics)
    from_environment(env)


def test_probes_of_the_runtime_replace_ours() -> None:
    assert PINS is not None
    probes = Probes(startup=Probe(path="/started", period_seconds=9), readiness=Probe(path="/ready"))
    runtime = PINS.runtime.model_copy(update={"probes": probes})
    (container,) = made(replace(INPUTS, pins=Pins.of(PINS.model_copy(update={"runtime": runtime}))))["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["startupProbe"]["httpGet"]["path"] == "/started"
    assert container["startupProbe"]["periodSeconds"] == 9
    assert (container["readinessProbe"]["httpGet"]["path"], container["livenessProbe"]["httpGet"]["path"]) == ("/ready", "/healthz")


# The recorder.

RECORDER = "http://dynamiq-recorder.dynamiq-recorder.svc:8080"
RECORDED = replace(INPUTS, recorder=RECORDER)
CONTENT = given.with_spec(runs={"content": True, "redact": {"fields": ["email"], "patterns": ["[0-9]{16}$(X)"]}})


def environment(manifest: Manifest) -> dict[str, str]:
    return {each["name"]: each["value"] for each in manifest["spec"]["template"]["spec"]["containers"][0]["env"]}


def test_a_new_template_names_the_recorder_and_mounts_a_token_for_it_only() -> None:
    spec = made(RECORDED, given.an_app(VARIABLE))["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert PINS is not None
    assert [(each["name"], each["value"]) for each in container["env"]][-4:] == [
        ("MODEL", "small"),
        ("DYNAMIQ_RECORDER", RECORDER),
        ("DYNAMIQ_RECORDER_TOKEN", "/var/run/secrets/dynamiq/recorder/token"),
        ("DYNAMIQ_PINS", Pins.of(PINS).digest),
    ]
    (source,) = next(each["projected"]["sources"] for each in spec["volumes"] if each["name"] == "recorder")
    assert source == {"serviceAccountToken": {"audience": "dynamiq-recorder", "expirationSeconds": 3600, "path": "token"}}
    assert {"name": "recorder", "mountPath": "/var/run/secrets/dynamiq/recorder", "readOnly": True} in container["volumeMounts"]
    assert spec["automountServiceAccountToken"] is False
    from_environment(environment(made(RECORDED)))


def test_without_a_recorder_a_pod_has_no_setting_of_one() -> None:
    manifest = made(app=given.an_app(CONTENT))
    assert not {"DYNAMIQ_RECORDER", "DYNAMIQ_RECORDER_TOKEN", "DYNAMIQ_PINS", "DYNAMIQ_RUNS"} & environment(manifest).keys()
    assert "recorder" not in {each["name"] for each in manifest["spec"]["template"]["spec"]["volumes"]}


def test_the_recorder_is_no_input_of_the_template() -> None:
    """The digest is the one that pods of older versions already have."""
    assert note(made())["inputs"] == note(made(RECORDED))["inputs"] == DIGEST
    applied = managed_fields.applied(made())
    kept = made(replace(RECORDED, observed=applied))
    assert (kept["spec"]["template"], note(kept)) == (applied["spec"]["template"], note(made()))


def test_settings_of_recording_are_an_input_only_if_the_app_has_them() -> None:
    assert all(note(made(app=given.an_app(given.with_spec(runs=runs))))["inputs"] == DIGEST for runs in ({}, {"content": False}))
    recording = made(RECORDED, given.an_app(CONTENT))
    assert note(recording)["inputs"] != DIGEST
    assert json.loads(environment(recording)["DYNAMIQ_RUNS"].replace("$$", "$")) == {
        "content": True,
        "redact": {"fields": ["email"], "patterns": ["[0-9]{16}$(X)"]},
    }
    assert "$$(X)" in environment(recording)["DYNAMIQ_RUNS"], "the kubelet expands nothing in it"


# The journal.

JOURNAL = "http://dynamiq-journal.dynamiq-journal.svc"
JOURNALED = replace(INPUTS, journal=JOURNAL)
DURABLE = {"durable": {"keepSeconds": 3600, "maxOpen": 5, "interruptions": 2, "waitSeconds": 60, "pods": 20, "afterRejection": "Cancel"}}


def test_a_new_template_names_the_journal_last_and_mounts_a_token_for_it_only() -> None:
    spec = made(replace(JOURNALED, recorder=RECORDER))["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert PINS is not None
    own = [(each["name"], each["value"]) for each in container["env"]]
    assert own[-3:] == [
        ("DYNAMIQ_PINS", Pins.of(PINS).digest),
        ("DYNAMIQ_JOURNAL", JOURNAL),
        ("DYNAMIQ_JOURNAL_TOKEN", "/var/run/secrets/dynamiq/journal/token"),
    ]
    alone = [(each["name"], each["value"]) for each in made(JOURNALED)["spec"]["template"]["spec"]["containers"][0]["env"]]
    assert alone[-3:] == [*own[-2:], own[-3]], "without a recorder it has its pins, too"
    (source,) = next(each["projected"]["sources"] for each in spec["volumes"] if each["name"] == "journal")
    assert source == {"serviceAccountToken": {"audience": "dynamiq-journal", "expirationSeconds": 3600, "path": "token"}}
    assert {"name": "journal", "mountPath": "/var/run/secrets/dynamiq/journal", "readOnly": True} in container["volumeMounts"]


def test_pods_of_a_public_app_have_nothing_of_the_journal() -> None:
    public = given.an_app(given.with_spec(access={"type": "public"}))
    assert made(JOURNALED, public)["spec"]["template"] == made(app=public)["spec"]["template"]


def test_the_journal_is_no_input_of_the_template() -> None:
    assert note(made(JOURNALED))["inputs"] == DIGEST
    applied = managed_fields.applied(made())
    kept = made(replace(JOURNALED, observed=applied))
    assert (kept["spec"]["template"], note(kept)) == (applied["spec"]["template"], note(made()))


def test_a_new_template_mounts_the_key_for_callbacks_last_and_starts_without_it() -> None:
    signing = made(replace(JOURNALED, recorder=RECORDER, callbacks=True))
    without = made(replace(JOURNALED, recorder=RECORDER))
    (spec, before), name = ((each["spec"]["template"]["spec"] for each in (signing, without)), "callback-key")
    (container,), (container_before,) = spec["containers"], before["containers"]
    assert spec["volumes"] == [
        *before["volumes"],
        {"name": name, "secret": {"secretName": f"{given.NAME}-{name}", "optional": True}},
    ]
    folder = "/var/run/secrets/dynamiq/callback"
    assert container["volumeMounts"] == [*container_before["volumeMounts"], {"name": name, "mountPath": folder, "readOnly": True}]
    assert container["env"] == [*container_before["env"], {"name": "DYNAMIQ_CALLBACK_KEY", "value": f"{folder}/key"}]
    assert made(replace(INPUTS, callbacks=True)) == made(), "without a journal there is nothing to call back for"


def test_the_key_for_callbacks_is_no_input_of_the_template() -> None:
    assert note(made(replace(JOURNALED, callbacks=True)))["inputs"] == DIGEST
    for first, later in ((False, True), (True, False)):
        applied = managed_fields.applied(made(replace(JOURNALED, callbacks=first)))
        kept = made(replace(JOURNALED, callbacks=later, observed=applied))
        assert (kept["spec"]["template"], note(kept)) == (applied["spec"]["template"], note(made(replace(JOURNALED, callbacks=first))))


@pytest.mark.parametrize("recorder", [None, RECORDER])
@pytest.mark.parametrize("runs", [{}, {"content": True}], ids=["default", "content"])
def test_limits_of_background_runs_are_in_no_template_and_in_no_digest(recorder: str | None, runs: Manifest) -> None:
    desired = replace(JOURNALED, recorder=recorder)
    without, limited = (given.an_app(given.with_spec(runs={**runs, **more})) for more in ({}, {**DURABLE, "shapes": False}))
    assert made(desired, limited) == made(desired, without)
    assert environment_digest(limited) == environment_digest(without)
    applied = managed_fields.applied(made(desired, without))
    assert PINS is not None
    read_back = as_applied(limited, applied, Pins.of(PINS))
    assert read_back is not None
    assert environment_digest(read_back) == environment_digest(limited)
    assert made(replace(desired, observed=applied), limited)["spec"]["template"] == applied["spec"]["template"]


def test_origins_are_an_input_in_any_order_and_only_if_the_app_has_them() -> None:
    def of(*origins: str) -> App:
        return given.an_app(given.with_spec(access={"type": "private", "origins": list(origins)}))

    assert (note(made(app=of()))["inputs"], "DYNAMIQ_ORIGINS" in environment(made(app=of()))) == (DIGEST, False)
    one = made(app=of("https://b.example.com", "http://localhost:3000"))
    assert note(one)["inputs"] != DIGEST
    assert environment(one)["DYNAMIQ_ORIGINS"] == "http://localhost:3000 https://b.example.com"
    other = made(app=of("http://localhost:3000", "https://b.example.com", "http://localhost:3000"))
    assert other["spec"]["template"] == one["spec"]["template"]


def test_access_is_read_from_a_template_whatever_others_wrote_into_it() -> None:
    edited = made(app=given.an_app(given.with_spec(access={"type": "private", "origins": ["https://a.example.com"]})))
    env = edited["spec"]["template"]["spec"]["containers"][0]["env"]
    next(each for each in env if each["name"] == "DYNAMIQ_ORIGINS")["value"] = " ".join(map(str, range(100)))
    assert len(with_access_of(given.an_app(), edited).spec.origins) == 100


def test_a_template_is_renewed_for_the_recorder_with_the_digest_that_it_had() -> None:
    applied = managed_fields.applied(made())
    renewed = made(replace(RECORDED, observed=applied, renewed=True))
    assert (note(renewed)["inputs"], environment(renewed)["DYNAMIQ_RECORDER"]) == (DIGEST, RECORDER)

"""The fields that a row leaves out, and their sources."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import template_digest
from dynamiq_operator.model import digests
from dynamiq_operator.model.completion import LIMITED_CALLERS, NO_GATE, UNREAD_GATE, Known, Missing, NotReadable, Refused, complete
from dynamiq_operator.model.gates import GateState
from dynamiq_operator.model.guards import RowOf
from dynamiq_operator.model.objects import App, Manifest, Row, Runtime, Version
from dynamiq_operator.model.row import Pinned, Promoted, Source
from dynamiq_operator.model.settings import ImagePolicy, Settings
from tests.support.factories import (
    CONFIG,
    NOW,
    Modifier,
    a_row,
    a_runtime,
    a_version,
    an_app,
    asking,
    created,
    deprecated,
    failed,
    flow_hash,
    live,
    never_deployed,
    numbered,
    of_app,
    overtaken,
    progressing,
    superseded,
    waiting,
    with_image,
    with_spec,
)

TAGGED = a_runtime(with_image("registry.test/runtime:1"), name="tagged")
PREVIOUS = "sha256:" + "e" * 64


def completed(
    row: Row,
    *rows: Row,
    app: App | None = None,
    served: Row | None = None,
    versions: tuple[Version, ...] = (a_version("v1"),),
    runtimes: tuple[Runtime, ...] = (a_runtime(),),
    flows: frozenset[str] = frozenset({flow_hash("v1"), flow_hash("v2")}),
    image_policy: ImagePolicy = ImagePolicy.ANY,
    source: Source = Source.RECORD,
    stamped_since: datetime | None = None,
    promoted: Row | None = None,
    gate: GateState = GateState.READY,
) -> Pinned | Missing | Refused:
    known = Known(
        app=app or an_app(),
        live=served,
        versions=versions,
        runtimes={runtime.meta.name: runtime for runtime in runtimes},
        rows={other.name: other for other in (row, *rows)},
        flows=flows,
        settings=Settings(image_policy=image_policy),
        authors_stamped_since=stamped_since,
        promotions={row.name: promoted} if promoted is not None else {},
        gate=gate,
    )
    return complete(row, known, sequence=7, source=source, previous_digest=PREVIOUS, now=NOW)


def pins(row: Row, *rows: Row, **known: Any) -> Pinned:
    found = completed(row, *rows, **known)
    assert isinstance(found, Pinned), found
    return found


def why_missing(row: Row, *rows: Row, **known: Any) -> str:
    found = completed(row, *rows, **known)
    assert isinstance(found, Missing), found
    return found.message


def why_refused(row: Row, *rows: Row, **known: Any) -> str:
    found = completed(row, *rows, **known)
    assert isinstance(found, Refused), found
    return found.message


def new(*modifiers: Modifier) -> Row:
    return a_row("new", *modifiers)


def config_of(found: Pinned) -> Manifest:
    return found.config.as_json()


def scaled(minimum: int | None = None, maximum: int | None = None, **config: Any) -> Manifest:
    given = {"minReplicas": minimum, "maxReplicas": maximum}
    return {"autoscaling": {name: value for name, value in given.items() if value is not None}, **config}


# The whole.


def test_a_first_deploy_that_asks_for_nothing_gets_everything() -> None:
    found = pins(new())
    assert found.as_json() == {
        "createdAt": "2026-11-24T12:00:00Z",
        "workflow": "chat",
        "workflowVersion": "v1",
        "workflowHash": flow_hash("v1"),
        "description": "What v1 does",
        "runtime": a_runtime().spec.pins("tiny-1").as_json(),
        "config": CONFIG,
        "createdByVerified": False,
        "source": "Record",
        "previousDigest": PREVIOUS,
        "digest": found.digest,
    }


def test_the_digest_is_of_the_spec_as_it_will_be_stored() -> None:
    row = new(asking(message="first"), with_spec(createdBy="ada", ofALaterOperator={"a": 1}))
    found = pins(row)
    assert found.digest == digests.row_digest({**row.raw_spec, "sequence": 7, "pinned": found.as_json()})


def test_a_row_names_its_author() -> None:
    assert pins(new(), source=Source.APP).source is Source.APP


@pytest.mark.parametrize(
    ("since", "verified"), [(None, False), (-1, True), (0, False), (1, False)], ids=["never", "before", "in the same second", "after"]
)
def test_an_author_is_verified_where_the_stamp_was_there_before_the_row(since: int | None, verified: bool) -> None:
    stamped = NOW + timedelta(seconds=since) if since is not None else None
    assert pins(new(created(0)), stamped_since=stamped).created_by_verified is verified


def promoting(**differently: str) -> Row:
    return new(asking(promotedFrom={"namespace": "staging", "app": "chat", "row": "good", "hash": flow_hash("v1")} | differently))


def test_a_promotion_is_verified_by_the_row_that_it_names() -> None:
    assert pins(promoting(), promoted=a_row("good", live(12))).promoted_from == Promoted(verified=True, sequence=12)
    assert pins(new(), promoted=a_row("good", live(12))).promoted_from is None


@pytest.mark.parametrize(
    ("row", "source"),
    [
        pytest.param(promoting(), None, id="not found"),
        pytest.param(promoting(), a_row("good", live(12, "v2")), id="it ran another flow"),
        pytest.param(promoting(hash=flow_hash("v2")), a_row("good", live(12, "v2")), id="this one runs another flow"),
        pytest.param(promoting(), a_row("good", live(12), of_app("other")), id="of another App"),
        pytest.param(promoting(), a_row("good"), id="never rolled out"),
    ],
)
def test_an_unverified_promotion_is_marked_so_and_has_no_other_field(row: Row, source: Row | None) -> None:
    assert pins(row, promoted=source).promoted_from == Promoted(verified=False)


def test_a_promotion_from_another_cluster_is_never_verified() -> None:
    """A local row of that name that ran the same flow is another row."""
    found = completed(promoting(cluster="eu-staging"), promoted=a_row("good", live(12)))
    assert isinstance(found, Pinned)
    assert found.promoted_from == Promoted(verified=False)


def test_a_promotion_from_another_cluster_runs_the_promoted_flow_or_fails() -> None:
    row = promoting(cluster="eu-staging", hash=flow_hash("v2"))
    found = completed(row)
    assert isinstance(found, Refused)
    assert found.message.startswith("chat v1 has another flow here than the one that was promoted (sha256:")


def test_without_an_app_the_row_waits() -> None:
    known = Known(app=None, live=None, versions=(), runtimes={}, rows={}, flows=frozenset(), settings=Settings())
    assert complete(new(), known, sequence=1, source=Source.RECORD, previous_digest=None, now=NOW) == Missing(
        "App chat does not exist in namespace demo"
    )


# The release.


def test_the_newest_release_is_the_one_of_the_highest_number() -> None:
    versions = (a_version("v9"), a_version("v10"), a_version("v2"), a_version("v11", workflow="other"))
    assert pins(new(), versions=versions).workflow_version == "v10"


def test_the_requested_version_is_pinned() -> None:
    found = pins(new(asking(workflowVersion="v1")), versions=(a_version("v1"), a_version("v2")))
    assert (found.workflow_version, found.workflow_hash) == ("v1", flow_hash("v1"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (new(), "workflow chat has no released version yet"),
        (new(asking(workflowVersion="v3")), "WorkflowVersion chat-v3 does not exist in namespace demo"),
    ],
    ids=["newest", "named"],
)
def test_a_release_that_is_not_there_is_waited_for(row: Row, message: str) -> None:
    assert why_missing(row, versions=(a_version("v3", workflow="other"),)) == message


# Restores.


def test_a_rollback_pins_the_release_of_its_row_though_it_was_deleted() -> None:
    old, served = a_row("old", superseded(1, "v1")), a_row("served", live(2, "v2"))
    found = pins(new(asking(restores="old")), old, served=served, versions=(a_version("v2"),))
    assert (found.workflow_version, found.workflow_hash, found.description) == ("v1", flow_hash("v1"), "What v1 does")
    assert found.restores == RowOf(row="old", sequence=1)


def test_a_restore_takes_the_flow_of_the_row_though_the_release_was_made_again() -> None:
    remade = a_version("v1", with_spec(flow="nodes: []"))
    found = pins(new(asking(restores="old")), a_row("old", superseded(1, "v1")), versions=(remade,))
    assert found.workflow_hash == flow_hash("v1") != remade.flow_hash


OLD_RUNTIME = a_runtime(with_image("registry.test/runtime@sha256:" + "0" * 64), name="old-runtime")


def test_a_rollback_keeps_the_live_scaling_and_restores_the_runtime() -> None:
    old = a_row("old", superseded(1, "v1", config={**CONFIG, **scaled(1, 1)}, runtime=OLD_RUNTIME))
    served = a_row("served", live(2, "v2", config={**CONFIG, **scaled(5, 9)}))
    found = pins(new(asking(restores="old")), old, served=served)
    assert config_of(found)["autoscaling"] == {"minReplicas": 5, "maxReplicas": 9, "targetCPUUtilizationPercentage": 80}
    assert found.runtime == OLD_RUNTIME.spec.pins("old-runtime")


def test_a_restore_on_another_runtime_runs_on_that_one() -> None:
    old, served = a_row("old", superseded(1, "v1", runtime=OLD_RUNTIME)), a_row("served", live(2, "v2"))
    assert pins(new(asking(restores="old", runtime="tiny-1")), old, served=served).runtime.name == "tiny-1"


def test_naming_the_kept_runtime_changes_nothing_though_it_was_deleted() -> None:
    old, served = a_row("old", superseded(1, "v1", runtime=OLD_RUNTIME)), a_row("served", live(2, "v2"))
    kept = pins(new(asking(restores="old", runtime="old-runtime")), old, served=served)
    assert kept.runtime == OLD_RUNTIME.spec.pins("old-runtime")
    gone = pins(new(asking(runtime="old-runtime")), served=a_row("served", live(2, "v2", runtime=OLD_RUNTIME)))
    assert gone.runtime == OLD_RUNTIME.spec.pins("old-runtime")


def test_a_restored_runtime_is_under_the_image_policy_but_what_runs_already_is_not() -> None:
    tagged = a_runtime(with_image("registry.test/runtime:latest"), name="tagged")
    old, served = a_row("old", superseded(1, "v1", runtime=tagged)), a_row("served", live(2, "v2", runtime=OLD_RUNTIME))
    row, policy = new(asking(restores="old")), ImagePolicy.DIGEST
    assert "cluster requires a digest" in why_refused(row, old, served=served, image_policy=policy)
    still = a_row("served", live(2, "v2", runtime=tagged))
    assert pins(row, old, served=still, image_policy=policy).runtime.name == "tagged"


ONLY_LIVE = "only a row that went live can be restored"


@pytest.mark.parametrize(
    ("old", "message"),
    [
        (a_row("old"), "row old has not ended yet"),
        (a_row("old", waiting(1)), "row old has not ended yet"),
        (a_row("old", progressing(1, "v1")), "row old has not ended yet"),
        (a_row("old", failed(1, "v1")), "row old failed"),
        (a_row("old", never_deployed(1)), "row old failed"),
        (a_row("old", overtaken(1, "v1")), "row old was overtaken before it went live"),
    ],
    ids=["not numbered", "waiting", "in flight", "failed", "never deployed", "overtaken"],
)
def test_a_row_that_did_not_go_live_is_not_restored(old: Row, message: str) -> None:
    assert why_refused(new(asking(restores="old")), old) == f"{message}: {ONLY_LIVE}"


def test_a_row_to_restore_may_still_come() -> None:
    assert why_missing(new(asking(restores="old"))) == "row old, which this one restores, does not exist in namespace demo"


def test_a_flow_to_restore_may_still_come() -> None:
    waits = why_missing(new(asking(restores="old")), a_row("old", superseded(1, "v1")), flows=frozenset())
    assert waits == f"the flow of row old ({flow_hash('v1')[:19]}…) is in no ConfigMap and no WorkflowVersion"


@pytest.mark.parametrize(
    ("row", "old", "message"),
    [
        (new(asking(restores="new")), a_row("old"), f"row new has not ended yet: {ONLY_LIVE}"),
        (
            new(asking(restores="old")),
            a_row("old", of_app("other"), superseded(1)),
            "row old is of App other: a row can restore only a row of its own App",
        ),
    ],
    ids=["itself", "to another App"],
)
def test_a_restore_that_can_never_be_is_refused(row: Row, old: Row, message: str) -> None:
    assert why_refused(row, old) == message


# The runtime.


def test_the_live_runtime_is_kept_though_it_is_older_deprecated_or_deleted() -> None:
    served = a_row("served", live(1, "v1", runtime=a_runtime(with_image("old"), name="old")))
    found = pins(new(), served=served, runtimes=(a_runtime(created(60), name="newer"),))
    assert (found.runtime.name, found.runtime.image) == ("old", "old")


def test_the_requested_runtime_is_pinned_though_it_is_deprecated() -> None:
    served = a_row("served", live(1))
    runtimes = (a_runtime(), a_runtime(deprecated(), name="old"))
    assert pins(new(asking(runtime="old")), served=served, runtimes=runtimes).runtime.name == "old"


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        (a_runtime(created(60), name="b"), a_runtime(created(0), name="a")),
        (a_runtime(with_spec(version="1.10.0"), name="a"), a_runtime(with_spec(version="1.9.0"), name="b")),
    ],
    ids=["by creation", "then by version"],
)
def test_a_first_deploy_gets_the_newest_runtime_that_is_not_deprecated(newer: Runtime, older: Runtime) -> None:
    newest = a_runtime(created(600), deprecated(), name="z")
    for runtimes in ((newer, older, newest), (newest, older, newer)):
        assert pins(new(), runtimes=runtimes).runtime.name == newer.meta.name


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (new(), "there is no Runtime that is not deprecated"),
        (new(asking(runtime="other")), "Runtime other does not exist"),
    ],
    ids=["newest", "named"],
)
def test_a_runtime_that_is_not_there_is_waited_for(row: Row, message: str) -> None:
    assert why_missing(row, runtimes=(a_runtime(deprecated()),)) == message


def test_a_tag_is_taken_where_the_policy_allows_it() -> None:
    assert pins(new(), runtimes=(TAGGED,)).runtime.image == "registry.test/runtime:1"


def test_a_tag_is_refused_where_the_policy_asks_for_a_digest() -> None:
    assert why_refused(new(), runtimes=(TAGGED,), image_policy=ImagePolicy.DIGEST) == (
        "Runtime tagged names its image by a tag (registry.test/runtime:1), but this cluster requires a digest"
    )
    assert pins(new(), image_policy=ImagePolicy.DIGEST).runtime.name == "tiny-1"


# The config.


@pytest.mark.parametrize(
    ("asked", "served", "expected"),
    [
        (None, None, CONFIG),
        ({"type": "server"}, None, CONFIG),
        (scaled(2, 4), None, {**CONFIG, "autoscaling": {**CONFIG["autoscaling"], "minReplicas": 2, "maxReplicas": 4}}),
        (None, {**CONFIG, **scaled(3, 6)}, {**CONFIG, "autoscaling": {**CONFIG["autoscaling"], "minReplicas": 3, "maxReplicas": 6}}),
        (scaled(maximum=9), {**CONFIG, **scaled(3, 6)}, {**CONFIG, "autoscaling": {**CONFIG["autoscaling"], "minReplicas": 3, "maxReplicas": 9}}),
        (
            {"resources": {"requests": {"cpu": "2"}}},
            {**CONFIG, "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}},
            {**CONFIG, "resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}},
        ),
    ],
    ids=[
        "nothing, first", "type alone, first", "given", "nothing, live kept", "one field, others kept", "one amount, others kept",
    ],
)  # fmt: skip
def test_a_config_is_completed(asked: Manifest | None, served: Manifest | None, expected: Manifest) -> None:
    row = a_row("served", live(1, config=served)) if served else None
    assert config_of(pins(new(asking(config=asked)), served=row)) == expected


def test_the_runtimes_resources_come_before_the_defaults_and_after_the_rows() -> None:
    runtime = a_runtime(with_spec(resources={"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}))
    found = pins(new(asking(config={"resources": {"requests": {"cpu": "1"}}})), runtimes=(runtime,))
    assert config_of(found)["resources"] == {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}


@pytest.mark.parametrize(
    ("asked", "served", "numbers"),
    [
        (scaled(minimum=5), None, (5, 2)),
        (scaled(minimum=7), scaled(3, 6), (7, 6)),
        (scaled(maximum=2), scaled(3, 6), (3, 2)),
    ],
    ids=["default maximum", "live maximum", "live minimum"],
)
def test_a_merged_minimum_above_the_maximum_is_refused(asked: Manifest, served: Manifest | None, numbers: tuple[int, int]) -> None:
    row = a_row("served", live(1, config={**CONFIG, **served})) if served else None
    assert why_refused(new(asking(config=asked)), served=row).startswith(f"minReplicas {numbers[0]} is above maxReplicas {numbers[1]}: ")


SLEEPING = {"type": "serverless", "idleSeconds": 300, "maxReplicas": 10, "holdSeconds": 120, "resources": CONFIG["resources"]}
LARGE = {"resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "8Gi"}}}


@pytest.mark.parametrize(
    ("asked", "served", "expected"),
    [
        ({"type": "serverless"}, None, SLEEPING),
        ({"type": "serverless"}, {**CONFIG, **LARGE}, {**SLEEPING, **LARGE}),
        (None, {**SLEEPING, "idleSeconds": 30, "holdSeconds": 5}, {**SLEEPING, "idleSeconds": 30, "holdSeconds": 5}),
        ({"maxReplicas": 3}, {**SLEEPING, "idleSeconds": 30}, {**SLEEPING, "idleSeconds": 30, "maxReplicas": 3}),
        ({"type": "serverless", "idleSeconds": 60}, CONFIG, {**SLEEPING, "idleSeconds": 60}),
        ({"type": "server"}, {**SLEEPING, **LARGE}, {**CONFIG, **LARGE}),
        ({"resources": {"requests": {"cpu": "1"}}}, SLEEPING, {**SLEEPING, "resources": {"requests": {"cpu": "1", "memory": "256Mi"}}}),
    ],
    ids=[
        "first", "from a server, compute kept", "kept whole", "one field", "one field, from a server", "back to a server, compute kept",
        "compute alone",
    ],
)  # fmt: skip
def test_a_serverless_config_is_completed(asked: Manifest | None, served: Manifest | None, expected: Manifest) -> None:
    row = a_row("served", live(1, config=served)) if served else None
    assert config_of(pins(new(asking(config=asked)), served=row)) == expected


@pytest.mark.parametrize(
    ("asked", "served", "message"),
    [
        (scaled(1, 2), SLEEPING, "the live config is serverless, which has no autoscaling: use maxReplicas, or give type server with it"),
        ({"idleSeconds": 9}, CONFIG, "the config is of type server, which has no idleSeconds: remove it, or give type serverless with it"),
        ({"holdSeconds": 9}, None, "the config is of type server, which has no holdSeconds: remove it, or give type serverless with it"),
    ],
)
def test_fields_of_the_other_type_are_refused(asked: Manifest, served: Manifest | None, message: str) -> None:
    row = a_row("served", live(1, config=served)) if served else None
    assert why_refused(new(asking(config=asked)), served=row) == message


def test_serverless_needs_a_gate_and_waits_where_it_is_not_known_whether_there_is_one() -> None:
    row = new(asking(config={"type": "serverless"}))
    assert why_refused(row, gate=GateState.ABSENT) == NO_GATE
    assert "kubectl apply -k manifests/gate" in NO_GATE
    assert completed(row, gate=GateState.UNKNOWN) == NotReadable(UNREAD_GATE)
    assert isinstance(completed(row, gate=GateState.DOWN), Pinned), "the App is awake until the gate is back"
    assert isinstance(completed(new(), gate=GateState.ABSENT), Pinned), "a server needs none"


@pytest.mark.parametrize("gate", [GateState.ABSENT, GateState.UNKNOWN])
def test_an_app_that_is_serverless_already_goes_on_without_a_gate(gate: GateState) -> None:
    """The App is awake then, and a rollback must not be refused."""
    assert isinstance(completed(new(), served=a_row("served", live(1, config=SLEEPING)), gate=gate), Pinned)


def test_callers_that_are_limited_and_serverless_exclude_each_other() -> None:
    limited = an_app(with_spec(network={"ingressFrom": [{"podSelector": {}}]}))
    assert why_refused(new(asking(config={"type": "serverless"})), app=limited) == LIMITED_CALLERS
    assert why_refused(new(), app=limited, served=a_row("served", live(1, config=SLEEPING))) == LIMITED_CALLERS
    assert isinstance(completed(new(), app=limited), Pinned)
    outgoing = an_app(with_spec(network={"egress": [{"to": [{"podSelector": {}}]}]}))
    assert isinstance(completed(new(asking(config={"type": "serverless"})), app=outgoing), Pinned)


@pytest.mark.parametrize(("before", "after"), [(CONFIG, {"type": "serverless"}), (SLEEPING, {"type": "server"})])
def test_a_change_of_type_makes_no_new_pod(before: Manifest, after: Manifest) -> None:
    app, served = an_app(), a_row("served", live(1, config={**before, **LARGE}))
    then = pins(new(asking(workflowVersion="v1", config=after)), served=served)
    assert served.pinned is not None
    assert then.config.type is not served.pinned.config.type
    assert template_digest(app, Pins.of(then)) == template_digest(app, Pins.of(served.pinned))


def test_completion_does_not_change_the_request() -> None:
    row = new(numbered(7), asking(config=scaled(2, 3)))
    before = dict(row.raw_spec)
    pins(row)
    assert row.raw_spec == before

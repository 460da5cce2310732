"""The effect of a deploy, in words and as data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.background_runs import ConversationCount, OpenRunCount
from dynamiq_operator.views.flow_diff import flow_diff, readable
from dynamiq_operator.views.preview import CONVERSATIONS_UNKNOWN, OPEN_RUNS_UNKNOWN, Preview, Side, change
from tests.support import factories as given

NOW = Side("v1", "sha256:1", "1.0.0", "tiny-1.0.0", "image:1", given.CONFIG, row="chat-a", sequence=1)
THEN = Side("v2", "sha256:2", "1.1.0", "tiny-1.1.0", "image:2", given.CONFIG)
PREVIEW = Preview("demo", "chat", NOW, THEN, ("--- v1", "+++ v2", "@@ -1 +1 @@"), restarts=True, no_op=False, row={})


def test_each_part_has_its_former_and_its_new_value() -> None:
    assert PREVIEW.lines() == [
        "chat in demo",
        "  version  v1 (#1) → v2",
        "  runtime  1.0.0 → 1.1.0",
        "  config   1 to 2 pods at 80 % CPU",
        "  compute  100m CPU and 256Mi memory",
        "  pods are replaced one by one; requests are still answered",
        "",
        "--- v1",
        "+++ v2",
        "@@ -1 +1 @@",
    ]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (replace(PREVIEW, restarts=False), ["  no pod restarts"]),
        (
            replace(PREVIEW, no_op=True, under_way="v2 (#2, chat-b)"),
            ["  v2 (#2, chat-b) is being deployed and would be overtaken", "  nothing else changes: that row deploys exactly this"],
        ),
        (replace(PREVIEW, no_op=True), ["  nothing changes: the App runs exactly this already, and a new row records it"]),
        (
            replace(PREVIEW, restarts=False, under_way="v3 (#3, chat-c)", warnings=("Git deploys this App, too",)),
            ["  v3 (#3, chat-c) is being deployed and would be overtaken", "  no pod restarts", "  Git deploys this App, too"],
        ),
    ],
)
def test_a_preview_has_the_consequences(seen: Preview, said: list[str]) -> None:
    assert replace(seen, flow_diff=()).lines()[5:] == said


@pytest.mark.parametrize(
    ("warm", "said"),
    [
        ((0, 2), "  2 pods start beside those that serve; when all are ready, calls move to them at once"),
        ((0, 1), "  1 pod starts beside those that serve; when all are ready, calls move to them at once"),
        ((2, 0), "  standby: 2 pods ready, no pod starts; calls move to them at once"),
        ((1, 0), "  standby: 1 pod ready, no pod starts; calls move to them at once"),
        ((1, 2), "  standby: 1 pod ready, 2 pods start beside them; when all are ready, calls move to them at once"),
        (None, "  its pods start beside those that serve, unless a standby is ready; when all are ready, calls move to them at once"),
    ],
)
def test_under_switch_a_preview_shows_if_a_standby_is_ready(warm: tuple[int, int] | None, said: str) -> None:
    seen = replace(PREVIEW, switches=True, warm=warm)
    assert replace(seen, flow_diff=()).lines()[5:] == [said]
    data = seen.as_json()
    assert (data["strategy"], data["podsWarm"]) == ("Switch", warm[0] if warm is not None else None)
    assert data["podsRestart"] is ("no pod starts" not in said)
    assert replace(seen, restarts=False, flow_diff=()).lines()[5:] == ["  no pod restarts"]


SLEEPS = {"type": "serverless", "idleSeconds": 60, "maxReplicas": 3, "holdSeconds": 30, "resources": given.CONFIG["resources"]}


@pytest.mark.parametrize(
    ("before", "after", "types", "said"),
    [
        (given.CONFIG, SLEEPS, "server → serverless", ["  the App sleeps while nobody calls, and the next call wakes it"]),
        (SLEEPS, given.CONFIG, "serverless → server", ["  the App no longer sleeps"]),
        (SLEEPS, SLEEPS, "serverless", []),
        (None, SLEEPS, "(nothing) → serverless", ["  the App sleeps while nobody calls, and the next call wakes it"]),
        (None, given.CONFIG, "(nothing) → server", []),
    ],
)
def test_a_preview_shows_the_type_and_if_the_app_will_sleep(before: Manifest | None, after: Manifest, types: str, said: list[str]) -> None:
    now = replace(NOW, config=before) if before is not None else None
    seen = replace(PREVIEW, now=now, then=replace(THEN, config=after), restarts=False, flow_diff=())
    assert seen.lines()[3] == f"  type     {types}"
    assert seen.lines()[6:] == ["  no pod restarts" if now is not None else "  pods are started", *said]


def test_an_app_that_is_asleep_is_woken() -> None:
    seen = replace(PREVIEW, asleep=True, flow_diff=())
    assert seen.lines()[-1] == "  the App is asleep, and wakes for this"
    assert "asleep" not in "".join(replace(seen, no_op=True).lines())


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (PREVIEW.with_open_runs(OpenRunCount(14)), "  14 background runs finish on v1 (#1)"),
        (PREVIEW.with_open_runs(OpenRunCount(1)), "  1 background run finishes on v1 (#1)"),
        (
            replace(PREVIEW, finishing=(("v0 (#0)", 3),)).with_open_runs(OpenRunCount(14)),
            "  11 background runs finish on v1 (#1), 3 on v0 (#0)",
        ),
        (replace(PREVIEW, finishing=(("v0 (#0)", 3),)).with_open_runs(OpenRunCount(2)), "  3 background runs finish on v0 (#0)"),
        (PREVIEW.with_open_runs(None), f"  {OPEN_RUNS_UNKNOWN}"),
    ],
)
def test_a_preview_shows_where_open_background_runs_finish(seen: Preview, said: str) -> None:
    assert replace(seen, flow_diff=()).lines()[6:] == [said]


@pytest.mark.parametrize(
    ("count", "held", "said"),
    [
        (
            OpenRunCount(14, 2, "2026-11-24T12:00:00Z", 3.5 * 86400),
            0,
            ["  2 questions wait for a person, one for 3 days; this needs no pod"],
        ),
        (OpenRunCount(14, 1, "2026-11-24T12:00:00Z", 59), 0, ["  a question waits for a person for less than a minute; this needs no pod"]),
        (OpenRunCount(14, 0), 1, ["  1 of them is held until a person restarts or releases them"]),
        (OpenRunCount(14), 0, []),
    ],
)
def test_a_preview_shows_what_open_background_runs_wait_for(count: OpenRunCount, held: int, said: list[str]) -> None:
    seen = replace(PREVIEW, flow_diff=(), held=held).with_open_runs(count)
    assert seen.lines()[6:] == ["  14 background runs finish on v1 (#1)", *said]
    assert [seen.as_json()[name] for name in ("openRuns", "openQuestions", "oldestQuestionAt", "heldRuns")] == [
        14,
        count.questions,
        count.oldest,
        held,
    ]


TALKING = replace(PREVIEW, flow_diff=(), has_sessions=True, pins="then", titles={"now": "v1 (#1)", "before": "v0 (#0)"})
"""An App whose conversations stay on their versions."""


def _open(runs: int, **sessions: int) -> OpenRunCount:
    """Returns counts of open runs and of conversations by pins; that of pins `gone` have a row of no known version."""
    sequences = {"gone": 7}
    return OpenRunCount(runs, conversations=tuple(ConversationCount(pins, sequences.get(pins), count) for pins, count in sessions.items()))


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (TALKING.with_open_runs(_open(14, now=3)), ["14 background runs and 3 conversations finish on v1 (#1)"]),
        (TALKING.with_open_runs(_open(0, now=1)), ["1 conversation finishes on v1 (#1)"]),
        (
            replace(TALKING, finishing=(("v0 (#0)", 4),)).with_open_runs(_open(5, now=2, before=1, gone=6, unknown=8)),
            [
                "1 background run and 2 conversations finish on v1 (#1), 4 background runs and 1 conversation on v0 (#0), "
                "6 conversations on #7, 8 conversations on an earlier version"
            ],
        ),
        (replace(TALKING, finishing=(("v0 (#0)", 4),)).with_open_runs(_open(0, before=2)), ["2 conversations finish on v0 (#0)"]),
        (TALKING.with_open_runs(_open(0, now=2, then=1)), ["2 conversations finish on v1 (#1), 1 conversation on v2"]),
        (TALKING.with_open_runs(_open(0)), []),
        (TALKING.with_open_runs(OpenRunCount(2)), ["2 background runs finish on v1 (#1)", CONVERSATIONS_UNKNOWN]),
        (TALKING.with_open_runs(None), [OPEN_RUNS_UNKNOWN, CONVERSATIONS_UNKNOWN]),
    ],
)
def test_a_preview_shows_where_conversations_go_on(seen: Preview, said: list[str]) -> None:
    assert seen.lines()[6:] == [f"  {each}" for each in said]


TAKING = replace(TALKING, takes_sessions=True)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (
            TAKING.with_open_runs(_open(14, now=3, before=2, then=5)),
            [
                "14 background runs finish on v1 (#1)",
                "5 conversations move to this version once it is live: 3 of v1 (#1), 2 of v0 (#0)",
            ],
        ),
        (
            replace(TAKING, restarts=False).with_open_runs(_open(14, before=1)),
            ["1 conversation moves to this version once it is live: 1 of v0 (#0)"],
        ),
        (TAKING.with_open_runs(_open(0, then=5)), ["no conversation is open on another version"]),
        (
            replace(TAKING, restarts=False).with_open_runs(None),
            ["conversations of other versions move to this one once it is live", CONVERSATIONS_UNKNOWN],
        ),
    ],
)
def test_a_preview_shows_which_conversations_a_deploy_takes(seen: Preview, said: list[str]) -> None:
    assert seen.lines()[6:] == [f"  {each}" for each in said]


def test_data_of_a_preview_have_the_conversations() -> None:
    data = TAKING.with_open_runs(_open(1, now=3, before=2)).as_json()
    assert (data["openConversations"], data["takesSessions"], len(data["openRunNotes"])) == (5, True, 2)
    assert TALKING.with_open_runs(OpenRunCount(1)).as_json()["openConversations"] is None


def test_a_preview_without_open_background_runs_or_other_pods_has_no_sentence_about_them() -> None:
    for seen in (
        PREVIEW.with_open_runs(OpenRunCount(0)),
        replace(PREVIEW, restarts=False).with_open_runs(OpenRunCount(5, 1)),
        replace(PREVIEW, now=None).with_open_runs(OpenRunCount(5, 1)),
    ):
        assert "background" not in "".join(seen.lines())


def test_two_runtimes_of_one_version_are_distinguished() -> None:
    again = replace(PREVIEW, then=replace(THEN, runtime="1.0.0"))
    assert again.lines()[2] == "  runtime  1.0.0 (tiny-1.0.0, image:1) → 1.0.0 (tiny-1.1.0, image:2)"


def test_a_preview_shows_the_compute_of_each_pod() -> None:
    most = {**given.CONFIG, "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}}
    assert (
        "  compute  100m CPU and 256Mi memory → 1 CPU, at most 2 CPU and 1Gi memory"
        in replace(PREVIEW, then=replace(THEN, config=most)).lines()
    )


def test_the_row_that_comes_back_is_named() -> None:
    assert replace(PREVIEW, then=replace(THEN, restores="chat-z")).lines()[1] == "  restores chat-z"


def test_before_the_first_deploy_there_is_nothing() -> None:
    assert replace(PREVIEW, now=None).lines()[1:5] == [
        "  version  (nothing) → v2",
        "  runtime  (nothing) → 1.1.0",
        "  type     (nothing) → server",
        "  config   (nothing) → 1 to 2 pods at 80 % CPU",
    ]
    assert replace(PREVIEW, now=None).as_json()["from"] is None


def test_data_of_a_preview_have_every_field() -> None:
    assert PREVIEW.as_json() == {
        "namespace": "demo",
        "app": "chat",
        "from": {
            "row": "chat-a",
            "sequence": 1,
            "version": "v1",
            "flowHash": "sha256:1",
            "config": given.CONFIG,
            "restores": None,
            "restoredSequence": None,
            "runtime": "1.0.0",
            "runtimeName": "tiny-1.0.0",
            "image": "image:1",
        },
        "to": {
            "row": None,
            "sequence": None,
            "version": "v2",
            "flowHash": "sha256:2",
            "config": given.CONFIG,
            "restores": None,
            "restoredSequence": None,
            "runtime": "1.1.0",
            "runtimeName": "tiny-1.1.0",
            "image": "image:2",
        },
        "flowDiff": "--- v1\n+++ v2\n@@ -1 +1 @@",
        "podsRestart": True,
        "noOp": False,
        "strategy": "Rolling",
        "podsWarm": None,
        "podsToStart": None,
        "asleep": False,
        "openRuns": None,
        "heldRuns": 0,
        "openQuestions": None,
        "oldestQuestionAt": None,
        "openConversations": None,
        "takesSessions": False,
        "openRunNotes": [],
        "callers": None,
        "underWay": None,
        "guards": [],
        "waits": None,
        "beginsHold": False,
        "bypassReason": None,
        "warnings": [],
    }


def test_an_unchanged_value_is_shown_once() -> None:
    assert change("runtime", "1.0.0", "1.0.0") == "  runtime  1.0.0"


@pytest.mark.parametrize(("before", "after"), [(None, "a"), ("a", "a")])
def test_no_diff_without_two_flows_that_differ(before: str | None, after: str) -> None:
    assert flow_diff(before, after, "v1", "v2") == ()


def test_a_flow_on_one_line_is_laid_out_before_it_is_compared() -> None:
    assert flow_diff('{"nodes": [1]}', '{"nodes": [2]}', "v1", "v2")[2:] == (
        "@@ -1,5 +1,5 @@",
        " {",
        '   "nodes": [',
        "-    1",
        "+    2",
        "   ]",
        " }",
    )
    assert readable('{"broken": ') == ['{"broken": ']
    assert readable("{a: 1}\nb") == ["{a: 1}", "b"]
    assert readable('{"é": 1}') == ["{", '  "é": 1', "}"]

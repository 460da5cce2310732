"""Names stay within their limits, differ for different things, and sort as people expect."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from dynamiq_operator.model import names

LONGEST_APP = "a" * 39 + "b"
LONGEST_TRIGGER = "t" * 20
HASH = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize("length", [1, 62, 63])
def test_a_short_name_is_kept(length: int) -> None:
    assert names.shortened("a" * length) == "a" * length


@pytest.mark.parametrize("name", ["a" * 64, "a" * 300, "a" * 50 + "-" * 10 + "b" * 10, "a" * 53 + "." + "b" * 20])
def test_a_long_name_is_cut_to_the_limit_and_still_a_dns_label(name: str) -> None:
    cut = names.shortened(name)
    assert len(cut) <= names.LABEL_MAX
    assert cut[-10].isalnum()
    assert cut[-9] == "-"
    assert cut[-8:].isalnum()


def test_names_that_are_cut_at_the_same_place_differ() -> None:
    begin = "a" * 63
    assert len({names.shortened(begin + end) for end in ("", "a", "b", "ab", "-a")}) == 5


@pytest.mark.parametrize(
    "made",
    [
        names.service,
        names.route,
        names.autoscaler,
        names.disruption_budget,
        names.access_keys,
        lambda app: names.workload(app),
        lambda app: names.flow(app, HASH),
    ],
    ids=["service", "ingress", "autoscaler", "disruption budget", "access keys", "workload", "flow"],
)
def test_every_child_of_the_longest_app_name_fits(made: Callable[[str], str]) -> None:
    assert len(made(LONGEST_APP)) <= names.LABEL_MAX


def test_a_service_for_turns_is_named_for_app_and_pins_and_is_no_other_apps() -> None:
    pins = "01234567"
    made = [names.turns(app, each) for app in ("chat", LONGEST_APP, f"chat-{pins}") for each in (pins, "89abcdef")]
    assert len(set(made)) == len(made)
    assert all(len(name) <= names.LABEL_MAX and len(name.rpartition("-")[2]) == 8 for name in made)
    assert made[0].startswith(f"chat-{pins}-turns-")


def test_the_cron_job_of_the_longest_trigger_leaves_room_for_its_jobs() -> None:
    name = names.trigger(LONGEST_APP, LONGEST_TRIGGER)
    assert len(name) <= names.CRON_JOB_MAX
    assert name != names.trigger(LONGEST_APP, LONGEST_TRIGGER[:-1] + "u")


def test_flows_of_an_app_have_names_of_their_own() -> None:
    assert names.flow("chat", HASH) == "chat-flow-0123456789abcdef"
    assert names.flow("chat", HASH) != names.flow("chat", HASH.replace("0", "1", 1))


def test_flows_differ_from_other_config_maps_by_name() -> None:
    assert names.is_flow("chat", names.flow("chat", HASH))
    assert names.is_flow(LONGEST_APP, names.flow(LONGEST_APP, HASH))
    assert not names.is_flow("chat", "chat-settings")


@pytest.mark.parametrize("workflow", ["chat", "chat-v2"])
def test_the_name_of_a_workflow_version_gives_back_what_it_was_made_of(workflow: str) -> None:
    assert names.workflow_and_version(names.workflow_version(workflow, "v12")) == (workflow, "v12")


def test_no_row_under_a_key_can_be_taken_for_one_from_git() -> None:
    assert not names.may_be_declared("chat", names.row_under_key("chat", "0123456789abcdef" * 4))


def test_pods_are_selected_by_identity_alone() -> None:
    assert names.pod_selector("chat") == {names.APP_LABEL: "chat"}
    assert names.pod_selector("chat").items() <= names.labels("chat").items()


def test_the_same_event_has_the_same_name() -> None:
    assert names.event("uid", "Deployed", "v1") == names.event("uid", "Deployed", "v1")
    parts = [("uid", "Deployed", "v1"), ("uid", "Deployed", "v2"), ("other", "Deployed", "v1"), ("uid", "Failed", "v1")]
    for one, other in itertools.combinations(parts, 2):
        assert names.event(*one) != names.event(*other)


@pytest.mark.parametrize(
    "ordered",
    [
        ["v1", "v2", "v10", "v100"],
        ["row-9", "row-10", "row-10-a", "row-11"],
        ["1.9.0", "1.10.0", "1.10.1", "2.0.0"],
        ["a", "a1", "b"],
        ["10", "a"],
    ],
    ids=" ".join,
)
def test_natural_order(ordered: list[str]) -> None:
    assert sorted(set(ordered), key=names.natural) == ordered


def test_a_sign_that_is_a_digit_but_no_number_is_text() -> None:
    assert names.natural("1²") == ((0, 1, ""), (1, 0, "²"))

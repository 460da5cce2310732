"""Changes of an App's settings: by name, and without values that may be secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamiq_operator.model.app_change import AppChangeSpec, ChangeReason
from dynamiq_operator.model.chain import Misfit, verify_changes
from dynamiq_operator.model.digests import change_digest
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings_changes import Seen, SettingsKey, next_change

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY, OTHER_KEY = SettingsKey(b"k" * 32), SettingsKey(b"x" * 32)
SECRET = "hunter2"
MODEL, PASSWORD = {"name": "MODEL", "value": "gpt"}, {"name": "PASSWORD", "value": SECRET}
MANY_ORIGINS = [f"https://{number}.example.com" for number in range(20)]
NIGHTLY = {"name": "nightly", "schedule": "0 3 * * *", "input": '{"a": 1}'}


def seen(generation: int = 1, *, at: float = 0, after: int | None = None, uid: str = "u", since: float | None = -60, **spec: Any) -> Seen:
    """Returns App chat, `at` minutes after noon. `since`: from how many minutes after noon the API server stamped authors."""
    stamped = NOW + timedelta(minutes=since) if since is not None else None
    full = {"workflow": "chat", "settingsChangedBy": "anna", **spec}
    return Seen("demo", "chat", uid, generation, full, NOW + timedelta(minutes=at), after, stamped, NOW)


def recorded(*some: Seen, key: SettingsKey = KEY) -> list[AppChangeSpec]:
    """Returns the AppChanges that these observations make, in order."""
    found: list[AppChangeSpec] = []
    for each in some:
        if (change := next_change(each, key, found[-1] if found else None)) is not None:
            found.append(change)
    return found


def shown(*specs: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    """Returns the values that the last of these specs changed, as they are shown."""
    return [(each.from_, each.to) for each in recorded(*(seen(number, **spec) for number, spec in enumerate(specs, 1)))[-1].changes]


def changed(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns the changes between two specs: field, name if there is one, and kind of change."""
    _, *later = recorded(seen(1, **before), seen(2, **now))
    return [tuple(filter(None, (each.field, each.name, each.change.value))) for change in later for each in change.changes]


def test_the_first_record_has_the_initial_states() -> None:
    (first,) = recorded(seen(1, variables=[MODEL]))
    assert (first.sequence, first.reason, first.changes, first.summary) == (1, ChangeReason.FIRST, (), "the App was created")
    assert [(each.field, each.name) for each in first.states] == [("variables", "MODEL"), ("workflow", None)]
    (adopted,) = recorded(seen(7))
    assert adopted.summary == "recorded from here on"


def test_who_may_call_is_shown_with_its_origins_unless_they_are_too_long() -> None:
    bare, one, more = ({"access": {"type": "private", "origins": origins}} for origins in ([], ["https://a.test"], MANY_ORIGINS))
    assert shown({"access": {"type": "private"}}, one) == [("private", "private, origins https://a.test")]
    assert shown(one, {"access": {"type": "public", "origins": ["*"]}}) == [("private, origins https://a.test", "public, origins *")]
    assert changed({"access": {"type": "private"}}, bare) == []
    assert shown(one, more) == [("private, origins https://a.test", None)]


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ({"variables": [MODEL]}, {"variables": [MODEL, PASSWORD]}, [("variables", "PASSWORD", "Added")]),
        ({"variables": [MODEL, PASSWORD]}, {"variables": [MODEL]}, [("variables", "PASSWORD", "Removed")]),
        ({"variables": [PASSWORD]}, {"variables": [{**PASSWORD, "value": "other"}]}, [("variables", "PASSWORD", "Changed")]),
        ({"variables": [PASSWORD]}, {"variables": [{"name": "PASSWORD", "secret": {"name": "a", "key": "b"}}]}, [("variables", "PASSWORD", "Changed")]),
        ({"variables": [MODEL, PASSWORD]}, {"variables": [PASSWORD, MODEL]}, []),
        ({"triggers": [NIGHTLY]}, {"triggers": [{**NIGHTLY, "suspend": True}]}, [("triggers", "nightly", "Changed")]),
        ({}, {"hostname": "a.test"}, [("hostname", "Added")]),
        ({"hostname": "a.test"}, {"hostname": "b.test"}, [("hostname", "Changed")]),
        ({"access": {"type": "private"}}, {"access": {"type": "public"}}, [("access", "Changed")]),
        ({"access": {"type": "private"}}, {"access": {"type": "private", "origins": MANY_ORIGINS}}, [("access", "Changed")]),
        (
            {"access": {"type": "private", "origins": MANY_ORIGINS}},
            {"access": {"type": "private", "origins": MANY_ORIGINS[1:]}},
            [("access", "Changed")],
        ),
        ({"runs": {"content": True}}, {"runs": {"content": True, "shapes": False}}, [("runs", "Changed")]),
        ({"rollout": {"strategy": "Rolling"}}, {"rollout": {"strategy": "Switch"}}, [("rollout", "Changed")]),
        ({"fieldOfAnotherVersion": {"a": 1}}, {"fieldOfAnotherVersion": {"a": 2}}, [("fieldOfAnotherVersion", "Changed")]),
        ({"deploy": {"workflowVersion": "v1"}}, {"deploy": {"workflowVersion": "v2"}}, []),
        ({"settingsChangedBy": "anna"}, {"settingsChangedBy": "bo"}, []),
        ({"network": {"a": 1, "b": 2}}, {"network": {"b": 2, "a": 1}}, []),
    ],
)  # fmt: skip
def test_changes_are_named_by_field(before: dict[str, Any], now: dict[str, Any], found: list[tuple[str, ...]]) -> None:
    assert changed(before, now) == found


def test_a_record_has_author_time_row_and_versions_of_the_app() -> None:
    _, change = recorded(seen(1, variables=[MODEL]), seen(4, at=90, after=12, settingsChangedBy="bo", variables=[]))
    assert (change.by, change.by_verified, change.at, change.after) == ("bo", True, "2026-11-24T13:30:00Z", 12)
    assert (change.generation.from_, change.generation.to, change.sequence) == (1, 4, 2)


def test_no_value_of_a_variable_or_of_a_trigger_is_kept() -> None:
    variables, short = [MODEL, PASSWORD, {"name": "PIN", "value": "1234"}], json.dumps(NIGHTLY)
    made = recorded(
        seen(1, variables=variables, triggers=[NIGHTLY]), seen(2, variables=[{**PASSWORD, "value": "1234"}], description="plan B")
    )
    text = json.dumps([each.as_json() for each in made])
    assert not [value for value in (SECRET, "gpt", "1234", NIGHTLY["input"], "plan B", short) if value in text]
    macs = {each.name: each.mac for each in made[0].states if each.mac}
    assert len(set(macs.values())) == len(macs)
    assert macs["PIN"] != next(each.mac for each in made[1].states if each.name == "PASSWORD"), "one value under two names looks like two"
    assert repr(KEY) == f"SettingsKey({KEY.id})"


def test_the_same_value_in_another_app_looks_otherwise() -> None:
    assert KEY.mac(("demo", "chat"), ("variables", "A"), "x") != KEY.mac(("demo", "other"), ("variables", "A"), "x")
    assert KEY.mac(("demo", "chat"), ("variables", "A"), "x") != OTHER_KEY.mac(("demo", "chat"), ("variables", "A"), "x")


def test_public_fields_are_recorded_with_both_values() -> None:
    _, change = recorded(
        seen(1, hostname="a.test", access={"type": "private"}, variables=[MODEL]),
        seen(2, hostname="b.test", access={"type": "public"}, suspend=True, variables=[{**MODEL, "value": "x"}, PASSWORD]),
    )
    assert (
        change.summary == "access private → public; hostname a.test → b.test; suspend set to true; variables MODEL changed, PASSWORD added"
    )
    assert [(each.field, each.from_, each.to) for each in change.changes if each.name is None] == [
        ("access", "private", "public"),
        ("hostname", "a.test", "b.test"),
        ("suspend", None, "true"),
    ]


def test_with_another_key_it_is_not_known_which_values_changed() -> None:
    (first,) = recorded(seen(1, variables=[MODEL, PASSWORD], hostname="a.test"))
    change = next_change(seen(2, variables=[MODEL], hostname="b.test"), OTHER_KEY, first)
    assert change is not None
    assert (change.reason, change.key) == (ChangeReason.REKEYED, OTHER_KEY.id)
    assert change.summary.startswith("hostname a.test → b.test; variables PASSWORD removed; whether other values changed is not known")
    alike = next_change(seen(1, variables=[MODEL, PASSWORD], hostname="a.test"), OTHER_KEY, first)
    assert alike is not None
    assert alike.changes == (), "the next one can be compared again"


@pytest.mark.parametrize(("since", "by", "verified"), [(-60, "anna", True), (30, "anna", False), (None, "anna", False), (-60, None, False)])
def test_an_author_is_verified_where_the_policy_stood_before_the_change(since: float | None, by: str | None, verified: bool) -> None:
    (first,) = recorded(seen(1))
    change = next_change(seen(2, at=60, since=since, hostname="a.test", settingsChangedBy=by), KEY, first)
    assert change is not None
    assert change.by_verified is verified


def test_a_long_summary_is_cut_and_what_changed_is_not() -> None:
    many = [{"name": f"VARIABLE_{number:03}", "value": ""} for number in range(128)]
    _, change = recorded(seen(1), seen(2, variables=many))
    assert (len(change.summary), change.summary[-1], len(change.changes)) == (1024, "…", 128)


# The chain.


def chain() -> list[Manifest]:
    """Returns four AppChanges in a chain, as they are stored."""
    hosts = [seen(number, hostname=f"{number}.test") for number in range(1, 5)]
    return [{"metadata": {"name": f"chat-settings-{each.sequence}"}, "spec": each.as_json()} for each in recorded(*hosts)]


def test_unchanged_records_fit() -> None:
    verdict = verify_changes(chain()[::-1])
    assert (verdict.rows, verdict.misfits) == (4, ())
    assert (verdict.oldest, verdict.newest) == (chain()[0]["spec"]["digest"], chain()[-1]["spec"]["digest"])
    assert verify_changes(chain()[2:]).misfits == (), "retention lets the oldest go"
    assert verify_changes([]).rows == 0


def test_every_change_of_a_record_is_found() -> None:
    for part, other in (
        ("by", "mallory"),
        ("after", 9),
        ("at", "2026-11-24T12:00:01Z"),
        ("changes", []),
        ("states", []),
        ("summary", "nothing"),
    ):
        rows = chain()
        rows[1]["spec"][part] = other
        assert verify_changes(rows).misfits == (Misfit("chat-settings-2", "its content does not have its digest: it was changed"),), part


def test_a_record_that_is_missing_or_made_anew_is_found() -> None:
    rows = chain()
    del rows[1]
    (misfit,) = verify_changes(rows).misfits
    assert (misfit.row, "does not follow chat-settings-1" in misfit.reason) == ("chat-settings-3", True)
    rows = chain()
    rows[1]["spec"]["by"] = "mallory"
    rows[1]["spec"]["digest"] = change_digest(rows[1]["spec"])
    assert [each.row for each in verify_changes(rows).misfits] == ["chat-settings-3"]
    rows = [*chain(), {**chain()[1], "metadata": {"name": "twin"}}]
    assert "sequence 2 is that of chat-settings-2, too" in {each.reason for each in verify_changes(rows).misfits}


@pytest.mark.parametrize("spec", [None, {}, {"sequence": "1"}, {"sequence": 0}])
def test_a_damaged_record_is_named(spec: Any) -> None:
    (misfit,) = verify_changes([*chain(), {"metadata": {"name": "damaged"}, "spec": spec}]).misfits
    assert misfit.row == "damaged"

"""Rows kept in Git: either kind of apply, repeated before and after the operator has completed them, leaves the same rows."""

from __future__ import annotations

import copy

import pytest

from dynamiq_operator.model import kinds
from tests.support.admission import ADMIN, adopt, essence, made, operator
from tests.support.api import Api, Manifest
from tests.support.cluster import Kubectl
from tests.support.factories import Modifier, annotated, app_manifest, asking, in_namespace, live, row_manifest, with_spec

pytestmark = pytest.mark.usefixtures("guarded")

APPLIES: dict[str, tuple[str, ...]] = {"client-side": (), "server-side": ("--server-side",), "server-side, by force": ("--server-side", "--force-conflicts")}  # fmt: skip
SENT: dict[str, tuple[Modifier, ...]] = {
    "least": (),
    "all that is asked": (asking(workflowVersion="v1", runtime="tiny-1", message="why", config={"autoscaling": {"maxReplicas": 3}}),),
    "with Argo CD's options": (annotated(**{"argocd.argoproj.io/sync-options": "ServerSideApply=true"}),),
    "with another's name": (with_spec(createdBy="mallory"),),
}
OVERRIDDEN = ("with Argo CD's options", "with another's name")
"""Cases in which a policy changes the applied content. A client-side apply sends it each time, and the API server renews managedFields."""

REPEATS = 2


def sent(namespace: str) -> list[Manifest]:
    return [row_manifest(name_of(what), in_namespace(namespace), *modifiers) for what, modifiers in SENT.items()]


def name_of(what: str) -> str:
    return f"chat-{list(SENT).index(what):04}"


def see(api: Api, rows: list[Manifest]) -> None:
    """Makes the operator's first write, which stores the schema's default status."""
    # Any write before it, even an empty one, would store that status as well.
    for row in rows:
        made(operator(api).merge(row, {"status": {"phase": "Pending", "observedGeneration": 1}}, subresource="/status"))


def complete(api: Api, rows: list[Manifest]) -> None:
    """Completes rows as the operator does: it numbers, pins, ends and owns them, and writes their status."""
    app = made(api.create(app_manifest(in_namespace(rows[0]["metadata"]["namespace"]))))
    for number, row in enumerate(rows, 1):
        completed = row_manifest(row["metadata"]["name"], live(number))
        parts = {name: completed["spec"][name] for name in ("sequence", "pinned", "outcome")}
        made(operator(api).merge(row, {"spec": parts}))
        made(operator(api).merge(row, {"status": completed["status"]}, subresource="/status"))
    adopt(api, app, *rows)


def stored(api: Api, rows: list[Manifest]) -> list[Manifest]:
    return [made(api.read(row)) for row in rows]


def undated(found: list[Manifest]) -> list[Manifest]:
    """Returns rows without the fields that date a write without changes."""
    rows = copy.deepcopy(found)
    for row in rows:
        del row["metadata"]["resourceVersion"]
        owned = [{name: part for name, part in entry.items() if name != "time"} for entry in row["metadata"]["managedFields"]]
        row["metadata"]["managedFields"] = sorted(owned, key=str)
    return rows


@pytest.mark.parametrize("how", APPLIES)
def test_applied_again_they_are_the_same(api: Api, kubectl: Kubectl, namespace: str, how: str) -> None:
    rows = sent(namespace)
    kubectl("apply", *APPLIES[how], "-f", "-", input=rows)
    see(api, rows)
    unlike = {name_of(what) for what in OVERRIDDEN} if how == "client-side" else set()
    for completed in (False, True):
        if completed:
            complete(api, rows)
        before = stored(api, rows)
        assert all(row["spec"]["createdBy"] == ADMIN for row in before)
        for _ in range(REPEATS):
            done = kubectl("apply", *APPLIES[how], "-f", "-", input=rows)
            assert not done.stderr
        after = stored(api, rows)
        assert undated(after) == undated(before)
        assert {one["metadata"]["name"] for one, other in zip(after, before, strict=True) if one != other} <= unlike
        diff = kubectl("diff", *APPLIES[how], "-f", "-", input=rows, check=False)
        assert (diff.returncode, diff.stdout) == (0, ""), diff.stdout + diff.stderr
    assert len(made(api.get(kinds.ROW.kind, "", namespace))["items"]) == len(rows), "there is no second row"


def test_one_kind_of_apply_after_the_other_and_the_original_in_its_place_change_no_row(api: Api, kubectl: Kubectl, namespace: str) -> None:
    rows = sent(namespace)
    kubectl("apply", "-f", "-", input=rows)
    complete(api, rows)
    before = [essence(row) for row in stored(api, rows)]
    for how in ("server-side, by force", "client-side", "server-side, by force"):
        kubectl("apply", *APPLIES[how], "-f", "-", input=rows)
        assert [essence(row) for row in stored(api, rows)] == before
    generations = [(row["metadata"]["generation"], row["status"]) for row in stored(api, rows)]
    for _ in range(REPEATS):
        kubectl("replace", "-f", "-", input=rows)
    after = stored(api, rows)
    assert [essence(row) for row in after] == before
    assert [(row["metadata"]["generation"], row["status"]) for row in after] == generations


def test_another_row_under_the_same_name_is_refused(api: Api, kubectl: Kubectl, namespace: str) -> None:
    rows = [row for row in sent(namespace) if row["metadata"]["name"] == name_of("all that is asked")]
    kubectl("apply", "-f", "-", input=rows)
    before = stored(api, rows)
    rows[0]["spec"]["workflowVersion"] = "v2"
    for flags in APPLIES.values():
        done = kubectl("apply", *flags, "-f", "-", input=rows[0], check=False)
        assert "workflowVersion of a row never changes: create another row to deploy something else" in done.stderr
    assert [essence(row) for row in stored(api, rows)] == [essence(row) for row in before]

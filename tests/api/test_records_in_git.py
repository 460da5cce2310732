"""Rows kept in Git: applied again, by either kind of apply, they are the same rows, before and after the operator has completed them."""

from __future__ import annotations

import copy

import pytest

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
"""What Git says and a policy changes: a client-side apply sends it each time, and the API server dates and sorts managedFields anew."""

REPEATS = 3


def sent(namespace: str, what: str) -> list[Manifest]:
    return [row_manifest(name, in_namespace(namespace), *SENT[what]) for name in ("chat-0001", "chat-0002")]


def see(api: Api, rows: list[Manifest]) -> None:
    """The operator's first write: until then any write, be it of nothing, also stores the status that the schema has by default."""
    for row in rows:
        made(operator(api).merge(row, {"status": {"phase": "Pending", "observedGeneration": 1}}, subresource="/status"))


def complete(api: Api, rows: list[Manifest]) -> None:
    """What the operator does to rows: it numbers, pins, ends and owns them, and says their status."""
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
    """Rows without what dates a write that changed nothing."""
    rows = copy.deepcopy(found)
    for row in rows:
        del row["metadata"]["resourceVersion"]
        owned = [{name: part for name, part in entry.items() if name != "time"} for entry in row["metadata"]["managedFields"]]
        row["metadata"]["managedFields"] = sorted(owned, key=str)
    return rows


@pytest.mark.parametrize("what", SENT)
@pytest.mark.parametrize("how", APPLIES)
def test_applied_again_they_are_the_same(api: Api, kubectl: Kubectl, namespace: str, how: str, what: str) -> None:
    rows = sent(namespace, what)
    kubectl("apply", *APPLIES[how], "-f", "-", input=rows)
    see(api, rows)
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
        assert after == before or (what in OVERRIDDEN and how == "client-side")
        diff = kubectl("diff", *APPLIES[how], "-f", "-", input=rows, check=False)
        assert (diff.returncode, diff.stdout) == (0, ""), diff.stdout + diff.stderr
    collection = f"/apis/{rows[0]['apiVersion']}/namespaces/{namespace}/deployments"
    assert len(made(api.request("GET", collection))["items"]) == len(rows)
    print(f"{2 * REPEATS} applies ({how}; {what}) of {len(rows)} rows, before and after completion: no change, no diff, no second row")


@pytest.mark.parametrize("what", SENT)
def test_one_kind_of_apply_after_the_other_changes_no_row(api: Api, kubectl: Kubectl, namespace: str, what: str) -> None:
    rows = sent(namespace, what)
    kubectl("apply", "-f", "-", input=rows)
    complete(api, rows)
    before = [essence(row) for row in stored(api, rows)]
    for how in ("server-side, by force", "client-side", "server-side, by force"):
        kubectl("apply", *APPLIES[how], "-f", "-", input=rows)
        assert [essence(row) for row in stored(api, rows)] == before


@pytest.mark.parametrize("what", SENT)
def test_the_original_replaces_a_row_by_itself(api: Api, kubectl: Kubectl, namespace: str, what: str) -> None:
    rows = sent(namespace, what)
    kubectl("create", "-f", "-", input=rows)
    complete(api, rows)
    before = stored(api, rows)
    for _ in range(REPEATS):
        kubectl("replace", "-f", "-", input=rows)
    after = stored(api, rows)
    assert [essence(row) for row in after] == [essence(row) for row in before]
    assert [(row["metadata"]["generation"], row["status"]) for row in after] == [
        (row["metadata"]["generation"], row["status"]) for row in before
    ]


def test_another_row_under_the_same_name_is_refused(api: Api, kubectl: Kubectl, namespace: str) -> None:
    rows = sent(namespace, "all that is asked")
    kubectl("apply", "-f", "-", input=rows)
    before = stored(api, rows)
    rows[0]["spec"]["workflowVersion"] = "v2"
    for flags in APPLIES.values():
        done = kubectl("apply", *flags, "-f", "-", input=rows[0], check=False)
        assert "workflowVersion of a row never changes: create another row to deploy something else" in done.stderr
    assert [essence(row) for row in stored(api, rows)] == [essence(row) for row in before]

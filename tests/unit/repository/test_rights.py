"""Each right has its reason. Each use in an audit log counts once for the role that allowed it, and unused rights are listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.rights import MANIFESTS, Grant, grants, roles
from tests import rights as command
from tests import run
from tests.support import audited
from tests.support.audited import Used

OPERATOR = "system:serviceaccount:dynamiq-system:dynamiq-operator"
GROUP = "dynamiq.getdynamiq.ai"
GATE = "ClusterRole dynamiq-gate"
LEASE = "Role dynamiq-operator-lease"


def line(
    verb: str, resource: str, *, role: str = GATE, code: int = 200, user: str = OPERATOR, agent: str = "Python/3.11", **more: Any
) -> bytes:
    """Returns a line of the log about a request that a role allowed; without a role it was refused."""
    group, _, name = resource.rpartition(" ")
    plain, _, sub = name.partition("/")
    reference = {
        "resource": plain,
        "name": more.pop("name", "one"),
        **({"apiGroup": group} if group else {}),
        **({"subresource": sub} if sub else {}),
    }
    kind, _, named = role.partition(" ")
    reason = f'RBAC: allowed by {kind}Binding "{named}" of {kind} "{named}" to ServiceAccount "x/y"' if role else ""
    said = {"authorization.k8s.io/decision": "allow" if role else "forbid", "authorization.k8s.io/reason": reason}
    entry = {"verb": verb, "user": {"username": user}, "userAgent": agent, "objectRef": reference, "responseStatus": {"code": code}, **more}
    return json.dumps({**entry, "annotations": said}, separators=(",", ":")).encode() + b"\n"


def used(*lines: bytes) -> dict[str, int]:
    found = audited.reduced(lines, audited.restricted(grants(roles())))
    return {str(each): count for each, count in found.rights.items()}


def test_every_rule_has_its_purpose() -> None:
    """The comment needs a reason: the name of the resource is not enough."""
    silent = [f"{role.file}: {role.name}: {rule.resources}" for role in roles() for rule in role.rules if len(rule.why.split()) < 3]
    assert silent == []


def test_every_role_is_found_and_whose_it_is() -> None:
    written = [path for path in MANIFESTS.rglob("*.yaml") if "helm" not in path.parts and "kind: ClusterRole\n" in path.read_text()]
    assert {role.file for role in roles()} >= {str(path.relative_to(MANIFESTS)) for path in written}
    holders = {role.holder for role in roles() if role.is_program}
    programs = ("operator", "api", "gate", "recorder", "journal", "retire-gate", "test")
    assert holders == {f"dynamiq-{name}" for name in programs}
    proxies = {"dynamiq-recorder-proxy", "dynamiq-journal-proxy"}
    assert {role.name for role in roles() if role.holder and not role.is_program} == {"dynamiq-restorer", *proxies}


def test_a_request_is_a_use_of_the_right_that_allowed_it() -> None:
    assert used(
        line("patch", "apps deployments/scale"), line("patch", "apps deployments/scale"), line("list", "discovery.k8s.io endpointslices")
    ) == {
        f"{GATE}: patch deployments/scale.apps": 2,
        f"{GATE}: list endpointslices.discovery.k8s.io": 1,
    }


def test_an_apply_that_creates_takes_two_rights() -> None:
    """The log shows a patch, but without `create` the API server would have refused it."""
    assert set(used(line("patch", "services", code=201))) == {f"{GATE}: patch services", f"{GATE}: create services"}
    assert set(used(line("patch", "services", code=409))) == {f"{GATE}: patch services"}


def test_a_right_to_named_objects_is_counted_by_name() -> None:
    leases = "coordination.k8s.io leases"
    found = used(line("update", leases, role=LEASE, name="dynamiq-operator"), line("update", leases, role=LEASE, name="other"))
    assert found == {f"{LEASE}: update leases.coordination.k8s.io {name}": 1 for name in ("dynamiq-operator", "other")}


def test_a_review_of_the_recorder_is_a_use_by_the_reviewed_user() -> None:
    review = {
        "spec": {
            "user": OPERATOR,
            "resourceAttributes": {"group": GROUP, "resource": "apps", "subresource": "runs", "verb": "get", "namespace": "demo"},
        }
    }
    by = 'RBAC: allowed by ClusterRoleBinding "dynamiq-operator" of ClusterRole "dynamiq-operator" to ServiceAccount "dynamiq-operator/dynamiq-system"'
    reviews = "authorization.k8s.io subjectaccessreviews"
    found = [
        set(
            used(
                line(
                    "create",
                    reviews,
                    role="ClusterRole dynamiq-recorder",
                    code=201,
                    requestObject=review,
                    responseObject={"status": status},
                )
            )
        )
        for status in ({"allowed": True, "reason": by}, {"allowed": False})
    ]
    own = f"ClusterRole dynamiq-recorder: create {reviews.split()[1]}.authorization.k8s.io"
    assert found == [{own, f"ClusterRole dynamiq-operator: get apps/runs.{GROUP}"}, {own}]


@pytest.mark.parametrize(
    "seen",
    [
        line("list", "pods", role="ClusterRole system:controller:job-controller"),
        line("list", "pods", agent="kubectl/v1.37.2"),
        line("list", "pods", agent="OpenAPI-Generator/37.0.0/python"),
        line("list", "pods", agent=audited.AGENT),
        line("list", "pods", user="admin", impersonatedUser={"username": OPERATOR}),
        line("list", "pods").rstrip(b"\n")[:-20],
    ],
    ids=[
        "a role of Kubernetes",
        "kubectl with its token",
        "a test with its token",
        "a test's attack",
        "an administrator in its name",
        "half a line",
    ],
)
def test_requests_of_others_are_no_use_by_a_program(seen: bytes) -> None:
    assert used(seen) == {}


def test_kubectl_of_a_person_is_a_use_of_their_role() -> None:
    assert used(line("list", "pods", role="ClusterRole dynamiq-view", user="anna", agent="kubectl/v1.37.2")) == {
        "ClusterRole dynamiq-view: list pods": 1
    }


def test_a_denied_request_of_a_program_is_kept() -> None:
    found = audited.reduced([line("delete", "services", role="", code=403), line("delete", "services", role="", code=403, user="anna")], ())
    assert [str(each) for each in found.refused] == ["dynamiq-operator: delete services"]


def test_a_log_is_read_with_those_that_were_full(tmp_path: Path) -> None:
    (tmp_path / "audit-2026-11-29T02-00-00.000.log").write_bytes(line("list", "secrets"))
    (tmp_path / "audit.log").write_bytes(line("watch", "secrets"))
    found = audited.of_log(tmp_path / "audit.log")
    assert ({each.verb for each in found.rights}, found.whole) == ({"list", "watch"}, True)
    (tmp_path / "audit-2026-11-29T03-00-00.000.log").write_bytes(b"")
    assert not audited.of_log(tmp_path / "audit.log").whole


def test_uses_are_equal_after_serializing_and_parsing() -> None:
    found = audited.reduced([line("list", "pods"), line("get", "pods", role="", code=403)], ())
    assert Used.of_json(json.loads(json.dumps(found.as_json()))) == found


def everything() -> Used:
    """Returns a use of each right."""
    found = Used()
    found.rights.update({each: 1 for each in grants(roles()) if (each.role, each.verb) not in command.UNSEEN})
    return found


def test_a_program_that_has_a_right_which_nothing_used_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = everything()
    (tmp_path / "api.json").write_text(json.dumps(found.as_json()))
    assert command.main(["--folder", str(tmp_path)]) == 0
    del found.rights[Grant(GATE, "patch", "apps", "deployments/scale")]
    (tmp_path / "api.json").write_text(json.dumps(found.as_json()))
    assert command.main(["--folder", str(tmp_path)]) == 1
    assert f"{GATE}: patch deployments/scale.apps  # to wake an App" in capsys.readouterr().out


def test_one_suite_makes_up_for_another(tmp_path: Path) -> None:
    parts = [Used(), Used()]
    for place, each in enumerate(everything().rights):
        parts[place % 2].rights[each] = 1
    for place, part in enumerate(parts):
        (tmp_path / f"{place}.json").write_text(json.dumps(part.as_json()))
    assert command.main(["--folder", str(tmp_path)]) == 0
    (tmp_path / "1.json").unlink()
    assert command.main(["--folder", str(tmp_path)]) == 1


def test_nothing_to_judge_by_is_no_proof(tmp_path: Path) -> None:
    assert command.main(["--folder", str(tmp_path)]) == 1


def test_a_right_of_a_role_for_people_may_lie_idle() -> None:
    found = everything()
    idle = Grant("ClusterRole dynamiq-edit", "deletecollection", GROUP, "apps")
    del found.rights[idle]
    result = command.compared(roles(), found)
    assert (result.unused, result.by_nobody) == ((), (idle,))


def test_every_exception_is_a_granted_right() -> None:
    """An exception for a removed right would hide the next right of its name."""
    assert set(command.UNSEEN) <= {(each.role, each.verb) for each in grants(roles())}


def test_a_use_that_no_manifest_gives_is_named() -> None:
    found = everything()
    found.rights[Grant(GATE, "delete", "", "pods")] = 1
    assert [str(each) for each in command.compared(roles(), found).more] == [f"{GATE}: delete pods"]


@pytest.mark.parametrize("plan", ["test", "ci"])
def test_all_suites_together_are_judged_once_at_the_end(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in run.BORROWED:
        monkeypatch.delenv(name, raising=False)
    assert [each.arguments[1:] for each in run.PLANS[plan]().last] == [("-m", "tests.rights")]
    assert all("tests.rights" not in str(each) for each in (run.check(), run.coverage(), run.console(), run.soak()))
    monkeypatch.setenv("CLUSTER", "of-somebody")
    assert run.PLANS[plan]().last == ()

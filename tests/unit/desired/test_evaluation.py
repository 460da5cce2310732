"""The Job that evaluates new pods has the fewest possible rights, and does not count as a pod of the App."""

from __future__ import annotations

from dynamiq_operator.desired.evaluation import evaluation_job, evaluation_key
from dynamiq_operator.model import names
from dynamiq_operator.model.verification import VerifyJob
from tests.support import factories as given

JOB = VerifyJob(image="registry.test/judge:1", command=("judge",), args=("--least=0.9",))


def test_an_evaluation_runs_without_privileges_and_no_service_selects_it() -> None:
    app = given.an_app()
    made = evaluation_job(app, "judge", "row-uid", JOB, 60, ["10.0.0.7", "fd00::7"], 8080)
    pod = made["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert not names.pod_selector(given.NAME).items() <= pod["metadata"]["labels"].items()
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"].keys() == {"memory", "ephemeral-storage"}
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert env["DYNAMIQ_URLS"] == "http://10.0.0.7:8080/,http://[fd00::7]:8080/"
    assert (made["spec"]["backoffLimit"], made["spec"]["activeDeadlineSeconds"], made["spec"]["suspend"]) == (0, 60, True)


def test_its_key_is_in_a_secret_that_goes_with_it() -> None:
    made = evaluation_key(given.an_app(), "judge", "job-uid", "the-key")
    assert [each["uid"] for each in made["metadata"]["ownerReferences"]] == ["job-uid"]
    job = evaluation_job(given.an_app(), "judge", "row-uid", JOB, 60, ["10.0.0.7"], 8080)
    assert "the-key" not in str(job)

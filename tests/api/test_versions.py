"""docs/versions.md about the running Kubernetes: a newer one has every feature, an older one the table's replacement."""

from __future__ import annotations

import pytest
import yaml

from local import components
from local.clusters import Cluster
from tests.api.support.dry_run import namespaces_of
from tests.support import versions
from tests.support.admission import ADMIN, PRUNE, RESTORING, admin, is_stamped, made, operator, refused, restorer
from tests.support.api import Api
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.factories import annotated, app_manifest, asking, in_namespace, row_manifest, with_deploy, with_spec

pytestmark = pytest.mark.usefixtures("guarded")

MANIFESTS = REPOSITORY / "manifests"
BEFORE = MANIFESTS / "overlays" / "before-1.36"


def test_the_cluster_has_the_requested_version(cluster: Cluster, api: Api, kubectl: Kubectl) -> None:
    if cluster.profile in ("node", "control-plane"):  # another is of a version of its own
        version = api.request("GET", "/version").body["gitVersion"]
        assert version == f"v{components.KUBERNETES.version}"
        client = yaml.safe_load(kubectl("version", "--client", "-o", "yaml").stdout)
        assert client["clientVersion"]["gitVersion"] == version


def test_policies_that_stamp_are_there_from_1_36_on(cluster: Cluster, api: Api) -> None:
    served = {each["name"] for each in api.request("GET", "/apis/admissionregistration.k8s.io/v1").body["resources"]}
    assert "validatingadmissionpolicies" in served
    assert ("mutatingadmissionpolicies" in served) == versions.stamps(cluster)
    assert is_stamped(api) == versions.stamps(cluster)


def test_an_author_is_stamped_or_missing_and_never_forged(cluster: Cluster, api: Api, namespace: str) -> None:
    stamps, here = versions.stamps(cluster), in_namespace(namespace)
    row = made(admin(api, "ada").create(row_manifest("first", here, asking(message="why"))))
    assert row["spec"].get("createdBy") == ("ada" if stamps else None)
    forged = admin(api, "ada").create(row_manifest("second", here, with_spec(createdBy="mallory")))
    if stamps:
        assert made(forged)["spec"]["createdBy"] == "ada"
    else:
        refused(forged, "leave createdBy of a row out: it must be its author, ada")
    app = made(admin(api, "ada").create(app_manifest(here, with_deploy(workflowVersion="v1"))))["spec"]
    assert app["deploy"].get("changedBy") == ("ada" if stamps else None)
    assert app.get("settingsChangedBy") == ("ada" if stamps else None)


def test_git_prunes_nothing_from_1_36_on_and_earlier_by_the_manifest(cluster: Cluster, api: Api, namespace: str) -> None:
    found = made(api.create(row_manifest("first", in_namespace(namespace))))["metadata"].get("annotations", {})
    assert found.get(PRUNE) == ("disabled" if versions.stamps(cluster) else None)


def test_the_original_of_a_row_replaces_it_from_1_36_on_and_is_applied_before(
    cluster: Cluster, api: Api, kubectl: Kubectl, namespace: str
) -> None:
    sent = row_manifest("first", in_namespace(namespace), asking(message="why"))
    found = made(api.create(sent))
    made(operator(api).merge(found, {"spec": {"sequence": 1}}))
    answer = api.replace(
        {**sent, "metadata": {**sent["metadata"], "resourceVersion": made(api.read(found))["metadata"]["resourceVersion"]}}
    )
    assert answer.ok == versions.stamps(cluster), answer.message
    kubectl("apply", "-f", "-", input=sent, namespace=namespace)
    assert made(api.read(found))["spec"]["sequence"] == 1


def test_a_restored_app_pauses_by_itself_from_1_36_on_and_earlier_by_its_annotation(cluster: Cluster, api: Api, namespace: str) -> None:
    back = restorer(api)
    plain, written = (
        made(back.create(app_manifest(in_namespace(namespace), *more, name=name)))["metadata"].get("annotations", {})
        for name, more in (("plain", ()), ("written", (annotated(**{RESTORING: "true"}),)))
    )
    assert plain.get(RESTORING) == ("true" if versions.stamps(cluster) else None)
    assert written[RESTORING] == "true"


def test_history_stays_on_every_version(api: Api, namespace: str) -> None:
    row = made(api.create(row_manifest("first", in_namespace(namespace))))
    refused(api.delete(row), "is history")
    refused(api.merge(row, {"spec": {"sequence": 1}}), "leave them out")
    made(operator(api).merge(row, {"spec": {"sequence": 1}}))
    refused(api.create(row_manifest("second", in_namespace(namespace), with_spec(sequence=9))), f"not by {ADMIN}")


def test_the_manifests_of_this_version_need_mutating_policies_and_the_older_ones_do_not(
    cluster: Cluster, api: Api, kubectl: Kubectl
) -> None:
    stamps = versions.stamps(cluster)
    for folder, fits in ((MANIFESTS, stamps), (BEFORE, True)):
        with namespaces_of(api, kubectl.kustomized(folder)):
            arguments = ("apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-k", str(folder))
            done = kubectl(*arguments, check=False)
        assert (done.returncode == 0) == fits, done.stderr
        if not fits:
            assert 'no matches for kind "MutatingAdmissionPolicy"' in done.stderr

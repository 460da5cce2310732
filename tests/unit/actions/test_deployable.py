"""The state from which a row can be restored by a rollback, as far as the caller may read it."""

from __future__ import annotations

import pytest

from dynamiq_operator.actions.deployable import deployables
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import REJECTIONS, RUNTIMES, SECRETS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.kinds import REJECTION
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Script, ScriptedApi, listed
from tests.support.scripted_namespace import CONFIG_MAPS, FORBIDDEN, NOT_FOUND, UNAUTHORIZED, flow_path, holding

KEY = {"name": "TOKEN", "secret": {"name": "model", "key": "token"}}
ROWS = [
    given.stored(given.row_manifest("chat-1", given.superseded(1, "v1"))),
    given.stored(given.row_manifest("chat-2", given.failed(2, "v2"))),
    given.stored(given.row_manifest("chat-3", given.live(3, "v3"))),
]


def kept(*versions: str) -> list[Manifest]:
    """Returns the ConfigMaps of flows, as a list of metadata has them."""
    return [{"metadata": {"annotations": {names.FLOW_HASH_ANNOTATION: given.flow_hash(version)}}} for version in versions]


def a_rejection(version: str, **more: object) -> Manifest:
    spec = {"workflowHash": given.flow_hash(version), "version": version, "reason": "loses invoices", "by": "anna", **more}
    return given.manifest(REJECTION, f"no-{version}", spec)


def cluster(*modifiers: given.Modifier, flows: list[Manifest], rejections: list[Manifest] | None = None) -> Script:
    script = holding(given.app_manifest(*modifiers), *ROWS)
    script.on("GET", CONFIG_MAPS.path(given.NAMESPACE), listed(*flows))
    script.on("GET", REJECTIONS.path(given.NAMESPACE), listed(*(rejections or [])))
    return script.on("GET", RUNTIMES.path(), listed())


def deployable_rows(script: Script) -> dict[str, bool | None]:
    return {name: each.ok for name, each in deployables(ScriptedApi(script), given.NAMESPACE, given.NAME, ROWS).items()}


def test_a_flow_is_searched_in_releases_only_if_its_config_map_is_missing() -> None:
    script = cluster(flows=kept("v1", "v3"))
    assert deployable_rows(script) == {"chat-1": True, "chat-2": False, "chat-3": True}
    assert not [sent for sent in script.sent if sent.path == VERSIONS.path(given.NAMESPACE)]
    script = cluster(flows=kept("v3"))
    assert deployable_rows(script)["chat-1"] is False
    renamed = given.version_manifest("v9", given.with_spec(flow=given.flow("v1")))
    script.on("GET", VERSIONS.path(given.NAMESPACE), listed(renamed))
    assert deployable_rows(script)["chat-1"] is True, "the same flow under another name is the same flow"


def test_a_rejection_counts_until_it_is_withdrawn() -> None:
    script = cluster(flows=kept("v1", "v3"), rejections=[a_rejection("v1")])
    found = deployables(ScriptedApi(script), given.NAMESPACE, given.NAME, ROWS)["chat-1"]
    assert found.reasons == ("v1 was rejected by anna: loses invoices",)
    assert (
        deployable_rows(cluster(flows=kept("v1", "v3"), rejections=[a_rejection("v1", withdrawn={"reason": "mended"})]))["chat-1"] is True
    )


@pytest.mark.parametrize(
    "path", [CONFIG_MAPS.path(given.NAMESPACE), REJECTIONS.path(given.NAMESPACE), SECRETS.path(given.NAMESPACE, "model")]
)
def test_a_requirement_that_the_caller_may_not_read_is_unknown(path: str) -> None:
    script = cluster(given.with_variables(KEY), flows=kept("v1", "v3"))
    script.on("GET", SECRETS.path(given.NAMESPACE, "model"), {"metadata": {}, "data": {"token": "eA=="}})
    assert deployable_rows(script)["chat-1"] is True
    script.on("GET", path, FORBIDDEN)
    for version in ("v1", "v3"):
        script.on("GET", flow_path(version), FORBIDDEN)
    assert deployable_rows(script)["chat-1"] is None
    script.on("GET", path, UNAUTHORIZED)
    with pytest.raises(errors.Denied):
        deployable_rows(script)


def test_a_missing_key_is_named() -> None:
    script = cluster(given.with_variables(KEY), flows=kept("v1", "v3")).on("GET", SECRETS.path(given.NAMESPACE, "model"), NOT_FOUND)
    found = deployables(ScriptedApi(script), given.NAMESPACE, given.NAME, ROWS)
    assert found["chat-1"].reasons == ("variable TOKEN takes key token of Secret model, which does not exist",)
    assert found["chat-3"].ok is True, "it runs already"


def test_a_page_of_rows_that_never_went_live_reads_nothing_but_the_app() -> None:
    script = cluster(flows=[])
    assert deployables(ScriptedApi(script), given.NAMESPACE, given.NAME, ROWS[1:2])["chat-2"].ok is False
    assert len(script.sent) == 1

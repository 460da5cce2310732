"""Objects that are nested deeper than JSON parsers allow. An API server stores them; their neighbours notice nothing."""

from __future__ import annotations

from pathlib import Path

from dynamiq_operator.model import kinds
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.history_stage import APP, HistoryStage, stage
from tests.support.operator import Operator
from tests.support.plugin import Plugin

LEVELS = 3000
"""Levels of nesting. orjson accepts 1,024, Python's own parser fewer."""
FIELD = '{"f:spec":'


def make_deep(on: HistoryStage, app: str) -> None:
    """Gives an App deeply nested managedFields, as anybody who may write it can."""
    version = on.get(kinds.APP.kind, app)["apiVersion"]
    fields = FIELD * LEVELS + '{"f:displayName":{}}' + "}" * LEVELS
    entry = f'{{"manager":"odd","operation":"Update","apiVersion":"{version}","fieldsType":"FieldsV1","fieldsV1":{fields}}}'
    patch = f'{{"metadata":{{"managedFields":[{entry}]}}}}'
    apps = f"{kinds.APP.plural}.{version.split('/')[0]}"
    on.kubectl("patch", apps, app, "--type=merge", "--patch", patch, namespace=on.namespace)
    stored = on.kubectl("get", "--raw", f"/apis/{version}/namespaces/{on.namespace}/{kinds.APP.plural}/{app}").stdout
    assert stored.count(FIELD) >= LEVELS, "the API server stores it"


def test_an_object_that_is_nested_deeply_hides_no_other(cluster: Cluster, account: Path, tmp_path: Path) -> None:
    with stage(cluster, "deep") as on:
        for app in ("before", "meanwhile", APP):
            on.app(app, given.public(), workflow=APP)
        make_deep(on, "before")
        with Operator(account, tmp_path, [on.namespace]):
            on.live(APP, "v1", runtime=on.default_runtime)
            make_deep(on, "meanwhile")
            on.live(APP, "v2", runtime=on.default_runtime)
            on.live("meanwhile", "v1", runtime=on.default_runtime)
        listed = Plugin(cluster, on.namespace, tmp_path).said("list")
        assert {line.split()[0] for line in listed.splitlines()[1:]} == {"before", "meanwhile", APP}

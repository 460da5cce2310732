"""Runtimes over HTTP: the list from which a deployment's Runtime is chosen."""

from __future__ import annotations

from dynamiq_operator.kube.resources import RUNTIMES
from dynamiq_operator.rest.runtimes.responses import RuntimeResponse
from tests.support import factories as make
from tests.support.rest_stage import RestStage
from tests.support.scripted import failure


def test_runtimes_newest_first(stage: RestStage) -> None:
    stage.put(make.runtime_manifest(make.with_spec(version="1.10.0", engine=None), make.created(5), name="tiny-10"))
    stage.put(make.runtime_manifest(make.with_spec(version="1.9.0"), make.created(5), make.deprecated(), name="tiny-9"))
    stage.put(
        make.runtime_manifest(make.with_spec(version="2.0.0", label=None), make.with_image("registry.test/a:b"), make.created(9), name="z")
    )
    answer = stage.get("/v1/runtimes")
    for each in answer:
        RuntimeResponse.model_validate(each)
    assert [each["version"] for each in answer] == ["2.0.0", "1.10.0", "1.9.0", "1.0.0"]
    assert [(each["is_pinned_by_digest"], each["deprecated"], each["engine"]) for each in answer] == [
        (False, False, "tiny"),
        (True, False, "tiny"),
        (True, True, "tiny"),
        (True, False, "tiny"),
    ]
    assert answer[-1]["id"] == stage.uid(RUNTIMES, make.RUNTIME_NAME)
    assert [each["version"] for each in stage.get("/v1/runtimes?include_deprecated=false&page_size=2&page=2")] == ["1.0.0"]


def test_a_caller_who_may_not_read_runtimes_gets_the_name_of_the_role(stage: RestStage) -> None:
    stage.script.on("GET", RUNTIMES.path(), failure(403, "Forbidden", "anna may not list runtimes"))
    assert "anna may not list runtimes: ask for the role dynamiq-runtimes" in stage.call("GET", "/v1/runtimes").error(403)["message"]
    stage.script.on("GET", RUNTIMES.path(), failure(401, "Unauthorized"))
    stage.call("GET", "/v1/runtimes").error(401)

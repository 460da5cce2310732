"""Deleting an App deletes no other App of its name."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.actions.delete_app import perform_deletion, plan_deletion
from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS
from tests.support.scripted import Script, ScriptedApi
from tests.support.scripted_namespace import CONFLICT, FORBIDDEN, NOT_FOUND

PATH = APPS.path("demo", "chat")
PLAN = plan_deletion("demo", "chat", "uid-1")


def test_it_is_the_one_that_was_meant() -> None:
    script = Script().on("DELETE", PATH, {})
    perform_deletion(ScriptedApi(script), PLAN)
    assert script.bodies("DELETE", PATH) == [{"preconditions": {"uid": "uid-1"}, "propagationPolicy": "Background"}]


@pytest.mark.parametrize(("answer", "raised"), [(NOT_FOUND, Unknown), (CONFLICT, Unknown), (FORBIDDEN, errors.Denied)])
def test_it_is_not_deleted(answer: Any, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        perform_deletion(ScriptedApi(Script().on("DELETE", PATH, answer)), PLAN)

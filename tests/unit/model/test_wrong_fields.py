"""The message about a wrong field."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dynamiq_operator.model.wrong_fields import in_words
from dynamiq_operator.rest.http.models import IdInput


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: Annotated[str, Field(min_length=1, max_length=1024)] = "why"
    workflow_id: IdInput = "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11"
    count: int = 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"message": "x" * 3012}, "at most 1,024 characters, and this has 3,012"),
        ({"message": ""}, "at least 1 characters, and this has 0"),
        ({"workflow_id": "support"}, "this is not an id, which is a UUID such as 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11"),
        ({"mesage": "x"}, "this field does not exist"),
        ({"count": "many"}, "Input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_a_wrong_field_has_a_message_for_users(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        Asked.model_validate(given)
    assert in_words(wrong.value.errors()[0]) == said

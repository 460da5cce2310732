"""The project's version stands in pyproject.toml; where text has to repeat it, it says the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import dynamiq_runtime
from dynamiq_operator.model.settings import TRIGGER_IMAGE
from local import images

REPOSITORY = Path(__file__).parents[2]
WRITTEN_IN = ("Dockerfile", "README.md", "docs/**/*.md", "examples/**/*.yaml", "manifests/**/*.yaml")
TAG = re.compile(r"(?:dynamiq\.local|registry\.example/dynamiq)/(?:operator|runtime|runtime-sdk):([\w.-]+\w)")


def tags() -> Iterator[tuple[str, str]]:
    """Each tag that a text gives to one of our images, with the text's path."""
    for pattern in WRITTEN_IN:
        for path in sorted(REPOSITORY.glob(pattern)):
            for found in TAG.findall(path.read_text()):
                yield str(path.relative_to(REPOSITORY)), found


def test_every_image_that_a_text_names_has_the_projects_version() -> None:
    found = list(tags())
    assert {"Dockerfile", "README.md", "manifests/base/deployment.yaml", "manifests/api/deployment.yaml"} <= {path for path, _ in found}
    assert [each for each in found if each[1] != images.version()] == []


def test_the_runtime_and_the_image_that_triggers_call_apps_with_have_the_projects_version() -> None:
    assert dynamiq_runtime.__version__ == images.version()
    assert images.RUNTIME.reference == TRIGGER_IMAGE

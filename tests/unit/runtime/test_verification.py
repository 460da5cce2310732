"""A pod that is verified before callers reach it accepts one key while its annotation exists, and its test runs count nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.runtime import ECHO, Served, serving
from tests.support.waiting import eventually
from tests.unit.support.mounts import mount, swap

KEY = "of-the-verification"
NOTE = f'dynamiq.getdynamiq.ai/verification="{hashlib.sha256(KEY.encode()).hexdigest()}"\n'
ZONE = 'zone="b"\n'
HEADER = {"X-Dynamiq-Verification": "true"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@contextmanager
def a_pod(folder: Path, **settings: str) -> Iterator[tuple[Served, Path]]:
    info = mount(folder / "info", {"annotations": ZONE})
    with serving(folder, ECHO, DYNAMIQ_POD_ANNOTATIONS=str(info / "annotations"), **settings) as served:
        yield served, info


def knows(served: Served) -> bool:
    return served.request("GET", "/v1/verification", headers=bearer(KEY)).status == 204


@pytest.mark.parametrize("private", [True, False])
def test_its_key_is_taken_as_long_as_the_annotation_is_there(tmp_path: Path, private: bool) -> None:
    keys = {"DYNAMIQ_ACCESS_KEYS_DIR": str(mount(tmp_path / "keys", {"default": "of-a-caller"}))} if private else {}
    with a_pod(tmp_path, **keys) as (served, info):
        assert not knows(served)
        assert served.run({"n": 1}, headers=bearer(KEY) | HEADER).status == 403
        swap(info, {"annotations": ZONE + NOTE})
        eventually("it knows the key", lambda: knows(served))
        assert served.run({"n": 1}, headers=bearer(KEY) | HEADER).status == 200
        assert served.run({"n": 1}, headers=bearer("another") | HEADER).status == 403
        assert served.run({"n": 1}, key="of-a-caller").status == 200
        swap(info, {"annotations": ZONE})
        eventually("it knows the key no more", lambda: not knows(served))
        assert served.run({"n": 1}, headers=bearer(KEY) | HEADER).status == 403
        assert served.run({"n": 1}, key=KEY).status == (401 if private else 200)


def test_runs_of_a_smoke_test_count_in_no_figure(tmp_path: Path) -> None:
    with a_pod(tmp_path) as (served, info):
        swap(info, {"annotations": ZONE + NOTE})
        eventually("it knows the key", lambda: knows(served))
        for _ in range(3):
            assert served.run({"n": 1}, headers=bearer(KEY) | HEADER | {"X-Dynamiq-Trigger": "nightly"}).status == 200
        assert served.run({"n": 1}).status == 200
        assert served.activity["runs"] == {"succeeded": 1, "failed": 0, "refused": 0}
        assert served.metric('dynamiq_runtime_runs_total{outcome="succeeded"}') == 1
        assert served.metric('dynamiq_runtime_runs_by_trigger_total{trigger="nightly"}') == 0


def test_a_value_of_another_annotation_is_no_key(tmp_path: Path) -> None:
    with a_pod(tmp_path) as (served, info):
        swap(info, {"annotations": f'note="a\\n{NOTE.strip()}"\n' + 'dynamiq.getdynamiq.ai/verification="short"\nseen="1"\n'})
        assert not knows(served)

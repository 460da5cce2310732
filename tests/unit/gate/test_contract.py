"""The product's contract of an App's hostname, request by request, through the gate to a real pod with the engine `tiny`."""

from __future__ import annotations

from pathlib import Path

from tests.support.gate_stage import GateStage
from tests.support.runs_contract import KEY, ORIGIN, READS
from tests.support.runtime import serving
from tests.unit.support.mounts import mount


async def test_each_documented_request_is_served_or_refused_by_name(stage: GateStage, tmp_path: Path) -> None:
    keys = mount(tmp_path / "keys", {"default": KEY})
    with serving(tmp_path, READS, DYNAMIQ_ACCESS_KEYS_DIR=str(keys), DYNAMIQ_ORIGINS=ORIGIN) as served:
        await stage.check_contract(served)

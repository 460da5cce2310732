"""The product's contract of an App's hostname, request by request, through the gate to a real pod with the engine `tiny`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.gate_stage import HOST, GateStage
from tests.support.runs_contract import CASES, KEY, ORIGIN, READS, check
from tests.support.runtime import serving
from tests.unit.support.mounts import mount


async def test_each_documented_request_is_served_or_refused_by_name(stage: GateStage, tmp_path: Path) -> None:
    keys = mount(tmp_path / "keys", {"default": KEY})
    with serving(tmp_path, READS, DYNAMIQ_ACCESS_KEYS_DIR=str(keys), DYNAMIQ_ORIGINS=ORIGIN) as served:
        port = stage.asleep(private=True, origins=[ORIGIN])
        stage.keys("chat", KEY)
        stage.serving("chat", await stage.pod(1, started=False, port=served.port))
        await stage.start()
        for case in CASES:
            await asyncio.to_thread(check, f"http://{HOST}:{port}", case)

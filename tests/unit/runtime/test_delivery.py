"""When a batch is sent again: a recorder's Retry-After makes the wait longer, and never zero."""

from __future__ import annotations

import gzip

import pytest

from dynamiq_runtime.batches import Batch, Delivery, Outcome
from dynamiq_runtime.recorder_client import Recorder
from tests.support.recorder import Told, recording


class Patient(Delivery):
    """A delivery that notes its pauses without making them. After four, its time is over."""

    def __init__(self, url: str) -> None:
        super().__init__(Recorder(url, None, None))
        self.pauses: list[float] = []

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == 4:
            self.hurry(0.0)


@pytest.mark.parametrize("status", [503, 429, 401])
@pytest.mark.parametrize("said", ["0", "-5", "nan", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "soon", "inf"])
def test_retry_after_of_a_recorder_never_leads_to_an_immediate_retry(status: int, said: str) -> None:
    with recording() as recorder:
        recorder.told = Told(status, {"Retry-After": said})
        delivery = Patient(recorder.url)
        assert delivery.deliver(Batch(gzip.compress(b"{}"), [], is_last=False, is_full=False)) is Outcome.LATE
        delivery.close()
        assert len(recorder.refused) == 4
    assert len(delivery.pauses) == 4
    assert min(delivery.pauses) >= 0.25
    assert max(delivery.pauses) <= 60

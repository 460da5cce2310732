"""The journal reads a limited number of bytes at once, unpacked: large contents of a caller or a pod do not end it."""

from __future__ import annotations

import random
import tracemalloc

import msgspec
import pytest

from dynamiq_recorder.journal import reading
from dynamiq_recorder.journal.model import OUTPUT_MAX, NewEvent, Refused
from dynamiq_recorder.journal.tables import packed, unpacked_within
from tests.support.journal import APP
from tests.support.journal_store import Kept, a_save, everything


def test_a_page_has_contents_up_to_a_limit_and_reads_none_beyond_it(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_BYTES", 100_000)
    noise, zeros = random.Random(1).randbytes(30_000).hex().encode(), bytes(70_000)  # noqa: S311
    ids = [kept.accepted(input=each) for each in (noise, b"{}", zeros, b"{}", noise)]
    page, _ = kept.store.page(everything(descending=False))
    assert [(each.run.id, each.input, each.is_omitted) for each in page] == [
        *[(ids[0], noise, False), (ids[1], b"{}", False)],
        *[(each, None, True) for each in ids[2:]],
    ]
    assert [each.is_omitted for each in kept.store.page(everything(descending=False), content=False)[0]] == [False] * 5
    shown = kept.store.run(APP.app_uid, ids[2])
    assert shown is not None
    assert (shown.input, shown.is_omitted) == (zeros, False)


def test_content_beyond_a_limit_is_not_decompressed() -> None:
    bomb = packed(bytes(100 << 20))
    tracemalloc.start()
    assert unpacked_within(bomb, 1 << 20) is None
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    for data in (b"{}", bytes(5_000)):
        assert unpacked_within(packed(data), len(data)) == data
        assert unpacked_within(packed(data), len(data) - 1) is None


def test_events_are_read_up_to_a_limit(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    noise, zeros = b'"%s"' % random.Random(1).randbytes(300_000).hex().encode(), b'"%s"' % (b"0" * 400_000)  # noqa: S311
    run_id, fence = kept.begun()
    for number, data in enumerate((noise, *[zeros] * 50, *[noise] * 50), 1):
        kept.save(msgspec.structs.replace(a_save(run_id, fence, number), events=(NewEvent("x", data),)))
    monkeypatch.setattr(reading, "EVENTS_BYTES", 1_000_000)
    last, sizes = 2, []
    while True:
        tracemalloc.start()
        found = kept.store.events(APP.app_uid, run_id, last)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()
        assert found is not None
        if not found.events:
            break
        assert [each.sequence for each in found.events] == list(range(last + 1, last + 1 + len(found.events)))
        last = found.events[-1].sequence
        sizes.append(sum(len(each.data or b"") for each in found.events))
    assert last == found.run.last_event == 103
    assert max(sizes) <= 1_000_000
    monkeypatch.setattr(reading, "EVENTS_BYTES", 1_000)
    found = kept.store.events(APP.app_uid, run_id, 2)
    assert found is not None
    assert [each.data for each in found.events] == [noise], "one at least, however large"


def test_an_output_that_is_too_large_is_refused(kept: Kept) -> None:
    run_id, fence = kept.begun()
    with pytest.raises(Refused) as refused:
        kept.end(run_id, fence, output=bytes(OUTPUT_MAX + 1))
    assert (refused.value.code, refused.value.details) == ("checkpoint_too_large", {"id": run_id})
    assert kept.end(run_id, fence, output=bytes(OUTPUT_MAX)).ok

"""Files that are sent with a run: what is taken, what is refused, and what attacks cost."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import socket
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dynamiq_runtime import uploads
from dynamiq_runtime.server import Server
from dynamiq_runtime.settings import from_environment
from dynamiq_runtime.uploads import FORM_MOST, PARTS_MOST, type_of
from tests.support.flows import a_flow
from tests.support.forms import BAD, END, HEAD, TYPE, ZIP, part
from tests.support.runs_contract import READS
from tests.support.runtime import DEADLINE, Answer, Served, serving
from tests.support.waiting import eventually

COUNTS = a_flow(
    "import io, time\ndef run(d):\n    while d.get('until'):\n        try:\n            io.open(d['until']).close()\n            break\n"
    "        except OSError:\n            time.sleep(0.02)\n    return [len(f.read()) for f in d.get('files', [])]\n"
)
"""A flow that answers with the sizes of its files, once the file exists that its input names `until`."""
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32
DOCX = io.BytesIO()
with zipfile.ZipFile(DOCX, "w") as archive:
    for name in ("[Content_Types].xml", "_rels/.rels", "word/document.xml"):
        archive.writestr(name, "<x/>")


def sent(served: Served, body: bytes, **headers: str) -> Answer:
    return served.request("POST", "/", body, {"Content-Type": TYPE, **headers})


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("reads"), READS) as served:
        yield served


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.txt", b"hello", "text/plain"),
        ("BM.txt", b"BM begins a bitmap, and this text", "text/plain"),
        ("a.csv", b"1,2\n", "text/csv"),
        ("a.json", b"{}", "application/json"),
        ("a.png", b"a text with the name of an image", "text/plain"),
        ("a.txt", PNG, "image/png"),
        ("a.pdf", b"%PDF-1.7\n%a document that is all text", "application/pdf"),
        ("a.docx", DOCX.getvalue(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.txt", b"", "text/plain"),
        ("a.zip", ZIP.getvalue(), None),
        ("a.png", gzip.compress(b"x", mtime=0), None),
        ("a.txt", b"\x7fELF" + b"\0" * 60, None),
        ("a.txt", b"MZ" + b"\0" * 60, None),
        ("a.txt", b"\xff\xfe\x00", None),
    ],
)
def test_the_type_of_a_file_is_that_of_its_content(name: str, content: bytes, kind: str | None) -> None:
    assert type_of(content, name) == kind


@pytest.mark.parametrize("case", BAD)
def test_a_form_that_is_none_is_refused_and_starts_no_run(reads: Served, case: str) -> None:
    body, headers = BAD[case]
    before = reads.metric('dynamiq_runtime_runs_total{outcome="succeeded"}')
    answer = sent(reads, body, **headers)
    assert (answer.status, answer.body["error"]["code"]) == (400, "bad_request"), answer.body
    assert reads.metric('dynamiq_runtime_runs_total{outcome="succeeded"}') == before


def test_a_wrong_length_of_a_part_changes_nothing(reads: Served) -> None:
    """A form's parts end at their boundary, whatever length they claim."""
    body = HEAD + part("a.txt", b"hello", head=b"Content-Length: 1\r\n") + END
    assert sent(reads, body).body["result"]["files"] == [["a.txt", "text/plain", "hello"]]


def test_a_form_is_bounded_and_a_compressed_one_refused(reads: Served) -> None:
    assert sent(reads, HEAD + part("a.txt", b"x" * FORM_MOST) + END).status == 413
    assert sent(reads, gzip.compress(HEAD + END), **{"Content-Encoding": "gzip"}).status == 415
    with socket.create_connection(("127.0.0.1", reads.port), DEADLINE) as endless:
        endless.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(2 * FORM_MOST >> 20):
            endless.sendall(b"%x\r\n%b\r\n" % (1 << 20, b"x" * (1 << 20)))
        assert endless.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
        assert reads.request("GET", "/healthz").status == 200


def test_forms_are_read_one_at_a_time_and_runs_hold_a_bounded_number_of_bytes(tmp_path: Path) -> None:
    large, over = b"x" * (FORM_MOST - 4096), tmp_path / "over"
    waits = f'--b\r\nContent-Disposition: form-data; name="input"\r\n\r\n{{"until": "{over}"}}\r\n'.encode()
    with serving(tmp_path, COUNTS) as served, ThreadPoolExecutor(4) as pool:
        with socket.create_connection(("127.0.0.1", served.port), DEADLINE) as slow:
            slow.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 100\r\n\r\n--b")
            eventually("the slow form is being read", lambda: served.activity["in_flight"] == 1)
            waiting = pool.submit(sent, served, HEAD + part("a.txt", b"small") + END)
            eventually("another one waits", lambda: served.activity["in_flight"] == 2)
            assert served.run({}).body == {"result": []}, "runs without files do not wait"
        assert waiting.result().body == {"result": [5]}
        held = [pool.submit(sent, served, waits + part("a.txt", large) + END) for _ in range(3)]
        eventually("as many run as may", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 2)
        eventually("all are there", lambda: served.activity["in_flight"] == 3)
        over.touch()
        assert [each.result().body for each in held] == [{"result": [len(large)]}] * 3


async def test_a_form_that_waits_in_vain_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uploads, "ROOM_WITHIN", 0.1)
    server = Server(from_environment({"PORT": "0", "DYNAMIQ_METRICS_PORT": "0"}), None)
    port, _ = await server.start()
    try:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 100\r\n\r\n--b"
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in opened:
            writer.write(head)
        done, _ = await asyncio.wait(
            [asyncio.create_task(reader.readuntil(b"}}")) for reader, _ in opened], return_when=asyncio.FIRST_COMPLETED, timeout=DEADLINE
        )
        answer = done.pop().result()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b'"code": "too_many_files"' in answer
        for _, writer in opened:
            writer.close()
    finally:
        await server.close()


async def test_a_form_that_comes_slowly_gives_its_turn_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BEGINS_WITHIN", 0.2)
    server = Server(from_environment({"PORT": "0", "DYNAMIQ_METRICS_PORT": "0"}), None)
    port, _ = await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 8000000\r\n\r\n--b")
        async with asyncio.timeout(DEADLINE):
            assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 408 ")
        writer.close()
    finally:
        await server.close()


def test_files_of_runs_that_fail_or_take_too_long_are_freed(tmp_path: Path) -> None:
    """Neither an error nor a thread that goes on keeps them: then a pod could be made to run out of memory."""
    large, over = b"x" * (FORM_MOST - 4096), tmp_path / "over"
    code = "def run(d):\n    if d.get('until'):\n        return 1\n    raise ValueError('on purpose')\n"
    with serving(tmp_path, a_flow(code)) as served:
        assert [sent(served, HEAD + part("a.txt", large) + END).status for _ in range(2)] == [500, 500]
        before = _memory(served)
        for _ in range(12):
            assert sent(served, HEAD + part("a.txt", large) + END).status == 500
        assert _memory(served) - before < 3 * FORM_MOST
    waits = f'--b\r\nContent-Disposition: form-data; name="input"\r\n\r\n{{"until": "{over}"}}\r\n'.encode()
    with serving(tmp_path, COUNTS, DYNAMIQ_RUN_TIMEOUT="1") as served:
        assert [sent(served, waits + part("a.txt", large) + END).status for _ in range(3)] == [504] * 3
        over.touch()
        assert sent(served, waits + part("a.txt", large) + END).body == {"result": [len(large)]}


def _memory(served: Served) -> int:
    """Returns the bytes that a server has now."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def test_a_file_in_an_output_is_described_and_fails_no_run(tmp_path: Path) -> None:
    passes = {"input": {"type": "dynamiq.nodes.utils.Input"}, "out": {"type": "dynamiq.nodes.utils.Output", "depends": [{"node": "input"}]}}
    with serving(tmp_path, json.dumps({"nodes": passes})) as served:
        answer = sent(served, HEAD + part("Bildschirmfoto 9.41.00\u202fAM.txt", b"hello") + END)
        described = {"name": "Bildschirmfoto 9.41.00\u202fAM.txt", "size": 5, "mime_type": "text/plain"}
        assert (answer.status, answer.body["files"]) == (200, [described])


def test_as_many_parts_as_may(reads: Served) -> None:
    files = [part(f"{number}.txt", b"x") for number in range(PARTS_MOST - 2)]
    assert len(sent(reads, HEAD + b"".join(files) + END).body["result"]["files"]) == len(files)

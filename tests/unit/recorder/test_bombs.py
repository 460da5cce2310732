"""Small compressed bodies that would expand to hundreds of megabytes: refused, or read within the recorder's limits."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from dynamiq_operator.serving.limits import RUNS_MAX
from dynamiq_recorder.ingest import clean, sdk, spans
from dynamiq_recorder.ingest.wire import GROUPS_MAX, LARGE
from tests.support.cluster import REPOSITORY

MEMORY = 100
"""MiB that reading one body may take."""


def within(number: int, message: bytes) -> bytes:
    """Returns a field of protobuf that contains a message."""
    size, length = len(message), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + message


def filled(before: bytes, one: bytes, after: bytes) -> bytes:
    """Returns a body with as many copies of `one` as fit."""
    room = RUNS_MAX - len(before) - len(after) - len(one)
    return before + (one + b",") * (room // (len(one) + 1)) + one + after


SPANS = b'{"resourceSpans":[{"scopeSpans":[{"spans":['
INPUT = b'{"runs":[{"id":"a","status":"succeeded","input":['
MANY, MEBI = RUNS_MAX // 2 - 50, 2**19 - 50
_LIST = within(2, within(5, b"\x0a\0" * (LARGE // 2 - 50)))
_LISTED = within(9, _LIST)
"""An attribute with as many values as are read at most."""
PROTOBUF: dict[str, Callable[[], bytes]] = {
    "spans": lambda: within(1, within(2, b"\x12\0" * MANY)),
    "scopes": lambda: within(1, b"\x12\0" * MANY),
    "resources": lambda: b"\x0a\0" * MANY,
    "attributes of a resource": lambda: within(1, within(1, b"\x0a\0" * MANY)),
    "attributes of some resources": lambda: within(1, within(1, b"\x0a\0" * MEBI)) * 7,
    "attributes of one resource in pieces": lambda: within(1, within(1, b"\x0a\0" * MEBI) * 7),
    "attributes of a span": lambda: within(1, within(2, within(2, b"\x4a\0" * MANY))),
    "attributes of some spans": lambda: within(1, within(2, within(2, b"\x4a\0" * MEBI) * 7)),
    "events": lambda: within(1, within(2, within(2, b"\x5a\0" * MEBI) * 7)),
    "lists of attributes of one span": lambda: within(1, within(2, within(2, _LISTED * (RUNS_MAX // len(_LISTED) - 1)))),
    "lists of attributes of spans": lambda: within(1, within(2, within(2, _LISTED) * (RUNS_MAX // len(_LISTED) - 1))),
    "lists of attributes of a resource": lambda: within(1, within(1, within(1, _LIST) * (RUNS_MAX // len(_LISTED) - 1))),
    "one list": lambda: within(1, within(2, within(2, within(9, within(2, within(5, b"\x0a\0" * MANY)))))),
    "a resource for each span": lambda: within(1, within(2, b"\x12\0")) * (RUNS_MAX // 6),
    "what nobody knows": lambda: b"\x78\0" * MANY,
}
OTLP: dict[str, Callable[[], bytes]] = {
    "spans": lambda: filled(SPANS, b"{}", b"]}]}]}"),
    "resources": lambda: filled(b'{"resourceSpans":[', b"{}", b"]}"),
    "strings": lambda: filled(b'{"resourceSpans":[],"x":[', b'"{{{{{"', b"]}"),
    "what is read leniently": lambda: filled(b'{"resourceSpans":[],"y":"\\ud800","x":[', b"[]", b"]}"),
}
SDK: dict[str, Callable[[], bytes]] = {
    "runs": lambda: filled(b'{"runs":[', b"{}", b"]}"),
    "objects": lambda: filled(INPUT, b'{"":0}', b"]}]}"),
    "lists": lambda: filled(INPUT, b"[]", b"]}]}"),
    "texts": lambda: filled(INPUT, '"😀a"'.encode(), b"]}]}"),
    "numbers": lambda: filled(INPUT, b"1.5", b"]}]}"),
    "texts as many as may be": lambda: INPUT + b",".join(['"😀a"'.encode()] * (clean.WEIGHT_MAX - 50)) + b"]}]}",
}
READ: dict[str, tuple[Callable[[bytes], Any], dict[str, Callable[[], bytes]]]] = {
    "protobuf": (spans.from_protobuf, PROTOBUF),
    "otlp": (spans.from_json, OTLP),
    "sdk": (sdk.from_json, SDK),
}


def read_all() -> None:
    """Prints the MiB by which a process grew over each body of a form. Each form has its own process."""
    for form, (read, bodies) in READ.items():
        if (child := os.fork()) == 0:
            grown = {}
            for name, made in bodies.items():
                body = made()
                before = _peak(reset=True)
                with contextlib.suppress(spans.NotReadable):
                    read(body)
                grown[name] = _peak() - before
            print(json.dumps({form: grown}), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


def _peak(*, reset: bool = False) -> float:
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def test_no_body_takes_more_memory_than_the_recorder_has() -> None:
    command = [sys.executable, "-c", "from tests.unit.recorder.test_bombs import read_all; read_all()"]
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"}
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grown = [item for line in done.stdout.splitlines() for item in json.loads(line).items()]
    assert [(form, by_body.keys()) for form, by_body in grown] == [(form, bodies.keys()) for form, (_, bodies) in READ.items()], done.stderr
    assert all(each < MEMORY for _, by_body in grown for each in by_body.values()), grown


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (spans.from_protobuf, b"\x0a\0" * (GROUPS_MAX + 1)),
        (spans.from_protobuf, within(1, within(2, b"\x12\0" * (spans.SPANS_MAX + 1)))),
        (spans.from_json, SPANS + b"{}," * spans.SPANS_MAX + b"{}]}]}]}"),
        (spans.from_json, b'{"resourceSpans":[' + b"{}," * GROUPS_MAX + b"{}]}"),
        (sdk.from_json, INPUT + b"0," * clean.WEIGHT_MAX + b"0]}]}"),
    ],
)
def test_more_than_one_request_may_have_is_refused_with_a_sentence(read: Callable[[bytes], Any], body: bytes) -> None:
    with pytest.raises(spans.NotReadable, match="send"):
        read(body)


def test_a_large_text_is_taken_with_its_span_and_with_those_beside_it() -> None:
    """JSON accepts it, too. A large span loses its events and links, and a list of a quarter of a mebibyte is not read."""
    text = "ä" * (3 * 2**20)
    pair = KeyValue(key="dynamiq.output", value=AnyValue(string_value=text))
    listed = KeyValue(key="list", value=AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="long" * 30)] * 4000)))
    more = [KeyValue(key=str(number), value=AnyValue(int_value=number)) for number in range(2 * spans.ATTRIBUTES_MAX)]
    status = Status(code=Status.STATUS_CODE_ERROR, message=text[:99])
    large = Span(
        span_id=b"\1" * 8, name="large", attributes=[pair, listed, *more], status=status, end_time_unix_nano=7, start_time_unix_nano=5
    )
    large.events.add(name=text[: 2**18])
    small = Span(span_id=b"\2" * 8, name="small", attributes=more)
    resource = Resource(attributes=[pair, *more])
    sent = TracesData(resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=[small, large, small])])])

    (group,) = spans.from_protobuf(sent.SerializeToString())

    assert group.resource == {"dynamiq.output": text} | {str(number): number for number in range(spans.ATTRIBUTES_MAX - 1)}
    assert [span.name for span in group.spans] == ["small", "large", "small"]
    found = group.spans[1]
    assert found.attributes == {"dynamiq.output": text} | {str(number): number for number in range(spans.ATTRIBUTES_MAX - 2)}
    assert (found.span_id, found.start, found.end, found.is_error) == ("01" * 8, 5, 7, True)


@pytest.mark.parametrize("read", [spans.from_protobuf, spans.from_json])
def test_each_span_of_a_collectors_batch_may_have_a_resource_of_its_own(read: Callable[[bytes], Any]) -> None:
    scope = ScopeSpans(scope=InstrumentationScope(name="s"), spans=[Span(name="n")], schema_url="u")
    of_one = ResourceSpans(
        resource=Resource(attributes=[KeyValue(key="k", value=AnyValue(string_value="v"))]), scope_spans=[scope], schema_url="u"
    )
    sent = TracesData(resource_spans=[of_one] * 8192)
    body = sent.SerializeToString() if read is spans.from_protobuf else json_format.MessageToJson(sent, indent=None).encode()
    assert len(read(body)) == 8192


def test_brackets_in_strings_do_not_count() -> None:
    began = str(time.time_ns())
    text = json.dumps('{[,\\"' * 200_000 + "é")
    sent = [{"traceId": "a", "spanId": str(number), "startTimeUnixNano": began, "name": text} for number in range(3)]
    (group,) = spans.from_json(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": sent}]}]}).encode())
    assert [span.name for span in group.spans] == [text] * 3
    (run,) = sdk.from_json(json.dumps({"runs": [{"id": "a", "input": text, "output": [[text]]}]}).encode())
    assert run["output"] == [[text]]
    deep = b"[" * clean.DEPTH_MAX + b'"' + b'[\\"' * 300_000 + b'",[0]' + b"]" * clean.DEPTH_MAX
    assert clean.depth(deep) == clean.DEPTH_MAX + 1

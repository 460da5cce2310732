"""A flow of exactly 900 KiB is accepted. A larger one is refused, and its text is not printed."""

from __future__ import annotations

from dynamiq_operator.model.objects import Manifest
from tests.api.support.schema.frozen import TOO_LARGE
from tests.support.api import Api
from tests.support.cluster import Kubectl
from tests.support.factories import in_namespace, version_manifest, with_spec, workflow_manifest

LIMIT = 921600


def _text(size: int, letter: str = "x") -> str:
    """Returns YAML of `size` bytes in lines, most of them in `letter`."""
    line = "# " + letter * 60 + "\n"
    text = "nodes: []\n" + line * ((size - 10) // len(line.encode()))
    return text + "#" * (size - len(text.encode()))


def _version(namespace: str, flow: str) -> Manifest:
    return version_manifest("v1", in_namespace(namespace), with_spec(flow=flow))


def _draft(namespace: str, flow: str) -> Manifest:
    return workflow_manifest(in_namespace(namespace), with_spec(flow=flow))


def test_the_limit_is_in_bytes(api: Api) -> None:
    for letter in ("x", "é", "字", "🦊"):  # of 1 to 4 bytes
        for make in (_version, _draft):
            accepted = api.apply(make("default", _text(LIMIT, letter)), dry_run=True)
            assert accepted.ok, accepted.message[:1000]
            refused = api.apply(make("default", _text(LIMIT + 1, letter)), dry_run=True)
            assert not refused.ok
            assert f"spec.flow: Invalid value: {TOO_LARGE}" in refused.message


def test_the_largest_flow_is_stored_by_kubectl_and_edited_and_a_larger_one_refused_in_one_line(
    api: Api, kubectl: Kubectl, namespace: str
) -> None:
    manifest = _version(namespace, _text(LIMIT))
    for _ in range(2):
        kubectl("apply", "--server-side", "-f", "-", input=manifest)
    assert api.read(manifest).body["spec"]["flow"] == manifest["spec"]["flow"]
    assert api.apply(_draft(namespace, _text(LIMIT))).ok
    edited = api.apply(_draft(namespace, _text(LIMIT, "y")), manager="another")
    assert edited.ok, edited.message[:1000]
    assert edited.body["metadata"]["generation"] == 2
    larger = version_manifest("v2", in_namespace(namespace), with_spec(flow=_text(LIMIT + 1)))
    refused = kubectl("apply", "--server-side", "-f", "-", input=larger, check=False)
    assert refused.returncode == 1
    assert refused.stderr.strip() == f'The WorkflowVersion "chat-v2" is invalid: spec.flow: Invalid value: {TOO_LARGE}'

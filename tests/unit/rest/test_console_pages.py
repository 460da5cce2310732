"""The console's pages and files: served from memory, under a policy that allows nothing else."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.rest.console.assets import Assets
from tests.support.console import a_console
from tests.support.rest_stage import Answered, RestStage

SHELL = b"<!doctype html><title>Dynamiq</title><script type=module src=/console/assets/index-C4fe.js></script>"
SCRIPT = b"export const answer = 42;\n" * 100
CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
ASSET = "/console/assets/index-C4fe.js"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built = tmp_path / "static"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_bytes(SHELL)
    (built / "assets" / "index-C4fe.js").write_bytes(SCRIPT)
    (built / "assets" / "index-C4fe.css").write_bytes(b"a{}")
    (built / "favicon.svg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    (built / "notes.md").write_text("no asset")
    (tmp_path / "secret.txt").write_text("of another folder")
    (built / "link.txt").symlink_to(tmp_path / "secret.txt")
    return built


@pytest.fixture
def stage(folder: Path) -> Iterator[RestStage]:
    with RestStage(console=a_console(assets=Assets.load(folder))) as made:
        yield made


def get(stage: RestStage, path: str, method: str = "GET", **headers: str) -> Answered:
    return stage.call(method, path, token=None, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/console/apps/005c60c5-18dd-4f38-a146-a82be134a95f",
        "/console/sign-in?to=%2Fconsole%2F",
        "/console/a/v1.2",
        "/console/x.md",
    ],
)
def test_every_page_is_the_shell_without_caching(stage: RestStage, path: str) -> None:
    answered = get(stage, path)
    assert (answered.status, answered.content) == (200, SHELL)
    assert answered.headers["content-type"] == "text/html; charset=utf-8"
    assert answered.headers["cache-control"] == "no-store"
    assert "etag" not in answered.headers


@pytest.mark.parametrize("path", ["/console", "/console/", ASSET, "/console/favicon.svg", "/console/assets/none.js", "/console/session"])
def test_nothing_of_another_origin_gets_in(stage: RestStage, path: str) -> None:
    headers = get(stage, path).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"


def test_an_asset_is_kept_for_ever(stage: RestStage) -> None:
    answered = get(stage, ASSET)
    assert answered.content == SCRIPT
    assert answered.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answered.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answered.headers["vary"] == "Accept-Encoding"
    assert get(stage, "/console/assets/index-C4fe.css").headers["content-type"] == "text/css; charset=utf-8"


def test_a_file_without_a_hash_in_its_name_is_revalidated(stage: RestStage) -> None:
    answered = get(stage, "/console/favicon.svg")
    assert answered.headers["content-type"] == "image/svg+xml"
    assert "immutable" not in answered.headers["cache-control"]


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.2", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("br", False),
        ("", False),
    ],
)
def test_a_browser_that_accepts_gzip_gets_it(stage: RestStage, accepted: str, is_packed: bool) -> None:
    answered = get(stage, ASSET, Accept_Encoding=accepted)
    assert answered.headers.get("content-encoding") == ("gzip" if is_packed else None)
    assert (gzip.decompress(answered.content) if is_packed else answered.content) == SCRIPT
    assert answered.headers["content-length"] == str(len(answered.content))


def test_a_cached_file_is_not_sent_again(stage: RestStage) -> None:
    plain, packed = get(stage, ASSET), get(stage, ASSET, Accept_Encoding="gzip")
    assert plain.headers["etag"] != packed.headers["etag"]
    for tag in (plain.headers["etag"], f'"x", W/{plain.headers["etag"]}'):
        again = get(stage, ASSET, If_None_Match=tag)
        assert (again.status, again.content) == (304, b"")
    assert get(stage, ASSET, If_None_Match=packed.headers["etag"]).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/console/assets/index-0000.js",
        "/console/../pyproject.txt",
        "/console/assets/../../secret.txt",
        "/console/..%2fsecret.txt",
        "/console//etc/passwd.txt",
        "/console/link.txt",
        "/console/secret.txt",
        "/console/assets/",
        "/console/notes.md",
    ],
)
def test_only_what_was_built_is_served(stage: RestStage, path: str) -> None:
    answered = get(stage, path)
    if answered.status == 200:
        assert answered.content == SHELL
    else:
        assert answered.error(404)["code"] == "not_found"
    assert b"of another folder" not in answered.content


def test_the_address_without_a_slash_leads_to_the_console(stage: RestStage) -> None:
    answered = get(stage, "/console")
    assert (answered.status, answered.headers["location"]) == (307, "/console/")


def test_a_page_is_only_read(stage: RestStage) -> None:
    assert get(stage, "/console/", "HEAD").status == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answered = get(stage, "/console/apps", method)
        assert answered.error(405)["code"] == "method_not_allowed"
        assert {"GET", "HEAD"} >= set(answered.headers["allow"].split(", "))
    assert get(stage, "/console/session", "PUT").error(405)["code"] == "method_not_allowed"


def test_a_page_needs_no_cluster() -> None:
    with RestStage(is_ready=False, console=a_console(assets=Assets.load(Path("nowhere")))) as stage:
        assert "make console-build" in get(stage, "/console/").error(404)["message"]
        assert "make console-build" in get(stage, ASSET).error(404)["message"]
        assert stage.script.sent == []

"""The site's pages are the documents in MkDocs' form. Faults of a built page are found, and its policy fits its content."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path, PurePosixPath

import pytest
import yaml

from local.docs import __main__ as docs
from local.docs import markup, pages, policy
from local.docs.errors import DocsError

HEAD = '<!doctype html><html><head><meta charset="utf-8">{}</head><body>{}</body></html>'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Makes a site of two correct pages, and returns its folder."""
    (tmp_path / "sub").mkdir()
    style, script = '<link rel="stylesheet" href="a.css">', "<script>let a = 1</script>"
    body = '<h1 id="top">A</h1><a href="sub/b.html#there">b</a><a href="https://example.com/x">x</a><img src="a.png"><a href="#top">up</a>'
    (tmp_path / "index.html").write_text(HEAD.format(style + script, body))
    (tmp_path / "sub" / "b.html").write_text(
        HEAD.format("", '<h2 id="there">B</h2><a href="../index.html">a</a><a href="/sub/b.html">b</a>')
    )
    (tmp_path / "a.css").write_text(
        "/* url(https://example.com/comment) */ a { background: url('a.png') } b { mask: url(data:image/svg+xml) }"
    )
    (tmp_path / "a.png").write_bytes(b"")
    return tmp_path


def test_a_site_with_which_nothing_is_wrong_is_finished(site: Path) -> None:
    assert docs.finish(site) == 5


@pytest.mark.parametrize(
    ("put", "said"),
    [
        ('<a href="gone.html">', "index.html: gone.html leads nowhere"),
        ('<a href="sub/">', "index.html: sub/ leads nowhere"),
        ('<a href="sub/b.html#gone">', "index.html: sub/b.html#gone names no place of sub/b.html"),
        ('<a href="#gone">', "index.html: #gone names no place of index.html"),
        ('<p id="top">', "index.html: the anchor top is there more than once"),
        ('<a href="http://example.com">', "index.html: http://example.com is not https"),
        ('<a href="javascript:alert(1)">', "index.html: javascript:alert(1) is not https"),
        ('<a href="https://localhost/a">', "has no form of an address of the internet"),
        ('<a href="https://example.com/a b">', "has no form of an address of the internet"),
        ('<a href="https://somebody@example.com">', "has no form of an address of the internet"),
        ('<a href="https://[example/">', "is no address"),
        ('<img src="https://example.com/a.png">', "index.html: https://example.com/a.png is loaded from elsewhere"),
        ('<img srcset="a.png 1x, //example.com/b.png 2x">', "index.html: //example.com/b.png is loaded from elsewhere"),
        ('<script src="https://example.com/a.js"></script>', "index.html: https://example.com/a.js is loaded from elsewhere"),
        ('<link rel="preconnect" href="https://example.com">', "index.html: https://example.com is loaded from elsewhere"),
        ('<img src="b.png">', "index.html: b.png is loaded, and is not there"),
        ('<p style="color: red">', "index.html: <p style> is not run"),
        ('<p onclick="a()">', "index.html: <p onclick> is not run"),
    ],
)
def test_the_fault_of_a_page_is_named(site: Path, put: str, said: str) -> None:
    index = site / "index.html"
    index.write_text(index.read_text().replace("<h1", f"{put}<h1"))
    with pytest.raises(DocsError, match=re.escape(said)):
        docs.finish(site)


@pytest.mark.parametrize("rule", ["@import 'https://example.com/b.css';", "a { src: url(//example.com/a.woff2) }"])
def test_a_style_loads_nothing_from_elsewhere(site: Path, rule: str) -> None:
    (site / "a.css").write_text(rule)
    with pytest.raises(DocsError, match=r"a\.css: .*example\.com/\S+ is loaded from elsewhere"):
        docs.finish(site)


def test_a_page_runs_the_scripts_that_stand_in_it_and_no_other(site: Path) -> None:
    docs.finish(site)
    (found,) = re.findall(
        r'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="([^"]*)">', (site / "index.html").read_text()
    )
    rules = {name: allowed.split() for name, _, allowed in (rule.partition(" ") for rule in found.split("; "))}
    digest = base64.b64encode(hashlib.sha256(b"let a = 1").digest()).decode()
    assert rules["script-src"] == ["'self'", f"'sha256-{digest}'"]
    assert rules["default-src"] == ["'none'"]
    assert {one for allowed in rules.values() for one in allowed} == {"'self'", "'none'", "data:", f"'sha256-{digest}'"}


def test_a_page_without_a_place_for_its_policy_is_refused() -> None:
    with pytest.raises(DocsError):
        policy.with_policy("<html><body></body></html>", markup.read(""))


def test_a_missing_mkdocs_is_reported_with_its_installation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main(["--environment", str(tmp_path)]) == 1
    assert "`make docs` installs it" in capsys.readouterr().err


def test_links_of_a_page_lead_through_the_site() -> None:
    found = pages.collected()
    assert "](project/security.md)" in found["index.md"]
    assert 'src="images/history-light.png"' in found["index.md"]
    assert "](files/examples/records/02-v2.yaml.md)" in found["deploying.md"]
    assert "](../releases.md)" in found["project/contributing.md"]
    assert "workflowVersion: v2" in found["files/examples/records/02-v2.yaml.md"]
    assert "## agent" not in found["files/examples/agent.md"]
    assert "## app.yaml" in found["files/examples/agent.md"]


def test_a_link_to_what_the_repository_does_not_have_is_refused() -> None:
    made = pages.Pages()
    for link in ("gone.md", "../../outside.md", "../gone/"):
        with pytest.raises(DocsError, match=re.escape(f"docs/a.md links to {link}")):
            made.add(PurePosixPath("docs/a.md"), "a.md", f"[a]({link})")


def test_lists_are_written_as_mkdocs_reads_them_and_code_stays_as_it_is() -> None:
    written = "Three:\n- a\n  goes on\n- b\n  - c\n\n  Still b.\n```sh\n- [x](gone.md)\n```\n[y](y.md)\n"
    assert pages.prepared(written, lambda _: "led.md") == (
        "Three:\n\n- a\n  goes on\n- b\n    - c\n\n    Still b.\n\n```sh\n- [x](gone.md)\n```\n\n[y](led.md)\n"
    )


def test_every_page_has_its_place_in_the_navigation() -> None:
    class Loader(yaml.SafeLoader):
        """A loader that ignores tags for Python's own objects."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    config = yaml.load(docs.CONFIG.read_text(), Loader)  # noqa: S506 - a SafeLoader

    def listed(nav: object) -> set[str]:
        if isinstance(nav, str):
            return {nav}
        return {page for part in (nav.values() if isinstance(nav, dict) else nav) for page in listed(part)}  # type: ignore[attr-defined]

    besides = re.compile(r"files/|design/\d")
    assert listed(config["nav"]) == {page for page in pages.collected() if not besides.match(page)}

"""The references of the site have everything in models, OpenAPI and parsers, and nothing of the machine that builds them."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from dynamiq_operator import arguments as operator
from dynamiq_operator.cli import arguments
from dynamiq_operator.model import crd
from dynamiq_operator.model.kinds import KINDS, Kind
from dynamiq_recorder import options as recorder
from dynamiq_runtime import __main__ as runtime
from local import rights as granted
from local.docs import options, resources, rest, rights, text

ANCHOR = re.compile(r"\{ #(\S+) \}")


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields the section, the name and the schema of each field."""
    for name, field in schema.get("properties", {}).items():
        yield path, name, field
        below, inner = f"{path}.{name}", field
        while "items" in inner or isinstance(inner.get("additionalProperties"), dict):
            below, inner = (f"{below}[]", inner["items"]) if "items" in inner else (f"{below}.*", inner["additionalProperties"])
        yield from _fields(inner, below)


def _sections(page: str) -> dict[str, str]:
    parts = re.split(r"^#+ .*\{ #(\S+) \}$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.kind))
def test_every_field_of_a_resource_stands_in_the_section_of_its_object(kind: Kind) -> None:
    found = _sections(resources.pages()[f"reference/resources/{kind.singular}.md"])
    root = crd.crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    fields = [field for name in ("spec", "status") if name in root for field in _fields(root[name], name)]
    assert fields
    for path, name, field in fields:
        (line,) = [line for line in found[path].splitlines() if re.match(rf"\| \[?`{re.escape(name)}`[\] ]", line)]
        assert text.plain(field.get("description", "")) in line.replace("\\|", "|")


def test_a_field_has_its_bounds_and_the_sentence_of_its_refusal() -> None:
    sections = _sections(resources.pages()["reference/resources/app.md"])
    assert "| `type` | string | **Required.** Ingress, Gateway" in sections["spec.exposure"]
    assert "One of `Ingress`, `Gateway`, `ClusterIP`." in sections["spec.exposure"]
    assert "At most 40 characters. Refused: *this name is not a DNS label" in sections["spec"]
    assert "- a variable has exactly one of value, secret and configMap" in sections["spec.variables[]"]


def test_every_call_of_the_rest_api_has_a_section_and_every_body_that_it_names() -> None:
    pages = rest.pages()
    document = json.loads(rest.DOCUMENT.read_text())
    bodies = set(ANCHOR.findall(pages[rest.BODIES]))
    whole = "".join(pages.values())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            page = pages[f"{rest.FOLDER}/{operation['tags'][0].replace(' ', '-')}.md"]
            section = _sections(page)[operation["operationId"]]
            assert f"## `{method.upper()} {path}` {{" in page
            assert all(f"| `{each['name']}` |" in section for each in operation.get("parameters", ()))
            assert all(f"| `{status}` |" in section for status in operation["responses"])
    assert set(re.findall(r"bodies\.md#(\w+)", whole)) <= bodies == set(document["components"]["schemas"])


def _options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for option in arguments.options(parser) if option not in ("-h", "--help")}


def test_every_command_of_the_plugin_has_a_section_with_all_its_options() -> None:
    sections = _sections(options.pages()["reference/kubectl-dynamiq.md"])
    commands = arguments.commands_of(arguments.parser())
    assert set(sections) == set(commands)
    for name, parser in commands.items():
        assert all(re.search(rf"`{option}[ `]", sections[name]) for option in _options(parser)), name
        assert "examples:" in sections[name]


def test_every_setting_of_every_program_is_there_with_its_variable() -> None:
    page = options.pages()["reference/settings.md"]
    for parser in (operator.parser(), recorder.parser(), runtime.parser()):
        for name, command in arguments.commands_of(parser).items():
            assert f"## `{parser.prog} {name}` {{" in page
            assert all(re.search(rf"`{option}[ `]", page) for option in _options(command)), name
            assert all(f"| `{variable}` |" in page for variable in re.findall(r"\[(DYNAMIQ_\w+)\]", command.format_help()))
    assert "DYNAMIQ_MAX_CONCURRENT_RUNS   runs at the same time" in page


def test_variables_of_the_building_machine_are_not_in_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    before = options.pages()
    for name in ("DYNAMIQ_DOMAIN", "DYNAMIQ_RECORDER_STORE", "DYNAMIQ_LEASE_NAME", "POD_NAMESPACE"):
        monkeypatch.setenv(name, "of-this-machine")
    monkeypatch.setenv("COLUMNS", "40")
    assert options.pages() == before


def test_text_of_models_is_escaped_for_markdown() -> None:
    assert text.plain("a *b* <c> [d](e) {f} #g `*h*`\n  i") == r"a \*b\* &lt;c\> \[d\](e) \{f\} \#g `*h*` i"
    assert text.block("```\ncode\n```").startswith("````text\n```\n")
    assert text.table(("a", "b"), [("`c|d`", "e\nf")]) == "| a | b |\n|---|---|\n| `c\\|d` | e f |\n"


def test_every_role_is_on_the_page_of_rights_with_the_purpose_of_each_rule() -> None:
    page = rights.pages()[rights.PAGE]
    roles = granted.roles()
    assert [f"### {role.kind} `{role.name}`" in page for role in roles] == [True] * len(roles)
    for role in roles:
        section = page.split(f"### {role.kind} `{role.name}`\n")[1].partition("\n#")[0]
        assert all(f"| {text.plain(rule.why)} |" in section for rule in role.rules)
        assert all(f"`{verb}`" in section for rule in role.rules for verb in rule.verbs)
    assert set(rights.PROGRAMS) == {role.holder for role in roles if role.is_program}

"""When a component is built again, and the message if it cannot be built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from local import builds, components
from local.builds import BuildError
from local.components import KUBERNETES_OF, Component

BY_NAME = {component.name: component for component in components.ALL}
OURS = components.PAUSE, components.FORWARD, components.HEALTH
PINNED = [component for component in components.ALL if component not in OURS]


def pins(module: Path) -> dict[str, str]:
    """Returns the version of each module that a go.mod requires, after replacements. Replaced modules are left out."""
    text = (module / "go.mod").read_text()
    required = dict(re.findall(r"^(?:require )?\t?(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE))
    replaced = re.findall(r"^\t?(\S+) => (\S+) (v\S+)$", text, re.MULTILINE)
    gone = {old for old, _, _ in replaced}
    return {name: version for name, version in required.items() if name not in gone} | {name: version for _, name, version in replaced}


@pytest.fixture
def copied(tmp_path: Path) -> dict[str, Component]:
    """Returns all components over a copy of the Go modules, which a test may change."""
    shutil.copytree(components.MODULES, tmp_path / "build", symlinks=True)
    return {name: replace(component, module=tmp_path / "build" / component.module.name) for name, component in BY_NAME.items()}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("component", components.ALL, ids=lambda component: component.name)
def test_the_listed_modules_are_those_that_go_mod_pins(component: Component) -> None:
    pinned = pins(component.module)
    listed = dict(line.split() for line in component.linked_modules.read_text().splitlines())
    assert listed == {module: pinned[module] for module in listed}


@pytest.mark.parametrize("component", PINNED, ids=lambda component: component.name)
def test_the_version_that_is_shown_is_linked(component: Component) -> None:
    versions = {line.split()[1] for line in component.linked_modules.read_text().splitlines()}
    assert f"v{component.version}" in versions


def test_a_changed_pin_builds_anew_what_it_is_linked_into_and_nothing_else(copied: dict[str, Component]) -> None:
    module = copied["etcd"].module
    for path in [module / "go.mod", *(module / "modules").iterdir()]:
        path.write_text(path.read_text().replace("go.etcd.io/bbolt v1.", "go.etcd.io/bbolt v2."))
    changed = {name for name, component in copied.items() if component.digest != BY_NAME[name].digest}
    linked = {name for name, component in BY_NAME.items() if "go.etcd.io/bbolt " in component.linked_modules.read_text()}
    assert changed == linked
    assert "etcd" in changed
    assert not changed & {"cni", "coredns", "contour", "pause"}


def test_a_changed_source_builds_anew_its_own_component(copied: dict[str, Component]) -> None:
    edit(copied["forward"].module / "forward" / "main.go", "package main", "package main // changed")
    assert [name for name, component in copied.items() if component.digest != BY_NAME[name].digest] == ["forward"]


def test_another_version_of_the_language_builds_all_of_its_module_anew(copied: dict[str, Component]) -> None:
    edit(copied["etcd"].module / "go.mod", "\ngo 1.", "\ngo 2.")
    changed = {name for name, component in copied.items() if component.digest != BY_NAME[name].digest}
    assert changed == {component.name for component in components.ALL if component.module == components.COMPONENTS}


def test_each_kubernetes_has_pins_of_its_own_and_all_are_one_program(copied: dict[str, Component]) -> None:
    every = {component.name for component in KUBERNETES_OF.values()}
    old = copied["kubernetes-1.35"].linked_modules
    old.write_text(old.read_text().replace("k8s.io/apiserver v0.35.", "k8s.io/apiserver v0.36."))
    assert [name for name, component in copied.items() if component.digest != BY_NAME[name].digest] == ["kubernetes-1.35"]
    edit(copied["kubernetes"].module / "kubernetes" / "main.go", "package main", "package main // changed")
    assert {name for name, component in copied.items() if component.digest != BY_NAME[name].digest} == every


@pytest.mark.parametrize(("minor", "component"), KUBERNETES_OF.items(), ids=KUBERNETES_OF)
def test_a_kubernetes_has_its_minor_version_in_all_its_parts(minor: str, component: Component) -> None:
    major, number = minor.split(".")
    assert component.version.startswith(f"{minor}.")
    for setting in (f"gitVersion=v{component.version}", f"gitMajor={major}", f"gitMinor={number}"):
        assert setting in component.ldflags
    parts = {line.split()[1] for line in component.linked_modules.read_text().splitlines() if line.startswith("k8s.io/kube")}
    assert f"v{component.version}" in parts
    pinned = pins(component.module)
    staging = [
        version for module, version in pinned.items() if module in ("k8s.io/apiserver", "k8s.io/kubelet", "k8s.io/kubectl", "k8s.io/api")
    ]
    assert staging == [f"v0.{component.version.split('.', 1)[1]}"] * 4


def test_the_variable_chooses_kubernetes_and_nothing_else() -> None:
    script = "from local import components as c; print(*(f'{each.name}={each.version}' for each in (*c.NODE, *c.CONTROL_PLANE)))"

    def made_of(version: str) -> set[str]:
        command = [sys.executable, "-c", script]
        return set(
            subprocess.run(command, env=os.environ | {"KUBERNETES": version}, capture_output=True, text=True, check=True).stdout.split()
        )

    newest, older = made_of(""), made_of("1.36")
    assert newest == made_of(components.NEWEST)
    assert (newest - older, older - newest) == ({"kubernetes=1.37.2"}, {f"kubernetes-1.36={KUBERNETES_OF['1.36'].version}"})


def test_a_version_that_is_not_built_here_is_refused_with_those_that_are() -> None:
    command = [sys.executable, "-m", "local", "status"]
    done = subprocess.run(command, env=os.environ | {"KUBERNETES": "1.30"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: KUBERNETES=1.30 is not built here: name one of {', '.join(KUBERNETES_OF)}\n"


def test_a_cluster_keeps_the_kubectl_of_its_own_kubernetes() -> None:
    for component in KUBERNETES_OF.values():
        made = ["etcd-3.7.3-0123456789ab", f"{component.name}-{component.version}-0123456789ab"]
        assert components.kubernetes_among(made) is component
    assert components.kubernetes_among([]) is components.KUBERNETES


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Component:
    """Returns a component of two modules that compiles in a second. It has its own cache."""
    monkeypatch.setenv("DYNAMIQ_CACHE", str(tmp_path / "cache"))
    module = tmp_path / "small"
    for folder in (module / "small", module / "dependency", module / "modules"):
        folder.mkdir(parents=True)
    (module / "go.mod").write_text(
        "module small.local\n\ngo 1.26.0\n\nrequire dependency.local v1.0.0\n\nreplace dependency.local => ./dependency\n"
    )
    (module / "dependency" / "go.mod").write_text("module dependency.local\n\ngo 1.26.0\n")
    (module / "dependency" / "words.go").write_text('package words\n\nconst Greeting = "hello"\n')
    (module / "small" / "main.go").write_text(
        'package main\n\nimport words "dependency.local"\n\nfunc main() { println(words.Greeting) }\n'
    )
    (module / "modules" / "small.txt").write_text("./dependency (devel)\n")
    return Component("small", "1", (("small", "./small"),), ("alias",), module=module)


def test_a_component_is_built_once(small: Component, capsys: pytest.CaptureFixture[str]) -> None:
    built = builds.ensure([small])
    assert "[1/1] small 1: done in" in capsys.readouterr().out
    assert subprocess.run([built["alias"]], capture_output=True, text=True, check=True).stderr == "hello\n"
    assert (builds.ensure([small]), capsys.readouterr().out) == (built, "")


def test_a_changed_source_is_built_beside_the_other(small: Component) -> None:
    before = builds.ensure([small])["small"]
    edit(small.module / "small" / "main.go", "words.Greeting", 'words.Greeting + "!"')
    assert not builds.is_built(small)
    after = builds.ensure([small])["small"]
    assert [subprocess.run([each], capture_output=True, text=True, check=True).stderr for each in (before, after)] == [
        "hello\n",
        "hello!\n",
    ]


def test_a_failed_build_has_the_message_of_the_compiler(small: Component) -> None:
    edit(small.module / "small" / "main.go", "words.Greeting", "words.Farewell")
    with pytest.raises(BuildError, match=r"small 1 could not be built in [\s\S]*undefined: words.Farewell"):
        builds.ensure([small])
    assert not builds.is_built(small)


def test_a_module_that_the_digest_does_not_know_of_is_refused(small: Component) -> None:
    small.linked_modules.write_text("")
    with pytest.raises(BuildError, match=r"linked with ./dependency \(devel\), .*small.txt does not list: .*python -m local.components"):
        builds.ensure([small])


def test_a_missing_go_is_reported_with_its_version(small: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BuildError, match=r"Go 1\.26 or newer is needed"):
        builds.ensure([small])

"""Makes templates from `manifests/`: which file becomes which template, and the table of the edits that insert the values.

The value that an edit replaces becomes the chart's default. It reads only the parts of kustomize that `manifests/` uses: `resources`,
`namespace`, `labels`, and files of a `configMapGenerator`. A test compares helm's output of the templates with kustomize's output of the
same files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from local.chart.places import Marks

Manifest = dict[str, Any]

SYSTEM, GATE = "dynamiq-system", "dynamiq-gate"
NAMESPACES = {SYSTEM: ".Release.Namespace | quote", GATE: ".Values.gate.namespace | quote"}
"""Namespaces of `manifests/`, and the expressions that replace them.

The others cannot be renamed: the plugin looks for runs in dynamiq-recorder, and the recorder trusts dynamiq-journal.
"""
CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
OF_HELM = "app.kubernetes.io/managed-by"
"""Helm sets this label on all that it installs, whatever its value is."""
KEPT = "helm.sh/resource-policy"
END = "{{- end }}"


@dataclass(frozen=True)
class Part:
    """A folder of `manifests/` and of the templates. `when`: the value that enables it. `without`: files that the chart omits."""

    folder: str
    when: str = ""
    without: tuple[str, ...] = ()


RECORDER, POSTGRES = "recorder", "overlays/recorder-postgres"
JOURNAL, JOURNAL_POSTGRES = "journal", "overlays/journal-postgres"
WITH_JOURNAL = "(and .Values.recorder.enabled .Values.journal.enabled)"
PARTS = (
    Part("base", without=("namespace.yaml",)),  # the release's own namespace, which exists before the chart's first object
    Part("rbac"),
    Part("admission"),
    Part("api", ".Values.api.enabled"),
    Part("gate", ".Values.gate.enabled"),
    Part(RECORDER, ".Values.recorder.enabled"),
    Part(POSTGRES, ".Values.recorder.enabled"),
    Part(JOURNAL, WITH_JOURNAL),
    Part(JOURNAL_POSTGRES, WITH_JOURNAL),
    Part("monitoring", ".Values.monitoring.enabled"),
)
CONDITIONS = {
    "gate/namespace.yaml": ".Values.gate.createNamespace",
    "recorder/namespace.yaml": ".Values.recorder.createNamespace",
    "recorder/statefulset.yaml": '(eq .Values.recorder.store "sqlite")',
    "journal/namespace.yaml": ".Values.journal.createNamespace",
    "journal/statefulset.yaml": '(eq .Values.journal.store "sqlite")',
    f"{POSTGRES}/deployment.yaml": '(eq .Values.recorder.store "postgresql")',
    f"{POSTGRES}/disruption-budget.yaml": '(eq .Values.recorder.store "postgresql")',
    f"{JOURNAL_POSTGRES}/deployment.yaml": '(eq .Values.journal.store "postgresql")',
    f"{JOURNAL_POSTGRES}/disruption-budget.yaml": '(eq .Values.journal.store "postgresql")',
}
"""Conditions of single files, in addition to that of their part."""
STAMPS = ".Values.admission.mutating"
"""The condition of every file with policies that stamp."""


@dataclass
class Rendered:
    """The templates by their path in the chart's folder `templates`, other files of the chart, and the defaults from the manifests."""

    templates: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """One object that becomes a template."""

    content: Manifest
    marks: Marks
    defaults: dict[str, Any]

    def take(self, value: str, default: Any) -> None:
        """Makes the value of the manifest the default of a chart value. Raises ValueError if two manifests differ in it."""
        if self.defaults.setdefault(value, default) != default:
            raise ValueError(f"the manifests do not agree on {value}: {self.defaults[value]!r} and {default!r}")

    def put(self, mapping: Manifest, key: str, value: str, expression: str = "") -> None:
        """Puts a value in the place of a scalar, which becomes its default."""
        self.take(value, mapping[key])
        mapping[key] = self.marks.value(expression or f".Values.{value}")

    def add(self, mapping: Manifest, text: str) -> None:
        """Adds lines at the end of a mapping."""
        mapping[self.marks.block(text)] = None

    def append(self, items: list[Any], text: str) -> None:
        """Adds lines at the end of a list."""
        items.append(self.marks.block(text))

    def around(self, mapping: Manifest, key: str, before: str, after: str) -> None:
        """Adds lines before and after a key of a mapping."""
        entries = list(mapping.items())
        mapping.clear()
        for name, content in entries:
            if name == key:
                self.add(mapping, before)
            mapping[name] = content
            if name == key:
                self.add(mapping, after)

    def replace(self, mapping: Manifest, key: str, text: str) -> None:
        """Replaces a key of a mapping by lines."""
        entries = list(mapping.items())
        mapping.clear()
        for name, content in entries:
            mapping.update({self.marks.block(text): None} if name == key else {name: content})


Edit = Callable[[Document], None]


def render(manifests: Path) -> Rendered:
    """Returns all templates of the folder `manifests`."""
    chart = Rendered()
    for part in PARTS:
        folder = manifests / part.folder
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        for name in kustomization["resources"]:
            if name not in part.without and not name.startswith(".."):
                path = f"{part.folder}/{name}"
                chart.templates[path.removeprefix("overlays/")] = _template(folder / name, path, part, kustomization, chart.defaults)
        if "configMapGenerator" in kustomization:
            chart.templates[f"{part.folder}/dashboards.yaml"] = _dashboards(part, kustomization, chart.defaults)
            for name in _files_of(kustomization):
                chart.files[name] = (folder / name).read_text()
    return chart


def _template(source: Path, path: str, part: Part, kustomization: Manifest, defaults: dict[str, Any]) -> str:
    marks = Marks()
    documents = [Document(each, marks, defaults) for each in yaml.safe_load_all(source.read_text()) if each]
    for document in documents:
        _place(document, kustomization)
        for edit in EDITS.get(path, ()):
            edit(document)
        _label(document, kustomization)
    kinds = {document.content["kind"].removesuffix("Binding") for document in documents}
    conditions = [each for each in (part.when, CONDITIONS.get(path, ""), STAMPS if kinds == {"MutatingAdmissionPolicy"} else "") if each]
    return _when(conditions, marks.write(document.content for document in documents))


def _when(conditions: list[str], text: str) -> str:
    """Returns the text, rendered only if all conditions are true."""
    if not conditions:
        return text
    return f"{{{{- if {conditions[0] if len(conditions) == 1 else ' '.join(['and', *conditions])} }}}}\n{text}{END}\n"


def _place(document: Document, kustomization: Manifest) -> None:
    """Sets the namespace that kustomize gives an object, and replaces that of `manifests/` by the release's everywhere."""
    content = document.content
    if "namespace" in kustomization and content["kind"] not in CLUSTER_SCOPED:
        name = content["metadata"].pop("name")
        content["metadata"] = {"name": name, "namespace": kustomization["namespace"], **content["metadata"]}
    _rename(document, content)


def _rename(document: Document, part: Any) -> None:
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if key == "namespace" and value in NAMESPACES:
            part[key] = document.marks.value(NAMESPACES[value])
        elif key == "matchNames":
            part[key] = [document.marks.value(NAMESPACES[name]) if name in NAMESPACES else name for name in value]
        elif isinstance(value, dict | list):
            _rename(document, value)


def _label(document: Document, kustomization: Manifest) -> None:
    """Adds the labels of kustomize, and Helm's own."""
    metadata = document.content["metadata"]
    added = {name: value for each in kustomization.get("labels", ()) for name, value in each["pairs"].items()}
    labels = {name: value for name, value in {**metadata.get("labels", {}), **added}.items() if name != OF_HELM}
    metadata["labels"] = labels
    document.add(labels, '{{- include "dynamiq.labels" . | nindent +0 }}')


def _files_of(kustomization: Manifest) -> list[str]:
    return [name for each in kustomization["configMapGenerator"] for name in each["files"]]


def _dashboards(part: Part, kustomization: Manifest, defaults: dict[str, Any]) -> str:
    """Returns a ConfigMap for each file.

    The text stays a file of the chart: the template engine would interpret much of it.
    """
    defaults["monitoring.dashboardLabels"] = kustomization["generatorOptions"]["labels"]
    marks = Marks()
    objects = []
    for each in kustomization["configMapGenerator"]:
        (name,) = each["files"]
        content: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": each["name"]}, "data": {}}
        document = Document(content, marks, defaults)
        content["data"] = {Path(name).name: marks.value(f'.Files.Get "{name}" | toJson')}
        _place(document, kustomization)
        _label(document, kustomization)
        document.add(content["metadata"]["labels"], _of(".Values.monitoring.dashboardLabels"))
        objects.append(content)
    return _when([part.when], marks.write(objects))


def _pods(component: str, image: str, program: str = "") -> Edit:
    """Returns the edit that inserts all values of a workload. `program`: its first argument, if the manifest leaves that to the image."""

    def edit(document: Document) -> None:
        template = document.content["spec"]["template"]
        (container,) = template["spec"]["containers"]
        _pod_metadata(document, template["metadata"], component)
        _pod_spec(document, template["spec"], component)
        _container(document, container, component, image, program)

    return edit


def _if_set(value: str, text: str) -> str:
    """Returns lines that are rendered if the value is not empty; `.` is the value in them."""
    return f"{{{{- with {value} }}}}\n{text}\n{{{{- end }}}}"


def _of(value: str, key: str = "") -> str:
    """Returns the content of the value as more lines, or as the lines of a key."""
    return _if_set(value, f"{key}: {{{{- toYaml . | nindent +2 }}}}" if key else "{{- toYaml . | nindent +0 }}")


def _made_by(helper: str, arguments: str, key: str = "") -> str:
    """Returns the output of one of the chart's helpers, as more lines, or as the lines of a key."""
    return _if_set(f'include "{helper}" (list . {arguments})', f"{key}: {{{{- . | nindent +2 }}}}" if key else "{{- . | nindent +0 }}")


def _pod_metadata(document: Document, metadata: Manifest, component: str) -> None:
    document.add(metadata["labels"], _of(f".Values.{component}.podLabels"))
    document.add(metadata, _made_by("dynamiq.podAnnotations", f'"{component}"', "annotations"))


def _pod_spec(document: Document, spec: Manifest, component: str) -> None:
    spread = _of(f".Values.{component}.topologySpreadConstraints", "topologySpreadConstraints")
    if "topologySpreadConstraints" in spec:
        document.around(spec, "topologySpreadConstraints", spread.removesuffix(END) + "{{- else }}", END)
    else:
        document.add(spec, spread)
    document.add(spec, _made_by("dynamiq.pod", f'"{component}"'))
    document.append(spec["volumes"], _of(f".Values.{component}.extraVolumes"))


def _container(document: Document, container: Manifest, component: str, image: str, program: str) -> None:
    values = f".Values.{component}"
    container["image"] = _image(document, container["image"], image)
    document.put(container, "imagePullPolicy", "images.pullPolicy")
    if program:
        arguments = f'args: {{{{- prepend . "{program}" | toYaml | nindent +2 }}}}'
        document.add(container, _if_set(f"{values}.extraArgs", arguments))
    else:
        document.append(container["args"], _of(f"{values}.extraArgs"))
    reserved = " ".join(f'"{each["name"]}"' for each in container["env"])
    document.append(container["env"], _made_by("dynamiq.env", f'"{component}" (list {reserved})'))
    document.add(container, _of(f"{values}.extraEnvFrom", "envFrom"))
    document.append(container["volumeMounts"], _of(f"{values}.extraVolumeMounts"))
    document.take(f"{component}.resources", container["resources"])
    document.replace(container, "resources", f"resources: {{{{- toYaml {values}.resources | nindent +2 }}}}")


def _image(document: Document, full_name: str, image: str) -> str:
    """Returns a mark for the name of one of the chart's images; the parts of the name become defaults."""
    registry, _, name = full_name.rpartition("/")
    document.take("images.registry", registry)
    document.take(f"images.{image}.repository", name.partition(":")[0])
    return document.marks.value(f'include "dynamiq.image" (list . "{image}") | quote')


def _replicas(component: str) -> Edit:
    return lambda document: document.put(document.content["spec"], "replicas", f"{component}.replicas")


def _trigger_image(document: Document) -> None:
    """Sets the image that calls Apps for their triggers."""
    variable = _variable(document, "DYNAMIQ_TRIGGER_IMAGE")
    variable["value"] = _image(document, variable["value"], "runtime")


def _operator_account(document: Document) -> None:
    """Sets the account of this release's operator, from which the recorder accepts rows."""
    expression = 'printf "system:serviceaccount:%s:dynamiq-operator" .Release.Namespace | quote'
    _variable(document, "DYNAMIQ_RECORDER_OPERATOR_ACCOUNT")["value"] = document.marks.value(expression)


def _variable(document: Document, name: str) -> Manifest:
    (container,) = document.content["spec"]["template"]["spec"]["containers"]
    (entry,) = [each for each in container["env"] if each["name"] == name]
    variable: Manifest = entry
    return variable


def _client_secret(document: Document) -> None:
    """Sets the Secret that the console needs for its provider."""
    (volume,) = [each for each in document.content["spec"]["template"]["spec"]["volumes"] if each["name"] == "oidc"]
    document.put(volume["secret"], "secretName", "console.oidc.existingSecret", ".Values.console.oidc.existingSecret | quote")


def _api_service(document: Document) -> None:
    document.add(document.content["metadata"], _of(".Values.api.service.annotations", "annotations"))
    document.add(document.content["spec"], _if_set('ne .Values.api.service.type "ClusterIP"', "type: {{ $.Values.api.service.type }}"))


def _gate_namespace(document: Document) -> None:
    document.put(document.content["metadata"], "name", "gate.namespace", NAMESPACES[GATE])


def _gate_time(document: Document) -> None:
    value = "gate.terminationGracePeriodSeconds"
    # Helm reads a number as a float, and prints a million as 1e+06, which the API server refuses as a number of seconds.
    document.put(document.content["spec"]["template"]["spec"], "terminationGracePeriodSeconds", value, f".Values.{value} | int64")


def _kept(document: Document) -> None:
    """Makes Helm keep the object on uninstall: deleted runs, or a Secret that a person created, could not be recovered."""
    document.content["metadata"]["annotations"] = {KEPT: "keep"}


def _recorder_service(document: Document) -> None:
    document.put(document.content["spec"]["selector"], "dynamiq.getdynamiq.ai/store", "recorder.store")


def _prices(document: Document) -> None:
    """Replaces the text of prices.yaml if there are prices; else it stays with its comments."""
    prices = "{{- with .Values.recorder.prices }}\nprices.yaml: {{ toYaml . | quote }}\n{{- else }}"
    document.around(document.content["data"], "prices.yaml", prices, END)


def _volume(component: str) -> Edit:
    def edit(document: Document) -> None:
        (claim,) = document.content["spec"]["volumeClaimTemplates"]
        value = f"{component}.storage"
        document.put(claim["spec"]["resources"]["requests"], "storage", f"{value}.size", f".Values.{value}.size | quote")
        document.add(claim["spec"], _if_set(f".Values.{value}.className", "storageClassName: {{ . | quote }}"))

    return edit


def _journals_recorder(document: Document) -> None:
    """Sets the recorder that gets background runs, which the operator uses, too."""
    _variable(document, "DYNAMIQ_JOURNAL_RECORDER")["value"] = document.marks.value('include "dynamiq.recorder" . | quote')


def _database(component: str) -> Edit:
    def edit(document: Document) -> None:
        named = _variable(document, f"DYNAMIQ_{component.upper()}_STORE")["valueFrom"]["secretKeyRef"]
        document.put(named, "name", f"{component}.existingSecret", f".Values.{component}.existingSecret | quote")

    return edit


def _monitored(document: Document) -> None:
    document.add(document.content["metadata"].setdefault("labels", {}), _of(".Values.monitoring.labels"))


EDITS: Mapping[str, tuple[Edit, ...]] = {
    "base/deployment.yaml": (_trigger_image, _replicas("operator"), _pods("operator", "operator", "run")),
    "api/deployment.yaml": (_trigger_image, _client_secret, _replicas("api"), _pods("api", "operator")),
    "api/service.yaml": (_api_service,),
    "gate/namespace.yaml": (_gate_namespace, _kept),
    "gate/deployment.yaml": (_gate_time, _replicas("gate"), _pods("gate", "operator")),
    "recorder/namespace.yaml": (_kept,),
    "recorder/service.yaml": (_recorder_service,),
    "recorder/prices.yaml": (_prices,),
    "recorder/statefulset.yaml": (_operator_account, _volume("recorder"), _pods("recorder", "recorder")),
    f"{POSTGRES}/deployment.yaml": (_operator_account, _database("recorder"), _replicas("recorder"), _pods("recorder", "recorder")),
    "journal/namespace.yaml": (_kept,),
    "journal/statefulset.yaml": (_journals_recorder, _volume("journal"), _pods("journal", "recorder")),
    f"{JOURNAL_POSTGRES}/deployment.yaml": (_journals_recorder, _database("journal"), _replicas("journal"), _pods("journal", "recorder")),
    "monitoring/pod-monitors.yaml": (_monitored,),
    "monitoring/alerts.yaml": (_monitored,),
}
"""Edits by the file of `manifests/`, applied to each of its objects in order."""

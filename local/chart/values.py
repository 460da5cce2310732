"""Declares the chart's values: their meaning and their defaults.

`values.yaml`, `values.schema.json` and the table in the chart's README are generated from these models. A value without a default here has
that of the manifests. A Deployment therefore has the same number of replicas, however it is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Objects = tuple[Mapping[str, Any], ...]
"""Parts of Kubernetes' own API: its schema, and the API server, define their content."""
Labels = Mapping[str, str]


class Values(BaseModel):
    """A part of the values. It refuses unknown names, so a misspelled setting is an error."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class Image(Values):
    repository: Annotated[str, Field(description="Its name below images.registry.", min_length=1)]
    tag: Annotated[str, Field(description="Left out: the version of the chart's programs.")] = ""
    digest: Annotated[
        str, Field(description="sha256:…, in place of the tag: what is pulled is then what was tested.", pattern="^(sha256:[0-9a-f]{64})?$")
    ] = ""


class Images(Values):
    registry: Annotated[str, Field(description="Where the cluster pulls all of them from, such as registry.example/dynamiq.", min_length=1)]
    pull_policy: Annotated[Literal["Always", "IfNotPresent", "Never"], Field(description="When a node pulls an image.")]
    pull_secrets: Annotated[
        tuple[str, ...],
        Field(
            description="Names of Secrets with which they are pulled. They have to be there, in each namespace that pods of the chart are in: that of the "
            "release, gate.namespace, and dynamiq-recorder. Pods of Apps pull theirs with those of their own namespaces."
        ),
    ] = ()
    operator: Annotated[Image, Field(description="Of the operator, the API with the console, and the gate.")]
    runtime: Annotated[Image, Field(description="The reference runtime, whose pods call Apps for their triggers.")]
    recorder: Annotated[Image, Field(description="Of the recorder of runs.")]


class Pods(Values):
    """Values for all pods of the chart."""

    node_selector: Annotated[Labels, Field(description="Labels of the nodes that they may run on.")] = {}
    tolerations: Annotated[Objects, Field(description="Taints of nodes that they tolerate.")] = ()
    affinity: Annotated[Mapping[str, Any], Field(description="Where they would rather, or must, run.")] = {}
    priority_class_name: Annotated[str, Field(description="Their PriorityClass: who is evicted for whom.")] = ""


class Component(Pods):
    """Values for the pods of one program. A setting of `Pods` that is set here replaces the one for all pods."""

    resources: Annotated[Mapping[str, Any], Field(description="Requests and limits of its container.")]
    topology_spread_constraints: Annotated[
        Objects, Field(description="How its pods are spread. Left out: apart by node and by zone where that can be.")
    ] = ()
    pod_labels: Annotated[Labels, Field(description="More labels of its pods.")] = {}
    pod_annotations: Annotated[Labels, Field(description="Annotations of its pods.")] = {}
    extra_args: Annotated[tuple[str, ...], Field(description="More options of its program.")] = ()
    extra_env: Annotated[
        Objects,
        Field(
            description="More variables of its container, as {name, value} or {name, valueFrom}; one that the chart sets itself is refused."
        ),
    ] = ()
    extra_env_from: Annotated[Objects, Field(description="ConfigMaps and Secrets that are there already, whose keys are variables.")] = ()
    extra_volumes: Annotated[Objects, Field(description="More volumes of its pods, such as a Secret with certificates.")] = ()
    extra_volume_mounts: Annotated[Objects, Field(description="Where its container has them.")] = ()


Replicas = Annotated[int, Field(ge=0, description="How many pods.")]


class Operator(Component):
    replicas: Annotated[int, Field(ge=0, description="How many pods. One works, by a Lease; another has its caches warm and takes over.")]


class Service(Values):
    type: Annotated[Literal["ClusterIP", "NodePort", "LoadBalancer"], Field(description="Its type.")] = "ClusterIP"
    annotations: Annotated[Labels, Field(description="Its annotations, such as a cloud's for its load balancer.")] = {}


class Ingress(Values):
    hostname: Annotated[str, Field(description="Left out: there is none.")] = ""
    class_name: Annotated[str, Field(description="Its IngressClass. Left out: the cluster's own.")] = ""
    tls_secret: Annotated[
        str,
        Field(
            description="Secret of the release's namespace with the certificate. Tokens travel here: leave it out only where TLS ends before."
        ),
    ] = ""
    annotations: Annotated[Labels, Field(description="Its annotations, such as cert-manager's.")] = {}


class Api(Component):
    enabled: Annotated[bool, Field(description="Whether there is a REST API, and with it the console.")] = True
    replicas: Replicas
    service: Annotated[Service, Field(description="The Service dynamiq-api.")] = Service()
    ingress: Annotated[Ingress, Field(description="A hostname for API and console.")] = Ingress()


class Oidc(Values):
    issuer: Annotated[
        str, Field(description="URL of the provider, which the API server trusts too. Left out: people sign in with a token.")
    ] = ""
    client_id: Annotated[str, Field(description="The console's client at the provider.")] = ""
    scopes: Annotated[str, Field(description="What is asked for. Left out: openid email profile.")] = ""
    name: Annotated[str, Field(description="What the button calls the provider. Left out: its host.")] = ""
    existing_secret: Annotated[str, Field(description="Secret of the release's namespace with the two below.", min_length=1)]
    client_secret_key: Annotated[
        str, Field(description="Its key with the client's secret, such as client-secret. Left out: a public client.")
    ] = ""
    ca_key: Annotated[
        str, Field(description="Its key with the provider's certificates, such as ca.crt. Left out: those of the system.")
    ] = ""


class Console(Values):
    enabled: Annotated[bool, Field(description="Whether the API serves the web console.")] = True
    url: Annotated[
        str,
        Field(description="Where browsers find it, such as https://console.example.com. Left out: by a port-forward, at localhost alone."),
    ] = ""
    oidc: Annotated[Oidc, Field(description="Signing in with an OpenID Connect provider.")]


class Retire(Values):
    enabled: Annotated[
        bool,
        Field(
            description="Whether `helm uninstall` wakes every App that sleeps before the gate goes, by a Job: asleep, Apps are served by nobody without it."
        ),
    ] = True
    timeout_seconds: Annotated[
        int, Field(ge=1, description="For how long it waits for them. After that the gate is back, and the release stays as it was.")
    ] = 240


class Gate(Component):
    enabled: Annotated[
        bool, Field(description="Whether there is a gate. Without it no App sleeps, and one of type serverless is refused.")
    ] = True
    namespace: Annotated[
        str,
        Field(
            description="Its namespace, in which nothing else is. To change it, switch the gate off by one upgrade, and on by the next.",
            min_length=1,
        ),
    ]
    create_namespace: Annotated[
        bool, Field(description="Whether the chart makes that namespace. It stays when the release ends, empty.")
    ] = True
    replicas: Replicas
    termination_grace_period_seconds: Annotated[
        int,
        Field(
            ge=1, description="For how long its calls may go on when a pod of it ends. Longer runs need more, and DYNAMIQ_FINISH_WITHIN."
        ),
    ]
    retire: Annotated[Retire, Field(description="What an uninstallation does for Apps that sleep.")] = Retire()


class Storage(Values):
    size: Annotated[str, Field(description="Of its volume. It can't be changed later by the chart.", min_length=1)]
    class_name: Annotated[str, Field(description="StorageClass of its volume. Left out: the cluster's own.")] = ""


class Recorder(Component):
    enabled: Annotated[bool, Field(description="Whether there is a recorder of runs, and operator, API and gate are told of it.")] = False
    url: Annotated[
        str, Field(description="URL of a recorder that is installed otherwise, or of this one by another name, such as https://….")
    ] = ""
    create_namespace: Annotated[
        bool, Field(description="Whether the chart makes the namespace dynamiq-recorder. It stays when the release ends: runs are in it.")
    ] = True
    store: Annotated[
        Literal["sqlite", "postgresql"], Field(description="sqlite: one pod with a volume. postgresql: several, and a database of yours.")
    ]
    replicas: Annotated[int, Field(ge=0, description="How many pods, with postgresql.")]
    storage: Annotated[Storage, Field(description="Of sqlite.")]
    existing_secret: Annotated[
        str, Field(description="Of postgresql: Secret in dynamiq-recorder whose key dsn says where the database is.", min_length=1)
    ]
    prices: Annotated[
        Objects,
        Field(description="What calls of models cost, where nobody reports it. Left out: examples. docs/runs.md has what an entry says."),
    ] = ()


class Notifications(Values):
    existing_secret: Annotated[
        str,
        Field(
            description="Secret of the release's namespace with the url, and key, of who is told what becomes of rows in every namespace."
        ),
    ] = ""
    format: Annotated[Literal["CloudEvents", "Slack"], Field(description="How it is told.")] = "CloudEvents"
    allow_networks: Annotated[
        tuple[str, ...], Field(description="Private ranges of addresses that receivers may be in, such as 10.20.0.0/16.")
    ] = ()


class Apps(Values):
    domain: Annotated[str, Field(description="Apps without a hostname get <app>.<namespace>.<domain>.")] = ""
    public_scheme: Annotated[Literal["", "http", "https"], Field(description="How Apps are called from outside. Left out: https.")] = ""
    public_port: Annotated[int, Field(ge=0, le=65535, description="Port at which they are. 0: the scheme's own.")] = 0
    ingress_class: Annotated[str, Field(description="IngressClass of Apps that name none.")] = ""
    gateway: Annotated[str, Field(description="NAMESPACE/NAME of the Gateway of Apps of type Gateway that name no other.")] = ""
    image_policy: Annotated[Literal["any", "digest"], Field(description="digest: a Runtime whose image names no digest is refused.")] = (
        "any"
    )
    metrics_from: Annotated[
        tuple[str, ...],
        Field(description="Who reads the metrics of Apps that say who may call them: NAMESPACE, or NAMESPACE/LABEL=VALUE."),
    ] = ()


class Admission(Values):
    mutating: Annotated[
        bool,
        Field(
            description="Whether policies stamp who did what. They need Kubernetes 1.36; for 1.34 and 1.35 false, and read manifests/overlays/before-1.36."
        ),
    ] = True


class Crds(Values):
    check: Annotated[
        bool,
        Field(
            description="Whether an install and an upgrade are refused where the cluster's definitions are older than the chart's. It reads them, for which who "
            "installs needs the right."
        ),
    ] = True


class Monitoring(Values):
    enabled: Annotated[
        bool, Field(description="Whether there are PodMonitors and alerts, for the Prometheus Operator, and dashboards, for Grafana.")
    ] = False
    labels: Annotated[Labels, Field(description="Labels by which your Prometheus takes them, such as release: kube-prometheus-stack.")] = {}
    dashboard_labels: Annotated[Labels, Field(description="Labels by which your Grafana takes dashboards.")]


class Chart(Values):
    """All values."""

    images: Annotated[Images, Field(description="Images, and where they come from.")]
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="Of all programs.")] = "info"
    pods: Annotated[Pods, Field(description="Of all pods: what a part below sets itself holds in its place.")] = Pods()
    operator: Annotated[Operator, Field(description="The operator.")]
    api: Annotated[Api, Field(description="The REST API, which serves the console.")]
    console: Annotated[Console, Field(description="The web console.")]
    gate: Annotated[Gate, Field(description="The gate, behind which serverless Apps sleep.")]
    recorder: Annotated[Recorder, Field(description="The recorder of runs. docs/runs.md says what it keeps.")]
    apps: Annotated[Apps, Field(description="What holds for every App.")] = Apps()
    notifications: Annotated[Notifications, Field(description="Who is told what becomes of rows.")] = Notifications()
    admission: Annotated[Admission, Field(description="The policies that guard the ledger. They are always there.")] = Admission()
    crds: Annotated[Crds, Field(description="The definitions of our kinds, which helm installs, and neither upgrades nor deletes.")] = (
        Crds()
    )
    monitoring: Annotated[Monitoring, Field(description="Metrics, alerts and dashboards.")]

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
    repository: Annotated[str, Field(description="Its name in images.registry.", min_length=1)]
    tag: Annotated[str, Field(description="Default: the version of the chart.")] = ""
    digest: Annotated[
        str,
        Field(
            description="sha256:…, used instead of the tag, so that nodes pull exactly the tested image.",
            pattern="^(sha256:[0-9a-f]{64})?$",
        ),
    ] = ""


class Images(Values):
    registry: Annotated[
        str, Field(description="Registry from which the cluster pulls all images, such as registry.example/dynamiq.", min_length=1)
    ]
    pull_policy: Annotated[Literal["Always", "IfNotPresent", "Never"], Field(description="When a node pulls an image.")]
    pull_secrets: Annotated[
        tuple[str, ...],
        Field(
            description="Names of Secrets for pulling. They must exist in each namespace with pods of the chart: the release's, gate.namespace, "
            "dynamiq-recorder and dynamiq-journal. Pods of Apps use the Secrets of their own namespaces."
        ),
    ] = ()
    operator: Annotated[Image, Field(description="Image of the operator, the API with the console, and the gate.")]
    runtime: Annotated[Image, Field(description="Image of the reference runtime, which also calls Apps for their triggers.")]
    recorder: Annotated[Image, Field(description="Image of the recorder and the journal.")]


class Pods(Values):
    """Values for all pods of the chart."""

    node_selector: Annotated[Labels, Field(description="Labels of the nodes that pods may run on.")] = {}
    tolerations: Annotated[Objects, Field(description="Taints of nodes that pods tolerate.")] = ()
    affinity: Annotated[Mapping[str, Any], Field(description="Preferred and required places of pods.")] = {}
    priority_class_name: Annotated[str, Field(description="PriorityClass of pods, which decides about eviction.")] = ""


class Component(Pods):
    """Values for the pods of one program. A setting of `Pods` that is set here replaces the one for all pods."""

    resources: Annotated[Mapping[str, Any], Field(description="Requests and limits of the container.")]
    topology_spread_constraints: Annotated[Objects, Field(description="Spread of pods. Default: over nodes and zones if possible.")] = ()
    pod_labels: Annotated[Labels, Field(description="Additional labels of pods.")] = {}
    pod_annotations: Annotated[Labels, Field(description="Annotations of pods.")] = {}
    extra_args: Annotated[tuple[str, ...], Field(description="Additional options of the program.")] = ()
    extra_env: Annotated[
        Objects,
        Field(
            description="Additional variables of the container, as {name, value} or {name, valueFrom}. The chart refuses variables that it sets itself."
        ),
    ] = ()
    extra_env_from: Annotated[Objects, Field(description="Existing ConfigMaps and Secrets whose keys become variables.")] = ()
    extra_volumes: Annotated[Objects, Field(description="Additional volumes of pods, such as a Secret with certificates.")] = ()
    extra_volume_mounts: Annotated[Objects, Field(description="Mounts of these volumes in the container.")] = ()


Replicas = Annotated[int, Field(ge=0, description="Number of pods.")]


class Operator(Component):
    replicas: Annotated[
        int, Field(ge=0, description="Number of pods. One leads by a Lease; another follows with synced caches and takes over.")
    ]


class Service(Values):
    type: Annotated[Literal["ClusterIP", "NodePort", "LoadBalancer"], Field(description="Type of the Service.")] = "ClusterIP"
    annotations: Annotated[Labels, Field(description="Annotations of the Service, such as those for a cloud's load balancer.")] = {}


class Ingress(Values):
    hostname: Annotated[str, Field(description="Hostname of the Ingress. Default: no Ingress.")] = ""
    class_name: Annotated[str, Field(description="IngressClass. Default: that of the cluster.")] = ""
    tls_secret: Annotated[
        str,
        Field(
            description="Secret of the release's namespace with the certificate. Leave it empty only if TLS ends before the Ingress: requests have tokens."
        ),
    ] = ""
    annotations: Annotated[Labels, Field(description="Annotations of the Ingress, such as those of cert-manager.")] = {}


class Api(Component):
    enabled: Annotated[bool, Field(description="Installs the REST API, which serves the console.")] = True
    replicas: Replicas
    service: Annotated[Service, Field(description="The Service dynamiq-api.")] = Service()
    ingress: Annotated[Ingress, Field(description="A hostname for API and console.")] = Ingress()


class Oidc(Values):
    issuer: Annotated[
        str, Field(description="URL of the provider, which the API server must trust, too. Default: people sign in with a token.")
    ] = ""
    client_id: Annotated[str, Field(description="Client of the console at the provider.")] = ""
    scopes: Annotated[str, Field(description="Requested scopes. Default: openid email profile.")] = ""
    name: Annotated[str, Field(description="Name of the provider on the button. Default: its host.")] = ""
    existing_secret: Annotated[str, Field(description="Secret of the release's namespace with the two keys below.", min_length=1)]
    client_secret_key: Annotated[
        str, Field(description="Key with the client's secret, such as client-secret. Default: a public client.")
    ] = ""
    ca_key: Annotated[str, Field(description="Key with the provider's certificates, such as ca.crt. Default: those of the system.")] = ""


class Console(Values):
    enabled: Annotated[bool, Field(description="Makes the API serve the web console.")] = True
    url: Annotated[
        str,
        Field(description="URL for browsers, such as https://console.example.com. Default: localhost, by a port-forward."),
    ] = ""
    oidc: Annotated[Oidc, Field(description="Sign-in with an OpenID Connect provider.")]


class Retire(Values):
    enabled: Annotated[
        bool,
        Field(
            description="Makes `helm uninstall` run a Job that wakes every sleeping App before the gate is deleted. Without the gate nothing serves a sleeping App."
        ),
    ] = True
    timeout_seconds: Annotated[
        int, Field(ge=1, description="Time limit of that Job. After it the gate is restored, and the release stays as it was.")
    ] = 240


class Gate(Component):
    enabled: Annotated[bool, Field(description="Installs the gate. Without it no App sleeps, and Apps of type serverless are refused.")] = (
        True
    )
    namespace: Annotated[
        str,
        Field(
            description="Namespace of the gate, with nothing else in it. To change it, disable the gate by one upgrade and enable it by the next.",
            min_length=1,
        ),
    ]
    create_namespace: Annotated[bool, Field(description="Creates that namespace. An uninstallation leaves it empty.")] = True
    replicas: Replicas
    termination_grace_period_seconds: Annotated[
        int,
        Field(ge=1, description="Time that calls have when a pod of the gate ends. Longer runs need more, and DYNAMIQ_FINISH_WITHIN."),
    ]
    retire: Annotated[Retire, Field(description="What an uninstallation does for sleeping Apps.")] = Retire()


class Storage(Values):
    size: Annotated[str, Field(description="Size of the volume. The chart cannot change it later.", min_length=1)]
    class_name: Annotated[str, Field(description="StorageClass of the volume. Default: that of the cluster.")] = ""


class Recorder(Component):
    enabled: Annotated[bool, Field(description="Installs the recorder of runs, and configures operator, API and gate to use it.")] = False
    url: Annotated[
        str, Field(description="URL of a recorder that this chart did not install, or another URL of this one, such as https://….")
    ] = ""
    create_namespace: Annotated[
        bool, Field(description="Creates the namespace dynamiq-recorder. An uninstallation leaves it, with all runs.")
    ] = True
    store: Annotated[
        Literal["sqlite", "postgresql"], Field(description="sqlite: one pod with a volume. postgresql: several pods and your database.")
    ]
    replicas: Annotated[int, Field(ge=0, description="Number of pods, with postgresql.")]
    storage: Annotated[Storage, Field(description="Volume, with sqlite.")]
    existing_secret: Annotated[
        str, Field(description="Secret in dynamiq-recorder whose key dsn has the database's address, with postgresql.", min_length=1)
    ]
    prices: Annotated[
        Objects,
        Field(description="Prices of models whose calls report no cost. Default: examples. docs/runs.md describes an entry."),
    ] = ()


class Journal(Component):
    enabled: Annotated[
        bool,
        Field(
            description="Installs the journal of background runs where recorder.enabled is true, and configures operator, API, gate and recorder for it."
        ),
    ] = True
    create_namespace: Annotated[
        bool, Field(description="Creates the namespace dynamiq-journal. An uninstallation leaves it, with all background runs.")
    ] = True
    store: Annotated[
        Literal["sqlite", "postgresql"], Field(description="sqlite: one pod with a volume. postgresql: several pods and your database.")
    ] = "sqlite"
    replicas: Annotated[int, Field(ge=0, description="Number of pods, with postgresql.")]
    storage: Annotated[Storage, Field(description="Volume, with sqlite.")]
    existing_secret: Annotated[
        str, Field(description="Secret in dynamiq-journal whose key dsn has the database's address, with postgresql.", min_length=1)
    ]


class Notifications(Values):
    existing_secret: Annotated[
        str,
        Field(description="Secret of the release's namespace with the url and the key of a sink for the rows of every namespace."),
    ] = ""
    format: Annotated[Literal["CloudEvents", "Slack"], Field(description="Format of notifications.")] = "CloudEvents"
    allow_networks: Annotated[
        tuple[str, ...], Field(description="Private address ranges that receivers may be in, such as 10.20.0.0/16.")
    ] = ()


class Apps(Values):
    domain: Annotated[str, Field(description="Apps without a hostname get <app>.<namespace>.<domain>.")] = ""
    public_scheme: Annotated[Literal["", "http", "https"], Field(description="Scheme of Apps' public URLs. Default: https.")] = ""
    public_port: Annotated[int, Field(ge=0, le=65535, description="Port of Apps' public URLs. 0: that of the scheme.")] = 0
    ingress_class: Annotated[str, Field(description="IngressClass of Apps that name none.")] = ""
    gateway: Annotated[str, Field(description="NAMESPACE/NAME of the Gateway of Apps of type Gateway that name no other.")] = ""
    image_policy: Annotated[Literal["any", "digest"], Field(description="digest: a Runtime whose image has no digest is refused.")] = "any"
    metrics_from: Annotated[
        tuple[str, ...],
        Field(description="Readers of the metrics of Apps that restrict their callers: NAMESPACE, or NAMESPACE/LABEL=VALUE."),
    ] = ()


class Admission(Values):
    mutating: Annotated[
        bool,
        Field(
            description="Installs the policies that stamp who did what. They need Kubernetes 1.36: for 1.34 and 1.35 set false, and read manifests/overlays/before-1.36."
        ),
    ] = True


class Crds(Values):
    check: Annotated[
        bool,
        Field(
            description="Refuses an install or upgrade if the cluster's definitions are older than the chart's. The installing user needs the right to read "
            "them."
        ),
    ] = True


class Monitoring(Values):
    enabled: Annotated[
        bool, Field(description="Installs PodMonitors and alerts for the Prometheus Operator, and dashboards for Grafana.")
    ] = False
    labels: Annotated[Labels, Field(description="Labels that your Prometheus selects, such as release: kube-prometheus-stack.")] = {}
    dashboard_labels: Annotated[Labels, Field(description="Labels that your Grafana selects dashboards by.")]


class Chart(Values):
    """All values."""

    images: Annotated[Images, Field(description="Images and their registry.")]
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="Log level of all programs.")] = "info"
    pods: Annotated[Pods, Field(description="Settings of all pods. A setting of one program below replaces them.")] = Pods()
    operator: Annotated[Operator, Field(description="The operator.")]
    api: Annotated[Api, Field(description="The REST API, which serves the console.")]
    console: Annotated[Console, Field(description="The web console.")]
    gate: Annotated[Gate, Field(description="The gate, behind which serverless Apps sleep.")]
    recorder: Annotated[Recorder, Field(description="The recorder of runs. docs/runs.md says what it keeps.")]
    journal: Annotated[Journal, Field(description="The journal of background runs. docs/journal.md describes it.")]
    apps: Annotated[Apps, Field(description="Settings for every App.")] = Apps()
    notifications: Annotated[Notifications, Field(description="Notifications about rows.")] = Notifications()
    admission: Annotated[Admission, Field(description="The policies that guard the ledger. They are always installed.")] = Admission()
    crds: Annotated[Crds, Field(description="The definitions of our kinds. Helm installs them, and neither upgrades nor deletes them.")] = (
        Crds()
    )
    monitoring: Annotated[Monitoring, Field(description="Metrics, alerts and dashboards.")]

"""App: the stable thing that callers know. Its hostname, keys and variables outlive every deploy."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import (
    DNS_LABEL,
    DNS_LABEL_SAID,
    RULES,
    DnsLabel,
    Moment,
    ObjectName,
    Part,
    VersionName,
    matching,
    rule,
    validated,
)
from dynamiq_operator.model.network import Network
from dynamiq_operator.model.recording import RunsPolicy
from dynamiq_operator.model.rollout import Rollout
from dynamiq_operator.model.row import Config
from dynamiq_operator.model.sessions import SessionsPolicy


class ExposureType(StrEnum):
    """The way in which callers reach an App."""

    INGRESS = "Ingress"
    GATEWAY = "Gateway"
    CLUSTER_IP = "ClusterIP"


class Tls(Part):
    """TLS of the App's hostname."""

    secret_name: Annotated[ObjectName, Field(description="Secret with tls.crt and tls.key, in the App's namespace.")]


class ParentRef(Part):
    """A Gateway of the Gateway API, which also decides on TLS."""

    name: Annotated[ObjectName, Field(description="Name of the Gateway.")]
    namespace: Annotated[ObjectName | None, Field(description="Namespace of the Gateway. Left out: the App's.")] = None
    section_name: Annotated[ObjectName | None, Field(description="One of its listeners. Left out: all that take the route.")] = None


@validated(
    rule(
        "self.type == 'Ingress' || (!has(self.className) && !has(self.tls) && !has(self.annotations))",
        "className, tls and annotations are for type Ingress: remove them, or use type Ingress",
    ),
    rule("self.type == 'Gateway' || !has(self.parentRef)", "parentRef is for type Gateway: remove it, or use type Gateway"),
)
class Exposure(Part):
    """How the App is exposed. Left out: an Ingress if there is a hostname or the operator has a domain, else inside the cluster only."""

    type: Annotated[ExposureType, Field(description="Ingress, Gateway (an HTTPRoute of the Gateway API) or ClusterIP.")]
    parent_ref: Annotated[ParentRef | None, Field(description="Gateway of the HTTPRoute. Left out: the operator's.")] = None
    class_name: Annotated[ObjectName | None, Field(description="IngressClass. Left out: the operator's, or the cluster's default.")] = None
    tls: Annotated[Tls | None, Field(description="TLS of the hostname. Left out: plain HTTP.")] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=1024)]] | None,
        Field(max_length=16, description="Annotations of the Ingress, such as cert-manager's issuer, of those that the operator allows."),
    ] = None


ORIGINS_MOST = 32
"""Most origins of an App."""


class AccessType(StrEnum):
    """Who may call an App."""

    PRIVATE = "private"
    PUBLIC = "public"


ANY_ORIGIN = "*"
_HOST = r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"
# Compared with the header Origin as browsers send it: in lower case, and without the port that the scheme has anyway.
ORIGIN = {
    RULES: [
        rule(
            rf'self == "{ANY_ORIGIN}" || self.matches(r"^https?://({_HOST}|\[[0-9a-f:]+\])(:[1-9][0-9]{{0,4}})?$")',
            "this is no origin: use http:// or https://, a host in lower case and maybe a port, such as https://app.example.com,"
            " with nothing after it, not even a /",
        ),
        rule(
            "!(self.startsWith('https:') && self.endsWith(':443')) && !(self.startsWith('http:') && self.endsWith(':80'))",
            "browsers leave out port 443 of https and port 80 of http: leave it out, too",
        ),
    ]
}


@validated(
    rule(
        f"!has(self.origins) || !('{ANY_ORIGIN}' in self.origins) || self.type == 'public'",
        f"{ANY_ORIGIN} is for a public App: list the origins of your pages, or use type public",
        fieldPath=".origins",
    ),
    rule(
        f"!has(self.origins) || !('{ANY_ORIGIN}' in self.origins) || size(self.origins) == 1",
        f"{ANY_ORIGIN} is every origin: remove the others, or remove {ANY_ORIGIN}",
        fieldPath=".origins",
    ),
)
class Access(Part):
    """Who may call the App: holders of an Access Key, or everybody; and which web pages may."""

    type: Annotated[AccessType, Field(description="private: callers send an Access Key. public: callers need none.")]
    origins: Annotated[
        tuple[Annotated[str, Field(max_length=267, json_schema_extra=ORIGIN)], ...],
        Field(
            max_length=ORIGINS_MOST,
            description="Origins of the web pages that may call it from a browser, such as https://app.example.com. *: all, for a public App."
            " Left out: none but its own hostname's.",
        ),
    ] = ()


KEY = matching("^[-._a-zA-Z0-9]+$", "no Secret or ConfigMap has such a key: use letters, digits, '-', '_' and '.'")


class KeyOf(Part):
    """One key of a Secret or ConfigMap in the App's namespace."""

    name: Annotated[ObjectName, Field(description="Name of the Secret or ConfigMap.")]
    key: Annotated[str, Field(min_length=1, max_length=253, description="Key in it.", json_schema_extra=KEY)]


@validated(
    rule(
        "(has(self.value) ? 1 : 0) + (has(self.secret) ? 1 : 0) + (has(self.configMap) ? 1 : 0) == 1",
        "a variable has exactly one of value, secret and configMap",
    ),
    rule(
        "!self.name.startsWith('DYNAMIQ_') && self.name != 'PORT'",
        "names that begin with DYNAMIQ_, and PORT, are the runtime's own: choose another name",
    ),
)
class Variable(Part):
    """An environment variable of the App's pods."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            description="Name of the variable.",
            json_schema_extra=matching(
                "^[A-Za-z_][A-Za-z0-9_]*$", "the name of a variable has letters, digits and '_', and begins with no digit"
            ),
        ),
    ]
    value: Annotated[str | None, Field(max_length=32768, description="Its value, readable by whoever reads the App.")] = None
    secret: Annotated[KeyOf | None, Field(description="Take the value from a key of a Secret.")] = None
    config_map: Annotated[KeyOf | None, Field(description="Take the value from a key of a ConfigMap.")] = None


class InputTransformer(Part):
    """How the input of a run is made, like a node's input_transformer: first the path, then the selector."""

    path: Annotated[str | None, Field(max_length=1024, description="JSONPath of the part to take.")] = None
    selector: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]] | None,
        Field(max_length=64, description="Values by field of the input: a JSONPath, or a text that is used unchanged."),
    ] = None


@validated(
    rule("has(self.schedule) != has(self.runAt)", "a trigger has exactly one of schedule and runAt"),
    rule("!has(self.expiresAt) || has(self.schedule)", "expiresAt is for a trigger with a schedule: remove it"),
    rule(
        "!has(self.draft) || !self.draft || (has(self.suspend) && self.suspend)",
        "a draft does not run: set suspend to true, too, or remove draft",
    ),
)
class Trigger(Part):
    """A rule that runs the App at set times."""

    name: Annotated[
        str,
        Field(
            max_length=20,
            description="Name of the trigger, at most 20 characters.",
            json_schema_extra=matching(DNS_LABEL, f"this name of a trigger is not a DNS label: use {DNS_LABEL_SAID}"),
        ),
    ]
    display_name: Annotated[str | None, Field(min_length=1, max_length=128, description="Name for people. Left out: name.")] = None
    uid: Annotated[
        str | None,
        Field(
            max_length=36,
            description="Its id on the management API, which creates one for each trigger. Left out: derived from the App's uid and its name.",
            json_schema_extra=matching("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "a uid is a UUID in lower case"),
        ),
    ] = None
    schedule: Annotated[
        str | None,
        Field(
            max_length=128,
            description="Five-field cron expression.",
            json_schema_extra=matching(r"^[^\s]+( +[^\s]+){4}$", "a schedule is a cron expression of five fields, such as 0 9 * * 1-5"),
        ),
    ] = None
    run_at: Annotated[Moment | None, Field(description="Run once, at this time.")] = None
    timezone: Annotated[str | None, Field(max_length=64, description="IANA time zone of the schedule. Left out: UTC.")] = None
    expires_at: Annotated[Moment | None, Field(description="No run after this time.")] = None
    suspend: Annotated[bool | None, Field(description="True: do not run.")] = None
    draft: Annotated[
        bool | None, Field(description="True: it was never active. It needs suspend; activating the trigger removes both.")
    ] = None
    input: Annotated[str | None, Field(max_length=65536, description="Input of the run, as JSON text.")] = None
    input_transformer: Annotated[
        InputTransformer | None, Field(description="Transforms the input of the run. Left out: the input is unchanged.")
    ] = None


_PROTECTED = "!(oldSelf.?protect.orValue(false) && self.?protect.orValue(false))"


@validated(
    rule(
        f"{_PROTECTED} || !has(self.limit) || (has(oldSelf.limit) && self.limit >= oldSelf.limit)",
        "to lower limit, set protect to false first: the history is protected",
        fieldPath=".limit",
    ),
    rule(
        f"{_PROTECTED} || !oldSelf.?archive.orValue(false) || self.?archive.orValue(false)",
        "to turn archive off, set protect to false first: the history is protected",
    ),
)
class HistoryPolicy(Part):
    """The retention of the history."""

    limit: Annotated[int | None, Field(ge=10, le=100000, description="Rows to keep. Left out: all.")] = None
    archive: Annotated[
        bool | None,
        Field(description="True: rows beyond the limit stay until the recorder's archive has them. Left out: they are deleted."),
    ] = None
    protect: Annotated[
        bool | None,
        Field(description="True: the App and its history cannot be deleted, limit cannot be lowered, and archive cannot be turned off."),
    ] = None


class DeploySpec(Part):
    """The deploy from Git: each change of it makes one row."""

    workflow_version: Annotated[
        VersionName | None, Field(description="Version to deploy. Left out: the newest release when this changes.")
    ] = None
    runtime: Annotated[ObjectName | None, Field(description="Runtime to run on. Left out: the live row's.")] = None
    config: Annotated[Config | None, Field(description="Deployment config. What is left out keeps the live row's.")] = None
    message: Annotated[str | None, Field(max_length=1024, description="Why this is deployed.")] = None
    changed_by: Annotated[
        str | None, Field(max_length=1024, description="Who changed it last. The API server stamps it and ignores what was sent.")
    ] = None


HOSTNAME_MAX = 253
VARIABLES_MAX = 224 * 1024
"""Characters of all variables' values together. The workload notes them in an annotation; the API server allows 256 KiB of those."""
HOSTNAME = {
    RULES: [
        rule(
            r'self.matches(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")',
            "hostname is not a DNS name: use lower-case letters, digits and '-' between dots, such as chat.example.com",
        ),
        rule("!isIP(self)", "hostname is an address: use a DNS name, such as chat.example.com"),
        rule(
            "self.split('.').all(label, size(label) <= 63)",
            "hostname is not a DNS name: each part between dots has at most 63 characters",
        ),
    ]
}


@validated(
    rule(
        "!has(self.exposure) || self.exposure.type != 'ClusterIP' || !has(self.hostname)",
        "hostname is for types Ingress and Gateway: an App of type ClusterIP is called by its Service's name",
    ),
    rule(
        "!has(self.sessions) || (has(self.rollout) && has(self.rollout.strategy) && self.rollout.strategy == 'Switch')",
        "sessions need rollout.strategy Switch, under which pods of several versions run: use it, or remove sessions",
        fieldPath=".sessions",
    ),
    rule(
        "!has(self.sessions) || !has(self.access) || self.access.type == 'private'",
        "sessions are for a private App: whoever knows an id could choose an old version of a public one. Remove sessions, or use type private",
        fieldPath=".sessions",
    ),
)
class AppSpec(Part):
    """The settings that callers rely on, whichever version runs."""

    workflow: Annotated[DnsLabel, Field(description="Workflow whose versions are deployed.")]
    display_name: Annotated[
        str | None,
        Field(
            max_length=128,
            description="Name for people: letters, digits, spaces, and . / _ ' -",
            json_schema_extra=matching(r"^[\p{L}\p{N} ./_'-]+$", "displayName has only letters, digits, spaces, and . / _ ' -"),
        ),
    ] = None
    description: Annotated[str | None, Field(max_length=512, description="What the App does.")] = None
    hostname: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=HOSTNAME_MAX,
            description="DNS name that callers use. Left out: <app>.<namespace>.<domain> where the operator has a domain.",
            json_schema_extra=HOSTNAME,
        ),
    ] = None
    exposure: Annotated[Exposure | None, Field(description="How callers reach the App.")] = None
    access: Annotated[Access | None, Field(description="Who may call it. Left out: private.")] = None
    variables: Annotated[
        tuple[Variable, ...],
        Field(
            max_length=128,
            description="Environment of the App's pods.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                RULES: [
                    rule(
                        f"self.map(each, has(each.value) ? size(each.value) : 0).sum() <= {VARIABLES_MAX}",
                        f"the values of variables are together longer than {VARIABLES_MAX >> 10} KiB: take long ones from keys of a Secret or a ConfigMap",
                    )
                ],
            },
        ),
    ] = ()
    triggers: Annotated[
        tuple[Trigger, ...],
        Field(
            max_length=32,
            description="Runs at set times.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    network: Annotated[
        Network | None, Field(description="Who may reach the App's pods, and what they may reach. Left out: everything.")
    ] = None
    runs: Annotated[
        RunsPolicy | None,
        Field(description="What is recorded of its runs. Left out: figures, but no input, output or error text."),
    ] = None
    sessions: Annotated[
        SessionsPolicy | None, Field(description="Conversations stay on the version that they began on. Left out: none does.")
    ] = None
    rollout: Annotated[Rollout, Field(description="How a deploy proceeds.")] = Rollout()
    suspend: Annotated[
        bool | None,
        Field(
            description="True: while suspended, nobody can deploy the App, not even by a bypass. It keeps running, and the operator repairs it. Left out: false."
        ),
    ] = None
    history: Annotated[HistoryPolicy | None, Field(description="What is kept of the history.")] = None
    deploy: Annotated[
        DeploySpec | None, Field(description="Deploy from Git: each change creates one row. Left out: rows are created manually.")
    ] = None
    settings_changed_by: Annotated[
        str | None,
        Field(max_length=1024, description="Who last changed anything but deploy. The API server stamps it and ignores what was sent."),
    ] = None

    @property
    def wants_gateway(self) -> bool:
        """True if a Gateway is to serve the hostname."""
        return self.exposure is not None and self.exposure.type is ExposureType.GATEWAY

    @property
    def is_private(self) -> bool:
        """True if callers need an Access Key."""
        return self.access is None or self.access.type is AccessType.PRIVATE

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of web pages that may call it, each once and sorted: their order means nothing."""
        return tuple(sorted(set(self.access.origins))) if self.access is not None else ()

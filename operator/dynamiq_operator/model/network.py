"""Defines the parts of a NetworkPolicy that an App's owner decides: who may reach the App's pods, and whom they may reach."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import RULES, Part, rule, validated

LABEL_KEY_MAX = 317  # a prefix of 253 characters, a slash, and a name of 63
MOST = 32
"""Most peers, rules, ports and ranges in one list: CEL needs a bound."""

_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_KEY = rf"^({_PART}(\.{_PART})*/)?{_NAME}$"
"""A label's key: a name, optionally after a DNS name and a slash."""
_SHORT = "{key}.indexOf('/') <= 253"
_KEY_SAID = (
    "the key of a label has at most 63 letters, digits, '-', '_' and '.'; a DNS name and '/' may precede it, such as app or example.com/app"
)

# OpenAPI's pattern costs nothing. As rules, so many nested lists would exceed CEL's budget.
LabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LABEL_KEY_MAX,
        json_schema_extra={"pattern": _KEY, RULES: [rule(_SHORT.format(key="self"), _KEY_SAID)]},
    ),
]
LabelValue = Annotated[str, Field(max_length=63, json_schema_extra={"pattern": f"^({_NAME})?$"})]
_KEYS = {RULES: [rule(f"self.all(key, {_SHORT.format(key='key')} && key.matches(r'{_KEY}'))", _KEY_SAID)]}
"""A rule instead of a pattern: keys of a map cannot have one."""
Cidr = Annotated[str, Field(min_length=1, max_length=49)]


class Operator(StrEnum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@validated(
    rule(
        "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
        "In and NotIn take values, Exists and DoesNotExist take none",
    )
)
class Requirement(Part):
    """One condition on a label."""

    key: Annotated[LabelKey, Field(description="Key of the label.")]
    operator: Annotated[Operator, Field(description="In, NotIn, Exists or DoesNotExist.")]
    values: Annotated[tuple[LabelValue, ...] | None, Field(max_length=MOST, description="Values, for In and NotIn.")] = None


class Selector(Part):
    """A selector of everything with all of these labels. An empty one selects everything."""

    match_labels: Annotated[
        dict[str, LabelValue] | None, Field(max_length=MOST, description="Labels and their values.", json_schema_extra=_KEYS)
    ] = None
    match_expressions: Annotated[tuple[Requirement, ...] | None, Field(max_length=MOST, description="More conditions on labels.")] = None


@validated(
    rule(
        "isCIDR(self.cidr) && cidr(self.cidr) == cidr(self.cidr).masked()",
        "this is not a range of addresses: use one such as 203.0.113.0/24 or 2001:db8::/32",
        fieldPath=".cidr",
    ),
    rule(
        "!has(self.except) || !isCIDR(self.cidr) || self.except.all(each, isCIDR(each) && cidr(self.cidr).containsCIDR(each) && each != self.cidr)",
        "the ranges of except must be inside of cidr",
        fieldPath=".except",
    ),
)
class IpBlock(Part):
    """A range of addresses outside the pods."""

    cidr: Annotated[Cidr, Field(description="The range, such as 203.0.113.0/24.")]
    except_: Annotated[
        tuple[Cidr, ...] | None, Field(alias="except", max_length=MOST, description="Ranges inside of it that are left out.")
    ] = None


@validated(
    rule(
        "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
        "a peer has either ipBlock, or podSelector, namespaceSelector or both",
    )
)
class Peer(Part):
    """Pods, by their labels and their namespaces' labels, or a range of addresses."""

    pod_selector: Annotated[
        Selector | None, Field(description="Pods with these labels: of the App's namespace, or of those that namespaceSelector takes.")
    ] = None
    namespace_selector: Annotated[
        Selector | None, Field(description="All pods of namespaces with these labels, or those of podSelector.")
    ] = None
    ip_block: Annotated[IpBlock | None, Field(description="A range of addresses outside of the cluster.")] = None


class Protocol(StrEnum):
    """A transport protocol."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


@validated(
    rule(
        "!has(self.endPort) || (has(self.port) && self.endPort >= self.port)",
        "endPort is the last of the ports that begin with port: give port, and an endPort that is not below it",
    )
)
class Port(Part):
    """A port, or several consecutive ones."""

    protocol: Annotated[Protocol | None, Field(description="TCP, UDP or SCTP. Left out: TCP.")] = None
    port: Annotated[int | None, Field(ge=1, le=65535, description="Number of the port. Left out: every port of the protocol.")] = None
    end_port: Annotated[int | None, Field(ge=1, le=65535, description="Last port, where there are several in a row.")] = None


@validated(rule("has(self.to) || has(self.ports)", "an egress rule needs to, ports or both: to limit nothing, leave egress out"))
class Egress(Part):
    """Allowed targets of the pods: any of `to`, at any of `ports`."""

    to: Annotated[tuple[Peer, ...] | None, Field(min_length=1, max_length=MOST, description="Peers. Left out: all.")] = None
    ports: Annotated[tuple[Port, ...] | None, Field(min_length=1, max_length=MOST, description="Ports of the peers. Left out: all.")] = None


class Network(Part):
    """The traffic allowed to and from the App's pods, if the cluster's network enforces NetworkPolicies."""

    ingress_from: Annotated[
        tuple[Peer, ...] | None,
        Field(
            max_length=MOST,
            description="Who may call the App's pods, the gateway included. The App's own triggers always may. Empty: nobody else. Left out: everybody.",
        ),
    ] = None
    egress: Annotated[
        tuple[Egress, ...] | None,
        Field(
            max_length=MOST,
            description="What the App's pods may reach; the cluster's DNS always. Empty: nothing else. Left out: everything.",
        ),
    ] = None

    @property
    def limits(self) -> bool:
        """True if anything is limited."""
        return self.ingress_from is not None or self.egress is not None

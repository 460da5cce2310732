"""DeployPolicy: who must approve deploys, when nothing is deployed, and who is notified; for the namespaces that it selects."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import (
    GROUP,
    RULES,
    ClusterName,
    Moment,
    ObjectName,
    Part,
    label_field,
    matching,
    rule,
    validated,
)
from dynamiq_operator.model.guards import AfterFreeze, ApprovalWhen
from dynamiq_operator.model.network import Operator

NAME_OF_NAMESPACE = "kubernetes.io/metadata.name"
LABEL_KEYS = f"self == '{NAME_OF_NAMESPACE}' || self.startsWith('{GROUP}/')"
LABEL_KEYS_SAID = (
    f"a policy selects namespaces by {NAME_OF_NAMESPACE} or by labels under {GROUP}/, which only who may update DeployPolicies can change"
)
EXPIRES_SECONDS = 86400
TIME_ZONES = "self != 'Local' && !self.contains(':') && timestamp('2000-01-01T00:00:00Z').getHours(self) >= 0"
"""The API server resolves a zone like for a CronJob. It also accepts Local and offsets, which are no names."""


_Key = Annotated[
    str, Field(min_length=1, max_length=317, description="Key of a label.", json_schema_extra={RULES: [rule(LABEL_KEYS, LABEL_KEYS_SAID)]})
]
_Value = Annotated[str, Field(max_length=63)]
_ACCOUNT = "^system:serviceaccount:[a-z0-9][-a-z0-9]*:[a-z0-9][-.a-z0-9]*$"
_ACCOUNT_SAID = "name a service account as system:serviceaccount:<namespace>:<name>"
_ServiceAccount = Annotated[str, Field(max_length=340, json_schema_extra=matching(_ACCOUNT, _ACCOUNT_SAID))]
_GROUP = "^system:serviceaccounts(:[a-z0-9][-a-z0-9]*)?$"
_GROUP_SAID = "use system:serviceaccounts:<namespace>, or users: a row names its author, not the author's groups"
_Group = Annotated[str, Field(max_length=340, json_schema_extra=matching(_GROUP, _GROUP_SAID))]


@validated(
    rule(
        "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",
        "give at least one value with In and NotIn, and none with Exists and DoesNotExist",
    )
)
class LabelRequirement(Part):
    """One condition on the labels of a namespace."""

    key: _Key
    operator: Annotated[Operator, Field(description="In, NotIn, Exists or DoesNotExist.")]
    values: Annotated[tuple[_Value, ...], Field(max_length=64, description="Values, for In and NotIn.")] = ()


class NamespaceSelector(Part):
    """A selector of namespaces: all conditions must hold. An empty selector selects every namespace."""

    match_labels: Annotated[
        dict[str, _Value] | None,
        Field(
            max_length=16,
            description="Labels and their values.",
            json_schema_extra={RULES: [rule(f"self.all(key, {LABEL_KEYS.replace('self', 'key')})", LABEL_KEYS_SAID)]},
        ),
    ] = None
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=16, description="Further conditions.")] = ()


class Approvals(Part):
    """The number of people who must approve a row before it is deployed. Authors cannot approve their own rows."""

    count: Annotated[int, Field(ge=1, le=16, description="How many.")]
    expires_seconds: Annotated[
        int | None, Field(ge=60, le=31536000, description="Seconds until an Approval expires. Left out: 86400, a day.")
    ] = None
    service_accounts: Annotated[
        tuple[_ServiceAccount, ...],
        Field(max_length=32, description="Service accounts whose Approvals count as a person's. Left out: none does."),
    ] = ()
    when: Annotated[
        ApprovalWhen | None,
        Field(
            description="Breaking: only versions that may break callers of the last days, and those of which that is unknown. Left out: Always."
        ),
    ] = None


@validated(
    rule(
        "has(self.cron) ? has(self.duration) && !has(self.from) && !has(self.to) : has(self.from) && has(self.to) && !has(self.duration) && !has(self.timeZone)",
        "a freeze has either from and to, or cron and duration, and timeZone if it is not UTC",
    ),
    rule("!has(self.from) || !has(self.to) || self.from < self.to", "a freeze ends after it begins: to is later than from"),
)
class Freeze(Part):
    """A time in which nothing is deployed: once, between two moments, or repeatedly by a cron expression and a duration."""

    name: str = label_field("freeze")
    from_: Annotated[Moment | None, Field(alias="from", description="When it begins.")] = None
    to: Annotated[Moment | None, Field(description="When it ends.")] = None
    cron: Annotated[
        str | None,
        Field(
            max_length=128,
            description="When it begins each time: a five-field cron expression, such as 0 17 * * 5.",
            json_schema_extra=matching(r"^[^\s]+( +[^\s]+){4}$", "cron is a cron expression of five fields, such as 0 17 * * 5"),
        ),
    ] = None
    duration: Annotated[
        str | None,
        Field(
            max_length=16,
            description="How long it lasts each time, such as 62h or 90m. It is real time: a change of the clocks does not change it, and opens no gap.",
            json_schema_extra={
                RULES: [
                    rule(
                        r'self.matches(r"^([0-9]{1,5}h)?([0-9]{1,5}m)?$") && size(self) > 0',
                        "a duration has hours and minutes, such as 62h, 90m or 1h30m",
                    ),
                ]
            },
        ),
    ] = None
    time_zone: Annotated[
        str | None,
        Field(
            max_length=64,
            description="IANA time zone of cron, such as Europe/Berlin. Left out: UTC.",
            json_schema_extra={RULES: [rule(TIME_ZONES, "there is no such time zone: use an IANA name, such as Europe/Berlin")]},
        ),
    ] = None


class Promotion(Part):
    """The requirement for versions promoted into the namespaces of the policy."""

    min_live_seconds: Annotated[
        int, Field(ge=1, le=31536000, description="Seconds for which the source's row must be live before it is deployed here.")
    ]
    namespaces: Annotated[
        tuple[ObjectName, ...], Field(max_length=32, description="Namespaces from which versions may be promoted. Left out: any.")
    ] = ()
    clusters: Annotated[
        tuple[ClusterName, ...],
        Field(
            max_length=32,
            description="Other clusters from which versions may be promoted, as rows name them: the uid of their namespace kube-system. What such a "
            "row says of its source, how long it was live included, is not verified. Left out: none.",
        ),
    ] = ()


class Automation(Part):
    """The users and groups whose rows are held after a rollback like Git's."""

    users: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=64, description="Users, by name.")] = ()
    groups: Annotated[
        tuple[_Group, ...],
        Field(max_length=64, description="Groups of service accounts, such as system:serviceaccounts:argocd."),
    ] = ()


class Exempt(StrEnum):
    """The rows that a policy exempts."""

    ROLLBACK = "Rollback"


class SinkFormat(StrEnum):
    """The format of a notification."""

    CLOUD_EVENTS = "CloudEvents"
    SLACK = "Slack"


class Sink(Part):
    """A receiver of notifications on rows. Its URL is in a Secret of the operator's namespace, so that nobody reads it here."""

    name: str = label_field("sink", shown_by="metrics")
    secret_name: Annotated[
        ObjectName, Field(description="Secret in the operator's namespace: url, and for CloudEvents key, by which each request is signed.")
    ]
    format: Annotated[SinkFormat | None, Field(description="CloudEvents (structured JSON) or Slack. Left out: CloudEvents.")] = None


class DeployPolicySpec(Part):
    """Rules for deploys into some namespaces. Several policies that select a namespace add up."""

    namespace_selector: Annotated[NamespaceSelector, Field(description="The namespaces. {}: every one.")]
    approvals: Annotated[Approvals | None, Field(description="Who must approve. Left out: nobody.")] = None
    freezes: Annotated[
        tuple[Freeze, ...],
        Field(
            max_length=32,
            description="When nothing is deployed.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    after_freeze: Annotated[
        AfterFreeze | None,
        Field(
            description="Hold: a row that waited for the end of a freeze waits on, until who may deploy resumes it. Deploy: it is deployed "
            "within a minute. Left out: Hold."
        ),
    ] = None
    promotion: Annotated[Promotion | None, Field(description="Requirements for promoted versions.")] = None
    automation: Annotated[
        Automation | None,
        Field(
            description="Whose rows count as Git's, and are on hold after a rollback. Left out: service accounts of the namespaces flux-system and argocd."
        ),
    ] = None
    exempt: Annotated[
        tuple[Exempt, ...] | None,
        Field(
            max_length=1,
            description="Rollback: manual rollbacks need no Approval and pass freezes. Left out: [Rollback]. []: they wait like other rows.",
        ),
    ] = None
    notifications: Annotated[
        tuple[Sink, ...],
        Field(
            max_length=8,
            description="Where notifications about rows of these namespaces are sent.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()

    @property
    def exempts_rollbacks(self) -> bool:
        return self.exempt is None or Exempt.ROLLBACK in self.exempt

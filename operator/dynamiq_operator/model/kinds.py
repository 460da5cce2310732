"""Defines our kinds for the API server: names, columns, selectable fields, and the models of spec and status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dynamiq_operator.model import history_columns
from dynamiq_operator.model.app import AppSpec
from dynamiq_operator.model.app_change import AppChangeSpec
from dynamiq_operator.model.app_status import DEFAULT_APP_STATUS, AppStatus
from dynamiq_operator.model.approval import ApprovalSpec
from dynamiq_operator.model.base import GROUP, RULES, Part, name_rule
from dynamiq_operator.model.manifests import REJECTION_KIND, ROW_KIND, RUNTIME_KIND, VERSION_KIND
from dynamiq_operator.model.policy import DeployPolicySpec
from dynamiq_operator.model.rejection import RejectionSpec
from dynamiq_operator.model.row import DEFAULT_RECORD_STATUS, RowSpec, RowStatus
from dynamiq_operator.model.runtime import RuntimeSpec
from dynamiq_operator.model.workflow import WORKFLOW_VERSION_RULES, WorkflowSpec, WorkflowVersionSpec

CATEGORY = "dynamiq"


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; a `wide` one shows under `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    description: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of the group `dynamiq.getdynamiq.ai`."""

    kind: str
    plural: str
    description: str
    spec: type[Part]
    columns: tuple[Column, ...]
    short_names: tuple[str, ...]
    status: type[Part] | None = None
    default_status: Mapping[str, Any] | None = None
    namespaced: bool = True
    selectable: tuple[str, ...] = ()
    root_rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def crd_name(self) -> str:
        return f"{self.plural}.{GROUP}"


_AGE = Column("AGE", ".metadata.creationTimestamp", "date")

APP = Kind(
    kind="App",
    plural="apps",
    description="App is what callers know, and what stays the same: hostname, Access Keys, variables. Every deploy of it is a Deployment (ddep).",
    spec=AppSpec,
    status=AppStatus,
    default_status=DEFAULT_APP_STATUS,
    short_names=("dapp",),
    root_rules={RULES: [name_rule("an App")]},
    selectable=(".spec.workflow", ".status.hostname"),
    columns=(
        Column("VERSION", ".status.live.workflowVersion", description="Workflow version that is served."),
        Column("READY", ".status.conditions[?(@.type=='Ready')].status"),
        Column("HOSTNAME", ".status.hostname"),
        Column("FINISHING", ".status.finishing[0].version", wide=True, description="Newest earlier version whose background runs finish."),
        Column("RUNTIME", ".status.live.runtime", wide=True),
        Column("ROW", ".status.live.row", wide=True),
        Column("REASON", ".status.conditions[?(@.type=='Ready')].message", wide=True),
        _AGE,
    ),
)
ROW = Kind(
    kind=ROW_KIND,
    plural="deployments",
    description="Deployment is one row of an App's history: what was deployed, on which runtime, how scaled, by whom, when and why. It never changes.",
    spec=RowSpec,
    status=RowStatus,
    default_status=DEFAULT_RECORD_STATUS,
    short_names=("ddep",),
    selectable=(".spec.app", ".status.phase"),
    columns=tuple(
        Column(column.title, column.path, column.type, column.wide, column.description) for column in history_columns.of_kubectl()
    ),
)
WORKFLOW = Kind(
    kind="Workflow",
    plural="workflows",
    description="Workflow is a draft DAG. Nothing that runs depends on it: a WorkflowVersion is released from it.",
    spec=WorkflowSpec,
    short_names=("dwf",),
    root_rules={RULES: [name_rule("a Workflow")]},
    columns=(Column("DESCRIPTION", ".spec.description"), _AGE),
)
WORKFLOW_VERSION = Kind(
    kind=VERSION_KIND,
    plural="workflowversions",
    description="WorkflowVersion is a saved release of a Workflow. It never changes, and is named <workflow>-<version>.",
    spec=WorkflowVersionSpec,
    short_names=("dwfv",),
    selectable=(".spec.workflow", ".spec.version"),
    root_rules=WORKFLOW_VERSION_RULES,
    columns=(
        Column("WORKFLOW", ".spec.workflow"),
        Column("VERSION", ".spec.version"),
        Column("DESCRIPTION", ".spec.description"),
        _AGE,
    ),
)
RUNTIME = Kind(
    kind=RUNTIME_KIND,
    plural="runtimes",
    description="Runtime is an approved runtime version. It never changes, but for deprecated.",
    spec=RuntimeSpec,
    short_names=("drt",),
    namespaced=False,
    columns=(
        Column("VERSION", ".spec.version"),
        Column("LABEL", ".spec.label"),
        Column("ENGINE", ".spec.engine"),
        Column("DEPRECATED", ".spec.deprecated", "boolean"),
        Column("IMAGE", ".spec.image", wide=True),
        _AGE,
    ),
)
DEPLOY_POLICY = Kind(
    kind="DeployPolicy",
    plural="deploypolicies",
    description="DeployPolicy has the guards of the namespaces that it selects: who must approve a deploy, and when nothing is deployed.",
    spec=DeployPolicySpec,
    short_names=("dpol",),
    namespaced=False,
    columns=(
        Column("APPROVALS", ".spec.approvals.count", "integer", description="How many people must approve a deploy."),
        Column("FREEZE", ".spec.freezes[0].name", description="The first freeze."),
        Column(
            "SOAK",
            ".spec.promotion.minLiveSeconds",
            "integer",
            description="Seconds for which a promoted version must have been live at its source.",
        ),
        Column("FREEZES", ".spec.freezes", wide=True, description="All of them."),
        Column("NAMESPACES", ".spec.namespaceSelector", wide=True, description="The namespaces that it selects."),
        _AGE,
    ),
)
APPROVAL = Kind(
    kind="Approval",
    plural="approvals",
    description="Approval is a decision about a row that waits: Approve, Resume, Reject or Withdraw. It never changes.",
    spec=ApprovalSpec,
    short_names=("dapr",),
    selectable=(".spec.row",),
    columns=(
        Column("ROW", ".spec.row"),
        Column("PURPOSE", ".spec.purpose"),
        Column("BY", ".spec.by"),
        Column("MESSAGE", ".spec.message"),
        _AGE,
    ),
)
REJECTION = Kind(
    kind=REJECTION_KIND,
    plural="rejections",
    description="Rejection is a version that nobody may deploy, by the hash of its flow. It can be withdrawn once.",
    spec=RejectionSpec,
    short_names=("drej",),
    selectable=(".spec.workflowHash",),
    columns=(
        Column("WORKFLOW", ".spec.workflow"),
        Column("VERSION", ".spec.version"),
        Column("REASON", ".spec.reason"),
        Column("BY", ".spec.by"),
        Column("WITHDRAWN", ".spec.withdrawn.by"),
        Column("HASH", ".spec.workflowHash", wide=True),
        _AGE,
    ),
)

APP_CHANGE = Kind(
    kind="AppChange",
    plural="appchanges",
    description="AppChange is one change of an App's settings: what by name, by whom and when, after which row. It never changes.",
    spec=AppChangeSpec,
    short_names=("dchg",),
    selectable=(".spec.app",),
    columns=(
        Column("APP", ".spec.app"),
        Column("SEQ", ".spec.sequence", "integer"),
        Column("SUMMARY", ".spec.summary"),
        Column("BY", ".spec.by"),
        Column("AFTER", ".spec.after", "integer", description="Sequence of the newest row at that time."),
        Column("AT", ".spec.at", "date"),
        Column("DIGEST", ".spec.digest", wide=True),
    ),
)

KINDS = (APP, ROW, WORKFLOW, WORKFLOW_VERSION, RUNTIME, DEPLOY_POLICY, APPROVAL, REJECTION, APP_CHANGE)

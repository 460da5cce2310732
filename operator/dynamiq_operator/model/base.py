"""Defines what all kinds share: JSON names, bounds, and validation rules of schemas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dynamiq_operator.model.manifests import API_VERSION as API_VERSION
from dynamiq_operator.model.manifests import GROUP as GROUP
from dynamiq_operator.model.manifests import TIME_END
from dynamiq_operator.model.manifests import VERSION as VERSION

FLOW_MAX_BYTES = 900 * 1024
"""Bytes (UTF-8) of the largest flow. A request with it fits etcd's 1.5 MiB together with managedFields."""

REQUEST_MAX_BYTES = 3 * 1024 * 1024
"""Bytes of the largest request that an API server reads."""

RULES = "x-kubernetes-validations"
_Model = TypeVar("_Model", bound="type[Part]")


class Part(BaseModel):
    """A part of a resource: frozen, camelCase in JSON. Unknown fields are dropped, like the API server does."""

    # Validators are built at their first use: the plugin needs only a few of all models in a call.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", defer_build=True)

    def as_json(self) -> dict[str, Any]:
        """Returns the part as JSON data, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule(expression: str, message: str, **extra: Any) -> dict[str, Any]:
    """Returns a CEL rule of a CustomResourceDefinition, as in `x-kubernetes-validations`."""
    return {"rule": expression, "message": message, **extra}


def validated(*rules: dict[str, Any]) -> Callable[[_Model], _Model]:
    """Attaches CEL rules to a model's schema. The API server enforces them; no Python code does."""

    def attach(model: _Model) -> _Model:
        extra = model.model_config.get("json_schema_extra")
        kept: dict[str, Any] = dict(extra) if isinstance(extra, dict) else {}
        model.model_config["json_schema_extra"] = {**kept, RULES: [*kept.get(RULES, ()), *rules]}
        return model

    return attach


def matching(pattern: str, message: str) -> dict[str, Any]:
    """Returns the schema of a string that matches `pattern` (RE2)."""
    # A rule, and not OpenAPI's `pattern`: that one's refusal shows the pattern to the user.
    return {RULES: [rule(f'self.matches(r"{pattern}")', message)]}


def unchanged(field: str) -> str:
    """Returns the CEL expression that is true if a field is as it was, or still missing."""
    return f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"


def never_changes(message: str, field: str = "") -> dict[str, Any]:
    """Returns the rule for an object that never changes, or for one field of it."""
    if not field:
        return rule("self == oldSelf", message, reason="FieldValueForbidden")
    return rule(unchanged(field), message, reason="FieldValueForbidden", fieldPath=f".{field}")


def set_once(message: str, field: str) -> dict[str, Any]:
    """Returns the rule for a field that never changes once it is set."""
    same = f"!has(oldSelf.{field}) || (has(self.{field}) && self.{field} == oldSelf.{field})"
    return rule(same, message, reason="FieldValueForbidden", fieldPath=f".{field}")


DNS_LABEL = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
DNS_LABEL_MAX = 40
DNS_LABEL_SAID = "lower-case letters, digits and '-', beginning with a letter and not ending with '-'"

DnsLabel = Annotated[
    str, Field(max_length=DNS_LABEL_MAX, json_schema_extra=matching(DNS_LABEL, f"this name is not a DNS label: use {DNS_LABEL_SAID}"))
]
"""A name of at most 40 characters that begins with a letter: it also names a Service."""

ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=matching(
            r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
            "no object has such a name: use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
        ),
    ),
]
ClusterName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=matching(
            r"^[a-zA-Z0-9]([-._:/a-zA-Z0-9]*[a-zA-Z0-9])?$",
            "a cluster is named by letters, digits and . _ : / -, beginning and ending with a letter or digit",
        ),
    ),
]
"""The identity of a cluster: the uid of its namespace kube-system, or a name given by its administrators."""
VersionName = Annotated[
    str, Field(max_length=11, json_schema_extra=matching("^v[1-9][0-9]*$", "a version is v and a number from 1, such as v3"))
]
Quantity = Annotated[
    str,
    Field(
        min_length=1,
        max_length=32,
        json_schema_extra=matching(
            r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$",
            "an amount is a number, maybe with a unit: such as 100m or 2 of cpu, 256Mi or 1Gi of memory",
        ),
    ),
]
Timestamp = Annotated[str, Field(max_length=35, json_schema_extra={"format": "date-time"})]
Moment = Annotated[
    str,
    Field(
        max_length=35,
        json_schema_extra={
            "format": "date-time",
            RULES: [rule(f"self < timestamp('{TIME_END}')", f"this time is too far away: use one before {TIME_END}")],
        },
    ),
]
"""A time that other times are computed from."""
SEQUENCE_MAX = 2**53 - 1
"""The largest number that every JSON parser reads exactly."""
Digest = Annotated[
    str, Field(max_length=71, json_schema_extra=matching("^sha256:[0-9a-f]{64}$", "a hash is sha256: and 64 digits of 0-9 and a-f"))
]
# OpenAPI counts characters: with a bound as low as the rule's, its refusal would hide the rule's message.
Flow = Annotated[str, Field(min_length=1, max_length=REQUEST_MAX_BYTES)]
FLOW_RULE = rule(
    f"bytes(self.flow).size() <= {FLOW_MAX_BYTES}",
    f"a flow is at most 900 KiB ({FLOW_MAX_BYTES} bytes): split the workflow",
    fieldPath=".flow",
)
"""A rule of the flow's parent: the refusal of a rule on a string quotes the whole string."""


def name_rule(what: str) -> dict[str, Any]:
    """Returns the rule for an object's own name, at the root of its schema: names derived from it must stay short enough."""
    return rule(
        f'size(self.metadata.name) <= {DNS_LABEL_MAX} && self.metadata.name.matches(r"{DNS_LABEL}")',
        f"the name of {what} has at most {DNS_LABEL_MAX} characters: {DNS_LABEL_SAID}",
        fieldPath=".metadata.name",
    )


class Condition(Part):
    """One condition, like Kubernetes' `metav1.Condition`."""

    type: Annotated[str, Field(max_length=316, description="The condition's type, in CamelCase.")]
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]}, description="True, False or Unknown.")]
    reason: Annotated[str, Field(max_length=1024, description="Why, as one CamelCase word.")] = ""
    message: Annotated[str, Field(max_length=32768, description="Why, as a sentence for people.")] = ""
    last_transition_time: Annotated[Timestamp, Field(description="When status last changed.")]
    observed_generation: Annotated[int | None, Field(description="The generation of the object that this describes.")] = None


def reason_field(path: str, why: str) -> Any:
    """Returns a field with a reason, which has more than spaces. `why`: the question that it answers."""
    message = f"{path} must not be empty: write {why}"
    extra: dict[str, Any] = {RULES: [rule("self.trim() != ''", message)]}
    return Field(min_length=1, max_length=1024, description=f"{why.capitalize()}.", json_schema_extra=extra)


def label_field(what: str, shown_by: str = "messages") -> Any:
    """Returns the field with the name of a part, such as a case."""
    message = f"the name of a {what} is a DNS label: {DNS_LABEL_SAID}"
    return Field(max_length=63, description=f"Name of the {what}, which {shown_by} show.", json_schema_extra=matching(DNS_LABEL, message))


def conditions_field() -> Any:
    """Returns a `conditions` list, merged by type under server-side apply."""
    return Field(
        default=(),
        description="The object's current conditions, each with its reason.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )

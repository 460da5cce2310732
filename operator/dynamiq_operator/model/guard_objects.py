"""Parses the objects that only guards and the history of settings read. The others are in `model.objects`, which the plugin loads often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from dynamiq_operator.model import freezes
from dynamiq_operator.model.app_change import AppChangeSpec
from dynamiq_operator.model.approval import ApprovalSpec
from dynamiq_operator.model.objects import Specified
from dynamiq_operator.model.policy import DeployPolicySpec
from dynamiq_operator.model.rejection import RejectionSpec


class DeployPolicy(Specified[DeployPolicySpec]):
    _spec = DeployPolicySpec

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Parses a policy. Raises ValueError, also for an invalid cron expression or time zone of a freeze."""
        policy = super().of(raw)
        freezes.check(policy.spec.freezes)
        return policy


class Approval(Specified[ApprovalSpec]):
    _spec = ApprovalSpec


class Rejection(Specified[RejectionSpec]):
    _spec = RejectionSpec


class AppChange(Specified[AppChangeSpec]):
    _spec = AppChangeSpec

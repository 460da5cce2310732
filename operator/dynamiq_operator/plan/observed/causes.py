"""Finds why a rollout does not complete, in the user's words, from the statuses of its pods and of its workload."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.plan.observed.pods import Container, ObservedPod

CONFIGURATION_ERROR = 2
"""The exit code of a runtime that can never serve this flow with these settings."""


class Gravity(IntEnum):
    """How long a cause may last before the deploy fails."""

    UNTIL_DEADLINE = 0
    A_MINUTE = 1
    AT_ONCE = 2


@dataclass(frozen=True)
class Cause:
    gravity: Gravity
    reason: str
    message: str


_AT_ONCE = {"InvalidImageName", "CreateContainerConfigError", "ErrImageNeverPull"}
_PULL = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed", "ImageInspectError"}
_START = {"CreateContainerError", "RunContainerError"}
_LOST = {"ContainerStatusUnknown", "Unknown"}
"""The reasons of a container whose node failed or restarted: its real end is unknown."""
_NOT_SEEN_YET = "failed to sync"
"""The beginning of a busy kubelet's message while it has not read a Secret or ConfigMap yet: this alone fails no deploy at once."""


def find_cause(pods: Iterable[ObservedPod], workload: WorkloadState | None) -> Cause | None:
    """Returns the gravest cause that keeps these new pods from being ready; None if no status shows one."""
    causes = [cause for pod in pods if not pod.deleting and not pod.ready and (cause := _of_pod(pod)) is not None]
    if workload is not None and workload.failure is not None:
        causes.append(Cause(Gravity.UNTIL_DEADLINE, "PodsRefused", f"pods cannot be created: {workload.failure}"))
    return max(causes, key=lambda cause: cause.gravity, default=None)


def _of_pod(pod: ObservedPod) -> Cause | None:
    if pod.displaced is not None:
        return Cause(Gravity.UNTIL_DEADLINE, "Displaced", f"pod {pod.name} was taken off its node: {pod.displaced}")
    if pod.unschedulable is not None:
        return Cause(Gravity.UNTIL_DEADLINE, "Unschedulable", f"no node can take pod {pod.name}: {pod.unschedulable}")
    container = pod.container
    if container is None:
        return _beside(pod)
    return _waiting(pod, container) or _ended(pod, container) or _beside(pod) or _not_ready(pod, container)


def _beside(pod: ObservedPod) -> Cause | None:
    """Returns the cause if a container that admission injected keeps the pod from being ready; else None."""
    if pod.beside is None:
        return None
    return Cause(
        Gravity.UNTIL_DEADLINE, "OtherContainer", f"a container that is not this App's keeps pod {pod.name} from being ready: {pod.beside}"
    )


def _waiting(pod: ObservedPod, container: Container) -> Cause | None:
    reason = container.waiting_reason or ""
    details = f": {container.waiting_message}" if container.waiting_message else ""
    if reason == "InvalidImageName":
        return Cause(Gravity.AT_ONCE, reason, f"image name {container.image} is not valid")
    if reason in _AT_ONCE:
        gravity = Gravity.A_MINUTE if (container.waiting_message or "").startswith(_NOT_SEEN_YET) else Gravity.AT_ONCE
        return Cause(gravity, reason, f"pod {pod.name} cannot be started{details}")
    if reason in _PULL:
        return Cause(Gravity.A_MINUTE, reason, f"image {container.image} cannot be pulled{details}")
    if reason in _START:
        return Cause(Gravity.A_MINUTE, reason, f"pod {pod.name} cannot be started{details}")
    return None


def _ended(pod: ObservedPod, container: Container) -> Cause | None:
    if container.exit_code is None or (container.running and container.ready):
        return None
    if (container.exit_code == 0 and not container.restarts) or container.exit_reason in _LOST:
        return None
    lines = (container.exit_message or "").strip().splitlines()
    details = f": {lines[-1]}" if lines else ""
    if container.exit_code == CONFIGURATION_ERROR:
        return Cause(Gravity.AT_ONCE, "ConfigurationError", f"the runtime cannot run this flow{details}")
    if container.exit_reason == "OOMKilled":
        return Cause(Gravity.A_MINUTE, "OOMKilled", f"pod {pod.name} was killed: it used more memory than its limit")
    return Cause(Gravity.A_MINUTE, "Crashed", f"the runtime of pod {pod.name} ends with exit code {container.exit_code}{details}")


def _not_ready(pod: ObservedPod, container: Container) -> Cause | None:
    if container.running and not container.ready:
        return Cause(
            Gravity.UNTIL_DEADLINE, "NotReady", f"the readiness probe of pod {pod.name} does not succeed: it runs and is not ready"
        )
    return None

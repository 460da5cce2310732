"""Keeps the steps of a background run of the SDK: its checkpoint backend saves each node's state once, and returns all at a resume.

The SDK's own backends save the whole checkpoint at each node, so a run's bytes grow with the square of its nodes. Their cleanup deletes
checkpoints of other runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from dynamiq.checkpoints import CheckpointConfig
from dynamiq.checkpoints.backends.base import CheckpointBackend
from dynamiq.checkpoints.checkpoint import FlowCheckpoint, NodeCheckpointState
from dynamiq.checkpoints.config import CheckpointBehavior
from dynamiq.checkpoints.utils import decode_checkpoint_data, encode_checkpoint_data
from dynamiq.runnables import RunnableStatus
from dynamiq.utils import encode_reversible
from pydantic import PrivateAttr

from dynamiq_runtime.engine import Steps, StoppedError

ENDED = frozenset(status.value for status in (RunnableStatus.SUCCESS, RunnableStatus.FAILURE, RunnableStatus.SKIP))
WITHOUT_INPUT = {"input_data", "started_at", "completed_at"}
WITHOUT_EFFECTS = ("dynamiq.nodes.utils.Input", "dynamiq.nodes.utils.Output")
"""Types of nodes whose states may wait for the next one's, since running them again changes nothing."""
_INPUT = re.compile(r"\.input\b|\[\W*input\W*\]|\.\.|\*")


def reads_inputs(text: str) -> bool:
    """Returns True if a flow's text may select the input of an earlier node. Inputs are kept only then: they repeat earlier outputs."""
    return _INPUT.search(text) is not None


def checkpoints(steps: Steps, flow: str, cancel: Callable[[], None], *, with_inputs: bool) -> CheckpointConfig:
    """Returns the SDK's configuration for a run that keeps its steps, and resumes from those that are kept."""
    backend = StepsBackend()
    backend.follow(steps, flow, cancel, with_inputs=with_inputs)
    return CheckpointConfig(
        enabled=True,
        backend=backend,
        resume_from=flow if steps.kept else None,
        behavior=CheckpointBehavior.REPLACE,
        checkpoint_on_start_enabled=False,
        checkpoint_mid_agent_loop_enabled=True,
    )


class StepsBackend(CheckpointBackend):
    """The checkpoints of one run. `resume_at`: until when it waits; None if it waits for no time."""

    resume_at: datetime | None = None
    _steps: Any = PrivateAttr()
    _flow: str = PrivateAttr()
    _cancel: Callable[[], None] = PrivateAttr()
    _with_inputs: bool = PrivateAttr()
    _seen: dict[str, tuple[NodeCheckpointState, Any]] = PrivateAttr(default_factory=dict)
    """The last state of each node, and its inner state: the SDK replaces either when it changes."""

    def follow(self, steps: Steps, flow: str, cancel: Callable[[], None], *, with_inputs: bool) -> None:
        """Sets the run whose states are kept. `cancel`: ends the run at its next node."""
        self._steps, self._flow, self._cancel, self._with_inputs = steps, flow, cancel, with_inputs

    def save(self, checkpoint: FlowCheckpoint) -> str:
        """Keeps the states that changed. Returns once they are on disk.

        Raises StoppedError. The SDK only logs it, so the run is canceled, too.
        """
        states: dict[str, bytes] = {}
        settled: list[str] = []
        has_effects = False
        waiting = checkpoint.pending_inputs
        self.resume_at = checkpoint.resume_at
        for node_id, state in checkpoint.node_states.items():
            seen = self._seen.get(node_id)
            if seen is not None and seen[0].status in ENDED and state.status in ENDED:
                continue  # at a pause the SDK makes the states of all nodes anew
            if seen is None or seen[0] is not state or seen[1] is not state.internal_state:
                self._seen[node_id] = state, state.internal_state
                states[node_id] = self._encoded(state)
                # A node that waits is saved together with the pause.
                has_effects = has_effects or not (node_id in waiting or state.node_type.startswith(WITHOUT_EFFECTS))
                if state.status in ENDED or node_id not in waiting:
                    settled.append(node_id)
        if states:
            try:
                self._steps.save(states, waits=has_effects, settled=settled)
            except StoppedError:
                self._cancel()
                raise
        return str(checkpoint.id)

    def load(self, checkpoint_id: str) -> FlowCheckpoint:
        """Returns the run's state in earlier processes."""
        states = {node_id: NodeCheckpointState(**decode_checkpoint_data(orjson.loads(kept))) for node_id, kept in self._steps.kept.items()}
        self._seen = {node_id: (state, state.internal_state) for node_id, state in states.items()}
        ended = [node_id for node_id, state in states.items() if state.status in ENDED]
        return FlowCheckpoint(id=checkpoint_id, flow_id=self._flow, run_id=checkpoint_id, node_states=states, completed_node_ids=ended)

    def update(self, checkpoint: FlowCheckpoint) -> None:
        self.save(checkpoint)

    def delete(self, checkpoint_id: str) -> bool:  # noqa: ARG002 - the journal deletes a run that ended
        return False

    def cleanup_by_flow(self, flow_id: str, *, keep_count: int = 0, max_ttl_minutes: int | None = None) -> int:  # noqa: ARG002
        return 0

    def get_list_by_flow(self, flow_id: str, **_filters: object) -> list[FlowCheckpoint]:  # noqa: ARG002
        return []

    def get_latest_by_flow(self, flow_id: str, **_filters: object) -> None:  # noqa: ARG002
        return None

    def _encoded(self, state: NodeCheckpointState) -> bytes:
        fields = state.model_dump(exclude=WITHOUT_INPUT | {"output_data", "internal_state"})
        fields["output_data"], fields["internal_state"] = state.output_data, state.internal_state
        if self._with_inputs:
            fields["input_data"] = state.input_data
        return orjson.dumps(encode_checkpoint_data(fields), default=encode_reversible)

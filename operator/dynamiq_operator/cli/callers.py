"""Counts for a preview the callers that a version may break, by the recorder's shapes of the last days."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.recorder import NoRecorder, NotInstalled, NotThere, RecorderClient

if TYPE_CHECKING:
    from dynamiq_operator.actions.deploy import PreviewedDeploy
    from dynamiq_operator.model.shapes import Shapes

WITHIN, LATE = 0.28, 2.0
"""Seconds that a preview waits until the recorder answers at all, and, if it does, for the count."""


def with_callers(context: CommandContext, plan: PreviewedDeploy) -> PreviewedDeploy:
    """Returns the plan with the callers that its version may break, or why they are unknown."""
    if not (fields := plan.preview.fields_to_count):
        return plan
    from dynamiq_operator.model.breaking import AWAY

    answers: list[tuple[Shapes | None, str]] = []
    reached = threading.Event()

    def count() -> None:
        answers.append(_shapes(context, plan.preview.app_uid, fields, reached))
        reached.set()

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    if reached.wait(WITHIN):
        thread.join(LATE)
    return replace(plan, preview=plan.preview.with_callers(*(answers[0] if answers else (None, AWAY))))


def _shapes(context: CommandContext, app_uid: str, fields: tuple[str, ...], reached: threading.Event) -> tuple[Shapes | None, str]:
    """Returns the shapes of these fields; without them, why. It sets `reached` once the recorder answers."""
    from dynamiq_operator.cli.recorder import path_of
    from dynamiq_operator.model.breaking import AWAY, DAYS, DENIED, NO_RECORDER, NO_TOKEN
    from dynamiq_operator.model.shapes import Shapes

    try:
        recorder = RecorderClient(context, within=LATE)
        recorder.reach()
        reached.set()
        return Shapes.of(recorder.data(f"{path_of(app_uid)}/shapes", [("days", str(DAYS)), *(("field", each) for each in fields)])), ""
    except NotInstalled:
        return None, NO_RECORDER
    except NoRecorder:
        return None, NO_TOKEN
    except NotThere:
        return None, DENIED
    except Exception:
        # The preview is whole without the count, and the command reports why nothing can be reached.
        return None, AWAY

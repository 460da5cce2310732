"""A stand-in for the recorder's comparisons, at an address of the loopback: it asks the API server who asks, as the recorder does.

What it says of a row is the test's to choose; whether somebody may hear it is the API server's, by the token's audience and by their rights.
"""

from __future__ import annotations

import time
from pathlib import Path

from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.runs import RECORDER_AUDIENCE, ComparedFigure, ComparedRow, Figures, RunComparison, Verdict
from tests.support import recorders
from tests.support.api import Api, Manifest
from tests.support.scripted import HttpServer, Reply, Sent

REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class ComparingRecorder:
    """Use it as a context manager. `asked`: the row's uid of each question that was allowed; `slow`: seconds that an answer takes."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._said: dict[str, RunComparison] = {}
        self.asked: list[str] = []
        self.refused: list[int] = []
        self.slow = 0.0
        self._server = HttpServer(self._answer)
        self.url = self._server.url

    def __enter__(self) -> ComparingRecorder:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def say(self, row: str, *, runs: int, p95: float | None = None, cost: float | None = None) -> None:
        """From now on the row of this uid has so many runs, and, where given, is worse by these ratios than row #1."""
        self._said[row] = RunComparison(
            deployment=_row(row, 2, runs),
            baseline=_row("0" * 36, 1, 5000),
            verdict=Verdict.TOO_FEW_RUNS if runs < 30 else Verdict.REGRESSED if p95 or cost else Verdict.UNCHANGED,
            p50_ms=None,
            p95_ms=_figure(p95),
            failure_rate=None,
            cost_usd=_figure(cost),
            tokens=None,
            node=None,
            sentence="",
        )

    def _answer(self, sent: Sent) -> Reply:
        row, token = sent.path.split("/")[5], sent.headers.get("Authorization", "").removeprefix("Bearer ")
        reviewed = _posted(self._api, REVIEWS, "authentication", "TokenReview", {"token": token, "audiences": [RECORDER_AUDIENCE]})
        if not reviewed["status"].get("authenticated"):
            return self._refusal(401)
        asked = {"group": GROUP, "resource": "apps", "subresource": "runs", "verb": "get", "namespace": self._namespace, "name": "any"}
        user = reviewed["status"]["user"]
        review = {"user": user["username"], "groups": user.get("groups", []), "resourceAttributes": asked}
        if not _posted(self._api, ACCESS_REVIEWS, "authorization", "SubjectAccessReview", review)["status"]["allowed"]:
            return self._refusal(403)
        self.asked.append(row)
        time.sleep(self.slow)
        found = self._said.get(row)
        return Reply(body={"data": found.model_dump(mode="json")}) if found is not None else Reply(404)

    def _refusal(self, status: int) -> Reply:
        self.refused.append(status)
        return Reply(status)


def token_file(api: Api, namespace: str, account: str, folder: Path, audience: str = RECORDER_AUDIENCE) -> Path:
    """A file in `folder` with a token of an account, as a pod of it mounts one."""
    file = folder / "recorder-token"
    file.write_text(recorders.token(api, namespace, account, audience=audience))
    return file


def _posted(api: Api, url: str, group: str, kind: str, spec: Manifest) -> Manifest:
    answer = api.request("POST", url, {"apiVersion": f"{group}.k8s.io/v1", "kind": kind, "spec": spec})
    assert answer.ok, answer.message
    return answer.body


def _row(uid: str, sequence: int, runs: int) -> ComparedRow:
    figures = Figures(runs=runs, failed=0, refused=0, abandoned=0, p50_ms=10.0, p95_ms=20.0, cost_usd=None, unpriced_calls=0)
    return ComparedRow(deployment_id=uid, sequence=sequence, workflow_version=f"v{sequence}", figures=figures)


def _figure(ratio: float | None) -> ComparedFigure:
    verdict = Verdict.REGRESSED if ratio is not None else Verdict.UNCHANGED
    known = ratio if ratio is not None else 1.0
    return ComparedFigure(value=known, baseline=1.0, ratio=known, low=known - 0.1, high=known + 0.1, p_value=0.001, verdict=verdict)
